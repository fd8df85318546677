"""A metric with list states, updated in every validation and never reset."""
import torch
import torch.nn as nn


class Metric(nn.Module):
    def __init__(self):
        super().__init__()
        self._defaults = {}

    def add_state(self, name, default):
        setattr(self, name, default)
        self._defaults[name] = default

    def reset(self):
        for name in self._defaults:
            setattr(self, name, [])


class AveragePrecision(Metric):
    def __init__(self):
        super().__init__()
        self.add_state("preds", [])
        self.add_state("target", [])

    def update(self, preds, target):
        self.preds.append(preds)  # <- growing-site: preds
        self.target.append(target)

    def compute(self):
        return (torch.cat(self.preds).argmax(1) == torch.cat(self.target)).float().mean()


class LitModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(512, 1000)
        self.val_ap = AveragePrecision()

    def validation_step(self, batch):
        x, y = batch
        with torch.no_grad():
            logits = self.net(x)
        self.val_ap.update(logits, y)


model = LitModel().cuda()
optimizer = torch.optim.SGD(model.net.parameters(), lr=0.1)
for epoch in range(12):
    for _ in range(5):
        loss = model.net(torch.randn(64, 512, device="cuda")).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for _ in range(6):
        model.validation_step((torch.randn(64, 512, device="cuda"), torch.zeros(64, dtype=torch.long, device="cuda")))
    print(epoch, model.val_ap.compute().item())
