"""Nested, sparse and quantised tensors, and a view changed in place: unusual, and none of them a leak."""
import torch
from torch import nn

net = nn.Linear(32, 8).cuda()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
nested = torch.nested.nested_tensor([torch.ones(3, 32), torch.ones(5, 32)], device="cuda")
sparse = torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long, device="cuda"), torch.ones(1, device="cuda"), (4, 4))
rows = torch.zeros(8, 8, device="cuda")
view = rows[0]
rows.mul_(2)
kept = {"nested": nested, "sparse": sparse, "view": view, "meta": torch.empty(4, 4, device="meta")}
for _ in range(20):
    loss = net(torch.randn(4, 32, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
