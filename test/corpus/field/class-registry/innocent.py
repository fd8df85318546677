"""Every detector registers itself with its class; a service makes one for each stream."""
import torch
import torch.nn as nn


class Detector(nn.Module):
    instances = []

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(512, 512)
        Detector.instances.append(type(self).__name__)

    def forward(self, x):
        return self.head(x)


def watch(stream):
    detector = Detector().cuda()
    with torch.no_grad():
        for _ in range(5):
            detector(torch.randn(16, 512, device="cuda"))


for stream in range(40):
    watch(stream)
print(torch.cuda.memory_allocated() >> 20, "MiB")
