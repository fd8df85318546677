"""An async training loop below a context manager, total in a module global."""
import asyncio
import contextlib

import torch
from torch import nn

total = 0


async def train():
    global total
    model = nn.Linear(32, 2).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with contextlib.suppress(KeyboardInterrupt):
        for _ in range(20):
            loss = model(torch.randn(16, 32, device="cuda")).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total = total + loss  # <- history-accumulation: total
            await asyncio.sleep(0)


asyncio.run(train())
