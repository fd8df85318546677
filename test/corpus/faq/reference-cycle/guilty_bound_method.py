"""An object that stores its own bound method."""
import torch


class Model:
    def __init__(self):
        self.weights = torch.zeros(1024, 1024, device="cuda")
        self.callback = self.run  # <- reference-cycle: Model

    def run(self):
        return self.weights.sum()


def use():
    return Model().callback()


for _ in range(3):
    use()
