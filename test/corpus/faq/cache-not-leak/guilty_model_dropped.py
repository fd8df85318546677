"""A model that was used and dropped."""
import torch
from torch import nn


class Holder:
    def __init__(self):
        self.model = nn.Sequential(*[nn.Linear(4096, 4096) for _ in range(8)]).cuda()  # expect: cache-not-leak


holder = Holder()
holder.model(torch.zeros(4, 4096, device="cuda"))
holder = None
