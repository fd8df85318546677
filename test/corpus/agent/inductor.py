"""torch.compile with its default back end, Inductor, without caches on disk: each run compiles, and allocates, the same.
Where it fails, the script says how and goes on without it; it ends in the same way with and without us."""
import os

os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
import torch
from torch import nn

net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


def loss_of(batch):
    return net(batch).pow(2).mean()


compiled = torch.compile(loss_of)
failures = 0
for step in range(6):
    batch = torch.randn(16, 32, device="cuda")
    try:
        loss = compiled(batch)
    except Exception as error:
        failures += 1
        print(type(error).__name__, str(error).splitlines()[0])
        torch._dynamo.reset()
        compiled = loss_of
        loss = compiled(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
del loss, batch
print(failures, torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated())
