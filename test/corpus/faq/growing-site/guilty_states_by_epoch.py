"""A checkpoint object that keeps the weights of every epoch, by epoch, on the device."""
import torch
from torch import nn


class Checkpointer:
    def __init__(self):
        self.states = {}

    def save(self, epoch, model, metric):
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        self.states[epoch] = {"model": weights, "metric": metric}  # <- growing-site: states


model = nn.Linear(256, 256).cuda()
opt = torch.optim.Adam(model.parameters())
ck = Checkpointer()
for epoch in range(20):
    for _ in range(3):
        loss = model(torch.randn(8, 256, device="cuda")).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    ck.save(epoch, model, loss.item())
