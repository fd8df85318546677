"""Inference without an optimizer: a cache made of lists of blocks, one prompt, most of the memory in use."""
import torch


class PagedCache:
    def __init__(self, layers):
        self.keys = [[] for _ in range(layers)]
        self.values = [[] for _ in range(layers)]

    def add(self, layer, key, value):
        self.keys[layer].append(key)
        self.values[layer].append(value)
        return torch.cat(self.keys[layer]), torch.cat(self.values[layer])


@torch.no_grad()
def answer(weights, length):
    cache = PagedCache(len(weights))
    x = torch.randn(1, 256, device="cuda")
    for _ in range(length):
        for layer, weight in enumerate(weights):
            keys, values = cache.add(layer, x @ weight, x @ weight.T)
            x = torch.softmax(x @ keys.T, -1) @ values
    return x.cpu()


weights = [torch.randn(256, 256, device="cuda") for _ in range(2)]
print(len([answer(weights, 200) for _ in range(3)]))
