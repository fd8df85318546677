"""torch.compile with its default back end, Inductor, which needs Triton and a real driver: on the simulated GPU it fails
on its first call. The script says how, goes on without it, and ends in the same way with and without us."""
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
