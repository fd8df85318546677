"""Under --sim-compute: what the device computes is what the CPU computes, for a broad set of operators. Prints `ok` for
each check, or what differs; the CPU is the oracle."""
import copy
import threading

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


def same(name, got, wanted, tolerance=0.0):
    got = [t.detach().cpu() for t in got]
    worst = max(
        (float((g.double() - w.detach().double()).abs().max()) if g.numel() and g.shape == w.shape else 0.0)
        for g, w in zip(got, wanted)
    )
    shapes = all(g.shape == w.shape for g, w in zip(got, wanted)) and len(got) == len(wanted)
    print(name, "ok" if shapes and worst <= tolerance else f"differs by {worst}")


def steps(model, optimizer, batches, loss_of):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(model, *batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def both(name, model, inputs, tolerance=0.0, run=None, **optimizer):
    """Trains copies of a model on the CPU and on the device, and compares losses and weights."""
    run = run or (lambda m, x: m(x).square().mean())
    kind = optimizer.pop("kind", torch.optim.SGD)
    there = copy.deepcopy(model).cuda()
    fused = optimizer.pop("fused", None)
    here = steps(model, kind(model.parameters(), lr=1e-2, foreach=False, **optimizer), [(x,) for x in inputs], run)
    extra = {"fused": True} if fused else {}
    away = steps(there, kind(there.parameters(), lr=1e-2, **optimizer, **extra), [(x.cuda(),) for x in inputs], run)
    worst = max(abs(a - b) for a, b in zip(here, away))
    print(name, "ok" if worst <= tolerance else f"differs: {here} {away}")
    same(name + " weights", list(there.parameters()), list(model.parameters()), max(tolerance, 1e-6))


class Recurrent(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x)[0]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x):
        q, k, v = self.qkv(x).view(2, 7, 3, 4, 8).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


torch.manual_seed(0)
flat = [torch.randn(8, 16) for _ in range(3)]
both("mlp adam", nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1)), flat, kind=torch.optim.Adam)
both("mlp fused adamw", nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)), flat, 1e-6,
     kind=torch.optim.AdamW, fused=True)
both("norms", nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.BatchNorm1d(32)), flat, 1e-5, momentum=0.9)
images = [torch.randn(2, 4, 9, 9) for _ in range(2)]
both("convolutions", nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.SiLU(),
                                   nn.Conv2d(8, 8, 3, groups=8), nn.ConvTranspose2d(8, 4, 2, dilation=1)), images, 1e-5)
both("pooling", nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2), nn.Flatten()), images, 1e-5)
series = [torch.randn(5, 2, 6) for _ in range(2)]
both("lstm", Recurrent(nn.LSTM(6, 7, 2)), series, 1e-5)
both("gru", Recurrent(nn.GRU(6, 7)), series, 1e-5)
both("attention", Attention(), [torch.randn(2, 7, 32) for _ in range(2)], 1e-5)
tokens = [torch.randint(0, 20, (4, 6)) for _ in range(2)]
both("embedding", nn.Sequential(nn.Embedding(20, 8), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)),
     tokens, 1e-5)

# Views with any strides, in place, out=, index with masks, sorting.
a = torch.randn(6, 8)
for device in ("cpu", "cuda"):
    x = a.clone().to(device)
    x.t()[1:4].mul_(2)
    x[:, ::3] += 1
    x[x < -0.5] = 0.25
    torch.add(x[0], x[1], out=x[2])
    x.index_add_(0, torch.tensor([0, 0, 3], device=device), x[3:6].clone())
    values = [x, x.sort(1)[1], x.nonzero(), x.masked_select(x > 0), x.unique(), torch.cat([x, x.flip(0)]), x.cumsum(0),
              x.topk(3)[0], x.to(torch.bfloat16) @ x.t().to(torch.bfloat16), x.half().softmax(-1), x.argmax(), x.expand(2, 6, 8)]
    if device == "cpu":
        wanted = values
same("operators", values, wanted, 0.0)

with torch.autocast("cuda", dtype=torch.bfloat16):
    layer = nn.Linear(16, 16).cuda()
    low = layer(flat[0].cuda())
with torch.autocast("cpu", dtype=torch.bfloat16):
    same("autocast", [low.float()], [copy.deepcopy(layer).cpu()(flat[0]).float()])

scaler = torch.amp.GradScaler("cuda")
model = nn.Linear(16, 1).cuda()
sgd = torch.optim.SGD(model.parameters(), 1e-2)
scaler.scale(model(flat[0].cuda()).mean() * float("inf")).backward()
scaler.step(sgd)
scaler.update()
print("grad scaler", "ok" if scaler.get_scale() == 32768.0 else scaler.get_scale())

# Random numbers follow seeds and saved states: a checkpointed dropout drops alike.
drop = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.5), nn.Linear(64, 1)).cuda()
x = flat[0].cuda().requires_grad_()
results = []
for way in (lambda: drop(x), lambda: checkpoint(drop, x, use_reentrant=False)):
    torch.manual_seed(3)
    x.grad = None
    way().sum().backward()
    results.append(x.grad.cpu())
print("checkpoint", "ok" if torch.equal(*results) and results[0].abs().sum() > 0 else "differs")
torch.manual_seed(3)
first = torch.rand(1000, device="cuda"), torch.rand(1000, device="cuda")
torch.manual_seed(3)
again = torch.rand(1000, device="cuda")
different = not torch.equal(first[0], first[1])
print("seeds", "ok" if torch.equal(first[0], again) and different and 0.4 < again.mean().item() < 0.6 else "differ")
cpu = torch.random.get_rng_state()
torch.randn(10, device="cuda"), F.dropout(torch.ones(10, device="cuda"))
print("cpu generator", "ok" if torch.equal(cpu, torch.random.get_rng_state()) else "was used")

found = []
thread = threading.Thread(target=lambda: found.append((torch.ones(3, device="cuda") * 2).sum().item()))
thread.start()
thread.join()
print("thread", "ok" if found == [6.0] else found)
