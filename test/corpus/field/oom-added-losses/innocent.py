# Device: 512MiB
"""The losses of an epoch are added up for one backward pass: out-of-memory is told by the sum, not by the last batch."""
import torch
import torch.nn as nn


def train_epoch(model, loader, optimizer, criterion):
    total_loss = 0.0
    optimizer.zero_grad()
    for x, y in loader:
        x, y = x.cuda(), y.cuda()
        loss = criterion(model(x), y)
        loss.backward()
        total_loss += loss.item()
    optimizer.step()


model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 10)).cuda()
loader = [(torch.randn(512, 512), torch.randint(0, 10, (512,))) for _ in range(16)] * 8
train_epoch(model, loader, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
