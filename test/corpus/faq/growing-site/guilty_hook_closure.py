"""Forward hooks made by a factory: the closure's list gets every layer's activation of every step."""
import torch
from torch import nn


def watch(model):
    activations = []

    def make(name):
        def hook(module, inputs, output):
            activations.append((name, output.detach()))  # <- growing-site: activations
        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(make(name))


def main():
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8)).cuda()
    watch(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(25):
        loss = model(torch.randn(16, 64, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
