"""The features of a data set are collected first, then compared with their mean; main() lets go of them at its end."""
import torch
import torch.nn as nn


@torch.no_grad()
def features(encoder, count):
    rows = []
    for _ in range(count):
        rows.append(encoder(torch.randn(512, 512, device="cuda")))
    return rows


def main():
    encoder = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).cuda().eval()
    rows = features(encoder, 300)
    center = sum(row.mean(0) for row in rows) / len(rows)
    print(sum((row - center).square().sum(1).mean().item() for row in rows))
    together = torch.cat(features(encoder, 200))
    print(together.norm(dim=-1).mean().item())


main()
