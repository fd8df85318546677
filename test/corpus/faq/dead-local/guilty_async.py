"""An async function that awaits with a large temporary at hand."""
import asyncio

import torch


async def evaluate(summary):
    work = torch.empty(32, 1024, 1024, device="cuda")
    await asyncio.sleep(0)
    return work.sum() + summary


async def main():
    table = torch.zeros(48, 1024, 1024, device="cuda")  # <- dead-local: table
    summary = table.sum()
    return await evaluate(summary)


asyncio.run(main())
