"""Inference with one giant projection made in a function."""
import torch
from torch import nn


def build():
    layer = nn.Linear(8192, 8192, device="cuda")
    return layer


@torch.no_grad()
def main():
    project = build()  # <- large-layer: project
    x = torch.randn(4, 8192, device="cuda")
    for _ in range(30):
        x = project(x)
    return x.sum()


main()
