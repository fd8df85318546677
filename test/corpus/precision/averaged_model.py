"""An averaged model beside the trained one (torch.optim.swa_utils)."""
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

m = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Linear(64, 4)).cuda()
ema = AveragedModel(m, multi_avg_fn=get_ema_multi_avg_fn(0.99))
opt = torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
for _ in range(40):
    loss = m(torch.randn(32, 64, device="cuda")).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    ema.update_parameters(m)
