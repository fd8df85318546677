"""A watcher of gradients keeps a copy of each, by the parameter's name, for a plot that is made at the end."""
import torch


class Watcher:
    def __init__(self, model):
        self.history = {}
        for name, parameter in model.named_parameters():
            parameter.register_hook(self.hook_for(name))

    def hook_for(self, name):
        def hook(gradient):
            self.history.setdefault(name, []).append(gradient.clone())  # <- growing-site: watch

        return hook


model = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10)).cuda()
watcher = Watcher(model)
optimizer = torch.optim.Adam(model.parameters())
for step in range(60):
    loss = model(torch.randn(32, 512, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
