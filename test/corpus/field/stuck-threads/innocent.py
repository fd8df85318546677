"""Each request has a thread, which waits for an acknowledgement that never comes, with the answer in its hands."""
import threading

import torch
import torch.nn as nn

model = nn.Linear(512, 512).cuda()
acknowledged = threading.Event()


def handle(request):
    with torch.no_grad():
        answer = model(torch.randn(256, 512, device="cuda"))
    total = answer.sum().item() + request
    del answer
    acknowledged.wait(60)
    return total


for request in range(60):
    thread = threading.Thread(target=handle, args=(request,), daemon=True)
    thread.start()
    thread.join(0.02)
print(torch.cuda.memory_allocated() >> 20, "MiB")
