"""A language model with an LSTM whose hidden state is repackaged after every 35 tokens."""
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, vocabulary, size):
        super().__init__()
        self.encoder = nn.Embedding(vocabulary, size)
        self.rnn = nn.LSTM(size, size, 2)
        self.decoder = nn.Linear(size, vocabulary)

    def forward(self, tokens, hidden):
        out, hidden = self.rnn(self.encoder(tokens), hidden)
        return self.decoder(out), hidden


def repackage(hidden):
    return tuple(h.detach() for h in hidden)


def train():
    model = Model(200, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hidden = (torch.zeros(2, 8, 64, device="cuda"), torch.zeros(2, 8, 64, device="cuda"))
    total = 0.0
    for _ in range(20):
        tokens = torch.zeros(35, 8, dtype=torch.long, device="cuda")
        hidden = repackage(hidden)
        out, hidden = model(tokens, hidden)
        loss = out.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        total += loss.item()


train()
