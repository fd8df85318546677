"""Two running methods, each with a `self` that holds a model, one of them without what the other's has."""
import torch
import torch.nn as nn


class Small:
    def __init__(self):
        self.model = nn.Sequential(nn.Linear(8, 8)).cuda()

    def run(self, other):
        return other.run()


class Large:
    def __init__(self):
        self.model = nn.ModuleDict({"encoder": nn.Linear(2048, 2048)}).cuda()
        self.kept = []

    def run(self):
        while True:
            self.kept.append(torch.empty(1 << 24, device="cuda"))


try:
    Small().run(Large())
except torch.OutOfMemoryError:
    print("out of memory")
