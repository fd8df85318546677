"""Objects whose finalizers raise, some in cycles, created all the time."""
import torch


class Angry:
    def __init__(self):
        self.me = self
        self.data = torch.zeros(256, 1024, device="cuda")

    def __del__(self):
        raise RuntimeError("angry")


for _ in range(30):
    Angry()
print("done")
