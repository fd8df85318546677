"""A search starts again with a new model and adds its parameters to the optimizer that it has."""
import torch

model = torch.nn.Linear(1024, 1024).cuda()
optimizer = torch.optim.Adam(model.parameters())
for trial in range(12):
    for step in range(3):
        loss = model(torch.randn(32, 1024, device="cuda")).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model = torch.nn.Linear(1024, 1024).cuda()
    optimizer.add_param_group({"params": list(model.parameters())})  # <- growing-site: optimizer.state
print(len(optimizer.param_groups))
