"""A network that gets another layer after each stage, as progressive growing does; its optimizer's state follows."""
import torch
from torch import nn

layers = nn.ModuleList([nn.Linear(512, 512).cuda()])
optimizer = torch.optim.Adam(layers.parameters())
for stage in range(8):
    for step in range(10):
        x = torch.randn(64, 512, device="cuda")
        for layer in layers:
            x = torch.relu(layer(x))
        loss = x.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    another = nn.Linear(512, 512).cuda()
    layers.append(another)
    optimizer.add_param_group({"params": another.parameters()})
