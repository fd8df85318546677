# Reported: https://github.com/topoteretes/cognee/issues/3183
"""A server keeps a strong reference to each of its background tasks and never drops the finished ones."""
import asyncio

import torch

tasks = set()


async def answer(weight):
    await asyncio.sleep(0)
    with torch.no_grad():
        return torch.randn(256, 512, device="cuda") @ weight


async def serve(requests):
    weight = torch.randn(512, 512, device="cuda")
    for _ in range(requests):
        task = asyncio.create_task(answer(weight))
        tasks.add(task)  # <- growing-site: tasks
        await task


asyncio.run(serve(130))
print(torch.cuda.memory_allocated() >> 20, "MiB")
