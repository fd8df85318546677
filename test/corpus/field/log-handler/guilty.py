"""A handler of the logging module keeps records for a report; each has the tensor that was logged as its argument."""
import logging

import torch
import torch.nn as nn


class Buffer(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)  # <- growing-site: records


buffer = Buffer()
log = logging.getLogger("train")
log.setLevel(logging.INFO)
log.addHandler(buffer)
log.propagate = False
model = nn.Linear(512, 512).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(40):
    output = model(torch.randn(64, 512, device="cuda"))
    loss = output.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    log.info("step %d: %s", step, output.detach())
print(torch.cuda.memory_allocated() >> 20, "MiB")
