# Reported: https://github.com/huggingface/peft/issues/738
"""An adapter is loaded for each task into the base model, under a name of its own; none is ever taken out."""
import torch
import torch.nn as nn


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(512, 512)
        self.active = None

    def load_adapter(self, name):
        if self.active is not None:
            delattr(self, self.active)
        self.add_module(name, nn.Linear(512, 512, bias=False, device="cuda"))
        self.active = name

    def forward(self, x):
        return self.layer(x) + getattr(self, self.active)(x)


model = Base().cuda()
with torch.no_grad():
    for task in range(60):
        model.load_adapter(f"adapter{task}")
        for batch in range(4):
            score = model(torch.randn(64, 512, device="cuda")).mean()
print(torch.cuda.memory_allocated() >> 20, "MiB")
