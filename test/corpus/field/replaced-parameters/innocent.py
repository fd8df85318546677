"""Points are added to a scene by new parameters, which take over the moments of the old ones."""
import torch
import torch.nn as nn


class Splats:
    def __init__(self, n):
        self.xyz = nn.Parameter(torch.rand(n, 64, device="cuda"))
        self.colour = nn.Parameter(torch.rand(n, 64, device="cuda"))
        self.optimizer = torch.optim.Adam([{"params": [self.xyz], "name": "xyz"}, {"params": [self.colour], "name": "colour"}], lr=1e-3)

    def densify(self):
        for group in self.optimizer.param_groups:
            old = getattr(self, group["name"])
            new = nn.Parameter(torch.cat([old.detach(), old.detach()[:64]]))
            moments = self.optimizer.state.pop(old, {})
            for name, value in moments.items():
                if value.dim():
                    moments[name] = torch.cat([value, torch.zeros_like(value[:64])])
            group["params"][0] = new
            if moments:
                self.optimizer.state[new] = moments
            setattr(self, group["name"], new)


splats = Splats(4000)
for step in range(60):
    loss = (splats.xyz.sum(1) - splats.colour.sum(1)).square().mean()
    splats.optimizer.zero_grad()
    loss.backward()
    splats.optimizer.step()
    if step % 2 == 1:
        splats.densify()
