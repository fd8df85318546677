"""A word-level language model: an LSTM whose parameters are updated by hand. python lstm.py N [STEPS]"""

import sys, torch
from torch import nn
n = int(sys.argv[1])
class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp, nhid, nlayers):
        super().__init__()
        self.drop, self.encoder = nn.Dropout(0.2), nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=0.2)
        self.decoder, self.ntoken = nn.Linear(nhid, ntoken), ntoken
    def forward(self, input, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return torch.log_softmax(self.decoder(self.drop(output)).view(-1, self.ntoken), 1), hidden
model = RNNModel(10000, 200, 200, 2).cuda()
hidden = (torch.zeros(2, n, 200, device="cuda"), torch.zeros(2, n, 200, device="cuda"))
for step in range(40 if len(sys.argv) < 3 else int(sys.argv[2])):
    data = torch.zeros(35, n, dtype=torch.long, device="cuda")
    model.zero_grad()
    hidden = tuple(h.detach() for h in hidden)
    output, hidden = model(data, hidden)
    loss = nn.NLLLoss()(output, data.view(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    for p in model.parameters():
        p.data.add_(p.grad, alpha=-20)
