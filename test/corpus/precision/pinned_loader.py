"""A DataLoader with pinned memory, autocast and a GradScaler."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ds = TensorDataset(torch.randn(640, 64), torch.randint(0, 4, (640,)))
dl = DataLoader(ds, 32, shuffle=True, pin_memory=True)
m = nn.Linear(64, 4).cuda()
opt = torch.optim.AdamW(m.parameters())
scaler = torch.amp.GradScaler("cuda")
for e in range(3):
    tot = torch.zeros((), device="cuda")
    for x, y in dl:
        x, y = x.cuda(non_blocking=True), y.cuda(non_blocking=True)
        with torch.autocast("cuda", torch.float16):
            loss = nn.functional.cross_entropy(m(x), y)
        opt.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        tot += loss.detach()
    print(tot.item())
