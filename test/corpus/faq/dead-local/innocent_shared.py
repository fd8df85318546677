"""Locals that are not read again, but whose memory something else needs: a view, a container, a closure, a graph."""
import torch


def run(weights):
    base = torch.zeros(32, 1024, 1024, device="cuda")
    view = base[0:16]
    kept = {"x": torch.zeros(16, 1024, 1024, device="cuda")}
    x = kept["x"]
    inner = torch.zeros(16, 1024, 1024, device="cuda")
    read = lambda: inner.sum()
    product = weights * weights
    squared = product.sin()
    loss = squared.mean()
    work = torch.empty(64, 1024, 1024, device="cuda")
    loss.backward()
    return view.sum() + kept["x"].sum() + read() + work.sum()


run(torch.zeros(8, 1024, 1024, device="cuda", requires_grad=True))
