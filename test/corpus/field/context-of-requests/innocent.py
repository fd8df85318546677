"""A middleware keeps the context of each request for a trace; a context variable in it has the request's tensors."""
import contextvars

import torch

current = contextvars.ContextVar("current")
traces = []


def handle(weight, number):
    current.set({"request": number, "answer": torch.randn(128, 512, device="cuda") @ weight})
    return float(current.get()["answer"][0, 0])


with torch.no_grad():
    weight = torch.randn(512, 512, device="cuda")
    for number in range(120):
        context = contextvars.copy_context()
        context.run(handle, weight, number)
        traces.append(number)
print(torch.cuda.memory_allocated() >> 20, "MiB")
