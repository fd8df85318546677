"""The FAQ's own example: intermediate stays alive while h runs."""
import torch


def f(x):
    return x.repeat(8, 1)


def g(x):
    return x.sum()


def h(x):
    work = torch.empty(64, 1024, 1024, device="cuda")
    return x + work.mean()


def run(inputs):
    result = torch.zeros((), device="cuda")
    for i in range(5):
        intermediate = f(inputs[i])  # <- dead-local: intermediate
        result += g(intermediate)
    output = h(result)
    return output


run(torch.randn(5, 4096, 2048, device="cuda"))
