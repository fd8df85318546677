"""The logs of an epoch are summed in a new dict for each batch; the values have graphs."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Trainer:
    def __init__(self):
        self.encoder, self.decoder = nn.Linear(128, 32).cuda(), nn.Linear(16, 128).cuda()
        self.optimizer = torch.optim.Adam([*self.encoder.parameters(), *self.decoder.parameters()])

    def compute(self, x):
        mean, logvar = self.encoder(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
        recon = F.mse_loss(self.decoder(z), x)
        kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).mean()
        return {"loss": recon + 0.1 * kl, "recon": recon, "kl": kl}

    def epoch(self, count):
        totals = {}
        for number in range(count):
            logs = self.compute(torch.randn(512, 128, device="cuda"))
            self.optimizer.zero_grad()
            logs["loss"].backward()
            self.optimizer.step()
            totals = {key: totals.get(key, 0) + value.item() for key, value in logs.items()}
        return {key: float(value) / count for key, value in totals.items()}


def main():
    trainer = Trainer()
    for epoch in range(2):
        print(epoch, trainer.epoch(60))


main()
