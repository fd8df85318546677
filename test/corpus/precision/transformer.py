"""A Transformer with AdamW, gradient clipping and a warm-up schedule. The objects stay alive: the roles test reads what
they hold from the last line of the output."""
import json

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, vocabulary=512, size=64, layers=3):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, size)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(size, 4, 4 * size, batch_first=True) for _ in range(layers))
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, vocabulary, bias=False)
        self.register_buffer("positions", torch.zeros(1, 32, size))

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


net = Net().cuda()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 10))
for step in range(20):
    tokens = torch.zeros(4, 32, dtype=torch.long, device="cuda")
    loss = nn.functional.cross_entropy(net(tokens).flatten(0, 1), tokens.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    scheduler.step()


def block_bytes(tensors):  # the allocator hands out multiples of 512 bytes
    return sum((t.numel() * t.element_size() + 511) // 512 * 512 for t in tensors if t is not None and t.is_cuda)


parameters = dict(net.named_parameters())
print(json.dumps({
    "parameter": block_bytes(parameters.values()),
    "gradient": block_bytes(p.grad for p in parameters.values()),
    "optimizer_state": block_bytes(t for state in optimizer.state.values() for t in state.values()),
    "buffer": block_bytes(net.buffers()),
    "names": sorted(parameters),
}))
