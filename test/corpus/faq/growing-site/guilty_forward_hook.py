"""A forward hook that saves activations in a list of the enclosing function."""
import torch
from torch import nn


def main():
    activations = []

    def save(module, inputs, output):
        activations.append(output.detach())  # <- growing-site: activations

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 1)).cuda()
    model[0].register_forward_hook(save)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(24):
        loss = model(torch.randn(16, 64, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
