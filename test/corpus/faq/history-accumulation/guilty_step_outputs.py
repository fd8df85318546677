"""A module in the manner of Lightning whose outputs of the steps are never cleared."""
import torch
from torch import nn


class LitModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
        self.training_step_outputs = []

    def training_step(self, batch, idx):
        x, y = batch
        logits = self.net(x)
        loss = nn.functional.cross_entropy(logits, y)
        self.training_step_outputs.append({"loss": loss, "predicted": logits.argmax(1)})  # <- history-accumulation: training_step_outputs
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_epoch_end(self):
        avg = torch.stack([o["loss"] for o in self.training_step_outputs]).mean()
        self.log_value = avg.item()


class Fit:
    def __init__(self, epochs):
        self.epochs = epochs

    def fit(self, m, loader):
        m.cuda()
        opt = m.configure_optimizers()
        for e in range(self.epochs):
            for i, b in enumerate(loader):
                b = tuple(t.cuda() for t in b)
                opt.zero_grad()
                m.training_step(b, i).backward()
                opt.step()
            m.on_train_epoch_end()


Fit(4).fit(LitModule(), [(torch.randn(8, 32), torch.randint(0, 10, (8,))) for _ in range(10)])
