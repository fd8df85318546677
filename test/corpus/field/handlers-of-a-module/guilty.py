"""An event bus in a module of its own: each job subscribes, and none takes its handler back."""
import torch
import torch.nn as nn
from bus import handlers


class Job:
    def __init__(self, model, image):
        self.model = model
        self.image = image.cuda()
        handlers.append(self.on_tick)  # <- growing-site: handlers

    def on_tick(self):
        self.ticks = len(handlers)

    @torch.no_grad()
    def run(self):
        self.result = self.model(self.image)

    def close(self):
        handlers.remove(self.on_tick)


model = nn.Conv2d(3, 3, 5, padding=2).cuda()
for number in range(120):
    job = Job(model, torch.rand(1, 3, 128, 128))
    job.run()
print(torch.cuda.memory_allocated() >> 20, "MiB")
