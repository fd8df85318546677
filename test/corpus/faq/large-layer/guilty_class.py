"""A classifier on flattened images: its first layer is nearly the whole model."""
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Linear(3 * 128 * 128, 1024)  # <- large-layer: flat
        self.head = nn.Linear(1024, 10)

    def forward(self, x):
        return self.head(torch.relu(self.flat(x.flatten(1))))


def main():
    model = Classifier().to("cuda")
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        loss = model(torch.randn(4, 3, 128, 128, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
