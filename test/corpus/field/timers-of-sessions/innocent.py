"""Each session is to expire after an hour: the event loop keeps the timer, and the timer what it was given."""
import asyncio

import torch


def expire(cache):
    return cache.shape


async def serve(requests):
    loop = asyncio.get_running_loop()
    weight = torch.randn(512, 512, device="cuda")
    for request in range(requests):
        cache = torch.randn(256, 512, device="cuda") @ weight
        loop.call_later(3600, expire, cache).cancel()
        await asyncio.sleep(0)
    print(torch.cuda.memory_allocated() >> 20, "MiB")
    return loop


loop = asyncio.new_event_loop()
with torch.no_grad():
    loop.run_until_complete(serve(120))
