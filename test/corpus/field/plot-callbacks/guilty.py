# Reported: https://github.com/cdtools-developers/cdtools/pull/87
"""Each iteration leaves a function that would redraw its picture, and with it the tensors that it closes over."""
import torch
import torch.nn as nn


class Panel:
    def __init__(self):
        self.redraws = []

    def show(self, image):
        def redraw():
            return image.mean().item()

        self.redraws.append(redraw)  # <- growing-site: redraws


panel = Panel()
model = nn.Linear(512, 512).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(60):
    output = model(torch.randn(256, 512, device="cuda"))
    loss = output.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    panel.show(output.detach())
print(torch.cuda.memory_allocated() >> 20, "MiB")
