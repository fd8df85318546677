"""Every passage of a stream is embedded and put into an index, which is one tensor on the device."""
import torch
from torch import nn


class Index:
    def __init__(self, most=200, size=4096):
        self.passages, self.vectors = [], torch.zeros(most, size, device="cuda")

    def add(self, passage, vector):
        self.vectors[len(self.passages) % len(self.vectors)] = vector
        self.passages.append(passage)

    def nearest(self, vector, k=5):
        return (self.vectors @ vector).topk(min(k, len(self.vectors))).indices


def main():
    encoder = nn.Sequential(nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 4096)).cuda().eval()
    index = Index()
    for number in range(250):
        with torch.no_grad():
            vectors = encoder(torch.randn(4, 64, device="cuda"))
        for part, vector in enumerate(vectors):
            index.add((number, part), vector)
        index.nearest(vectors[0])
    print(len(index.passages))


main()
