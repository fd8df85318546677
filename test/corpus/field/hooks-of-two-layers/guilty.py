# Reported: https://github.com/pytorch/pytorch/issues/68046
"""Each comparison of two images hooks two layers anew, and the hooks stay: what they keep, they keep together."""
import torch
import torch.nn as nn


class FeatureExtractor:
    def __init__(self, model, layers):
        self.features, self.handles = {}, []
        for name in layers:
            self.handles.append(model.get_submodule(name).register_forward_hook(self.save(name)))  # <- growing-site: net

    def save(self, name):
        def hook(module, inputs, output):
            self.features.setdefault(name, []).append(output)

        return hook

    def remove(self):
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def distance(net, a, b):
    extractor = FeatureExtractor(net, ["0", "2"])
    net(a), net(b)
    return sum((first - second).square().mean() for first, second in extractor.features.values()) \
        if all(len(kept) == 2 for kept in extractor.features.values()) else None


net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).cuda()
for number in range(60):
    distance(net, torch.rand(1, 3, 128, 128, device="cuda"), torch.rand(1, 3, 128, 128, device="cuda"))
