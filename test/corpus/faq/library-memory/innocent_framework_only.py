"""Much memory, all of it PyTorch's."""
import torch

model = torch.nn.Sequential(*[torch.nn.Linear(2048, 2048) for _ in range(16)]).cuda()
model(torch.zeros(64, 2048, device="cuda")).sum().backward()
