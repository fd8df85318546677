"""An index of embeddings that gets a row for each query; main() lets go of it at its end."""
import torch
import torch.nn as nn


class Index:
    def __init__(self):
        self.encoder = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).cuda().eval()
        self.rows = []

    @torch.no_grad()
    def query(self, inputs):
        embedding = self.encoder(inputs)
        self.rows.append(embedding)  # <- growing-site: rows
        return embedding.mean().item()


def main():
    index = Index()
    for _ in range(300):
        index.query(torch.randn(512, 512, device="cuda"))


main()
