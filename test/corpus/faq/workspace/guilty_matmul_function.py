"""The same by a plain product in a function."""
import torch


def product():
    a = torch.randn(64, 64, device="cuda")
    return a @ a  # expect: workspace


product()
