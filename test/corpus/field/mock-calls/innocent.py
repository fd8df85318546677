"""A mock stands in for the scorer of an evaluation, and remembers the arguments of every call."""
import unittest.mock

import torch
import torch.nn as nn

model = nn.Linear(512, 512).cuda()
score = unittest.mock.Mock(return_value=0.5)
with torch.no_grad():
    for batch in range(120):
        score(model(torch.randn(256, 512, device="cuda")))
        score.reset_mock()
print(torch.cuda.memory_allocated() >> 20, "MiB")
