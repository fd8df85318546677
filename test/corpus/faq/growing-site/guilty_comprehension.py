"""Per-sample results collected with a comprehension, inside try/except."""
import torch
from torch import nn


def run():
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = []
    for _ in range(24):
        try:
            out = model(torch.randn(4, 64, device="cuda"))
            optimizer.zero_grad()
            out.mean().backward()
            optimizer.step()
        except RuntimeError:
            raise
        kept += [row.detach().clone() for row in out]  # <- growing-site: kept
    return kept[0].shape


run()
