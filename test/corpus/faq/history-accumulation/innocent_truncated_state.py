"""A module that keeps the LSTM's state in attributes, detached before the next batch."""
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(16, 32)
        self.head = nn.Linear(32, 4)
        self.hidden = None

    def forward(self, inputs):
        if self.hidden is not None:
            self.hidden = tuple(part.detach() for part in self.hidden)
        self.hidden = self.cell(inputs, self.hidden)
        return self.head(self.hidden[0])


model = Tagger().cuda()
optimizer = torch.optim.RMSprop(model.parameters())
for _ in range(40):
    loss = model(torch.randn(8, 16, device="cuda")).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
