"""A custom function keeps its inputs in a list of its class, for a debugger that nobody attaches."""
import torch
import torch.nn as nn


class Clamp(torch.autograd.Function):
    seen = []

    @staticmethod
    def forward(ctx, x, limit):
        ctx.save_for_backward(x)
        ctx.limit = limit
        Clamp.seen.append(x)  # <- growing-site|history-accumulation: seen
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        return grad * (x.abs() <= ctx.limit), None


model = nn.Linear(128, 256).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(60):
    out = Clamp.apply(model(torch.randn(256, 128, device="cuda")), 1.0)
    optimizer.zero_grad()
    out.mean().backward()
    optimizer.step()
print(len(Clamp.seen))
