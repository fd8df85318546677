# Reported: https://github.com/Lightning-AI/pytorch-lightning/issues/8453
"""A small loop class keeps what every validation step returns until the epoch's end: too much for the device."""
import torch
import torch.nn as nn

# sim: 512MiB


class EvaluationLoop:
    def __init__(self, module):
        self.module = module
        self.outputs = []

    def run(self, batches):
        for number in range(batches):
            self.outputs.append(self.module.validation_step(torch.randn(64, 3, 32, 32, device="cuda")))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 32, 3, padding=1)

    @torch.no_grad()
    def validation_step(self, batch):
        scores = self.net(batch)
        return {"loss": scores.square().mean().item(), "count": len(batch)}


loop = EvaluationLoop(Segmenter().cuda())
loop.run(200)
