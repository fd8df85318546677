# Reported: https://github.com/pytorch/pytorch/issues/46386
"""Try many widths; each network watches its own outputs through a hook that it registers on itself."""
import gc

import torch
import torch.nn as nn


class Watched(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Linear(512, width)
        self.mean = 0.0

        def watch(module, inputs, output):
            self.mean = float(output.sum())

        self.register_forward_hook(watch)  # <- reference-cycle|growing-site: Watched

    def forward(self, x):
        return self.body(x)


gc.disable()
with torch.no_grad():
    for trial in range(24):
        net = Watched(1024).cuda()
        net(torch.randn(8, 512, device="cuda"))
        del net
print(torch.cuda.memory_allocated() >> 20, "MiB")
