"""A module that keeps the LSTM's state in attributes from batch to batch, with retain_graph to make it run."""
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(16, 32)
        self.head = nn.Linear(32, 4)
        self.hidden = None

    def forward(self, inputs):
        if self.hidden is None:
            self.hidden = (torch.zeros(8, 32, device="cuda"), torch.zeros(8, 32, device="cuda"))
        self.hidden = self.cell(inputs, self.hidden)  # <- history-accumulation: hidden
        return self.head(self.hidden[0])


model = Tagger().cuda()
optimizer = torch.optim.SGD([torch.zeros(1, device="cuda", requires_grad=True)], lr=0.1)
for _ in range(20):
    loss = model(torch.randn(8, 16, device="cuda")).pow(2).mean()
    optimizer.zero_grad()
    torch.autograd.grad(loss, model.head.parameters(), retain_graph=True)
    optimizer.step()
