"""Weights of every model that was compared stay in a closure that formats the table lazily."""
import torch
import torch.nn as nn


def build(width):
    return nn.Sequential(nn.Linear(256, width), nn.ReLU(), nn.Linear(width, 256)).cuda().eval()


def measure(model, inputs):
    with torch.no_grad():
        return sum(model(x).square().mean().item() for x in inputs) / len(inputs)


def compare(widths, inputs):
    rows = []
    for width in widths:
        model = build(width)
        error = measure(model, inputs)
        rows.append(lambda model=model, error=error: f"{sum(p.numel() for p in model.parameters())}: {error}")  # <- growing-site: rows
    return rows


def main():
    inputs = [torch.randn(64, 256, device="cuda") for _ in range(8)]
    rows = compare(range(512, 8192, 128), inputs)
    print("\n".join(row() for row in rows[:3]))


main()
