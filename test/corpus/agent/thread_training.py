"""Training in a worker thread while the main thread waits in join()."""
import threading

import torch
from torch import nn


def train():
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(24):
        loss = model(torch.randn(8, 64, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    print(len(losses))


torch.zeros(1, device="cuda")
worker = threading.Thread(target=train)
worker.start()
worker.join()
