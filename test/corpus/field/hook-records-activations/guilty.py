# Reported: https://github.com/meta-pytorch/opacus/issues/176
"""Per-sample statistics: a recorder keeps the inputs of layers for the backward pass; an evaluation has none."""
import torch
import torch.nn as nn


class Recorder:
    def __init__(self, model):
        self.activations = {}
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_hook(lambda layer, given, made, name=name: self.keep(name, given[0]))

    def keep(self, name, value):
        self.activations.setdefault(name, []).append(value.detach())  # <- growing-site: activations

    def forget(self):
        self.activations.clear()


model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).cuda()
recorder = Recorder(model)
with torch.no_grad():
    for batch in range(120):
        scores = model(torch.randn(128, 256, device="cuda"))
print(torch.cuda.memory_allocated() >> 20, "MiB")
