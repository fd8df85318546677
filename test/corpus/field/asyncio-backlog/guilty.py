"""Requests wait in an asyncio.Queue without a limit, their inputs on the device already; the worker is too slow."""
import asyncio

import torch
import torch.nn as nn

model = nn.Linear(512, 512).cuda()


class Server:
    def __init__(self):
        self.waiting = asyncio.Queue()

    async def accept(self, inputs):
        await self.waiting.put(inputs.to("cuda"))  # <- growing-site: waiting

    async def work(self):
        while True:
            inputs = await self.waiting.get()
            model(inputs).mean()
            for _ in range(3):
                await asyncio.sleep(0)


async def main(server):
    worker = asyncio.create_task(server.work())
    for request in range(240):
        await server.accept(torch.randn(256, 512))
        await asyncio.sleep(0)
    print(server.waiting.qsize(), "wait", torch.cuda.memory_allocated() >> 20, "MiB")
    return worker


server = Server()
loop = asyncio.new_event_loop()
with torch.no_grad():
    worker = loop.run_until_complete(main(server))
