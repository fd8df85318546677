# Device: 1GiB
"""Requests are answered side by side by tasks, as many as come."""
import asyncio

import torch
import torch.nn as nn

model = nn.Linear(1024, 1024).cuda()


async def answer(number):
    hidden = model(torch.randn(2048, 1024, device="cuda"))  # <- out-of-memory: answer
    await asyncio.sleep(0.01)
    return hidden.mean().item()


async def serve():
    with torch.no_grad():
        await asyncio.gather(*(answer(number) for number in range(120)))


asyncio.run(serve())
