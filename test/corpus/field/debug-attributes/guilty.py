"""Debug tensors are put on the model under a name for each step."""
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(512, 512)
        self.calls = 0

    def forward(self, x):
        y = self.layer(x)
        setattr(self, f"debug_{self.calls}", y.detach())  # <- growing-site: debug
        self.calls += 1
        return y


model = Net().cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(100):
    loss = model(torch.randn(256, 512, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
