"""A model that knows its trainer, and one with a hook of its own: cycles that come to be when main() is over."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(512, 1024), nn.Linear(1024, 10)
        self.norm = 0.0
        self.first.register_forward_hook(self.watch)

    def watch(self, module, inputs, output):
        self.norm = float(output.detach().norm())

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())
        model.trainer = self

    def fit(self, steps):
        for _ in range(steps):
            x, y = torch.randn(64, 512, device="cuda"), torch.randint(0, 10, (64,), device="cuda")
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()


class Reader:
    """Learns nothing: its memory is as old as the program."""

    def __init__(self):
        self.net = Net().cuda().eval()
        self.net.reader = self

    @torch.inference_mode()
    def read(self, pages):
        return [int(self.net(torch.randn(8, 512, device="cuda")).argmax()) for _ in range(pages)]


def main():
    trainer, reader = Trainer(Net().cuda()), Reader()
    trainer.fit(100)
    print(len(reader.read(30)))


if __name__ == "__main__":
    main()
