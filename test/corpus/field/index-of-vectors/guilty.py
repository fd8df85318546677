"""Every passage of a stream is embedded and put into an index, which is one tensor on the device."""
import torch
from torch import nn


class Index:
    def __init__(self):
        self.passages, self.vectors = [], None

    def add(self, passage, vector):
        self.passages.append(passage)
        vector = vector[None]
        self.vectors = vector if self.vectors is None else torch.cat([self.vectors, vector])  # <- growing-site: vectors

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
