"""Outputs of a validation are decollated to one dict for each sample, whose entries are views of the batch."""
import torch
import torch.nn as nn


def decollate(batch):
    return [{key: value[i] for key, value in batch.items()} for i in range(len(batch["pred"]))]


class Evaluator:
    def __init__(self, network):
        self.network = network
        self.outputs = []

    def run(self, loader):
        self.network.eval()
        with torch.no_grad():
            for batch in loader:
                image = batch["image"].cuda()
                pred = self.network(image)
                self.outputs.extend(decollate({"image": image.cpu(), "pred": pred.argmax(1).cpu()}))
        return len(self.outputs)


def loader():
    for _ in range(120):
        yield {"image": torch.randn(4, 1, 128, 128)}


def main():
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)).cuda()
    evaluator = Evaluator(network)
    print(evaluator.run(loader()))


main()
