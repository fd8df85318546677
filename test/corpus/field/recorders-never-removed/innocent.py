"""Activations are recorded while a context is open, which registers hooks. They go with the context."""
import contextlib
import torch
import torch.nn as nn


class Recorder:
    def __init__(self, net):
        self.net, self.records = net, {}
        self.handles = [
            module.register_forward_hook(self.hook(name))
            for name, module in net.named_modules() if isinstance(module, nn.Linear)
        ]

    def hook(self, name):
        def record(module, inputs, output):
            self.records.setdefault(name, []).append(output.detach())
        return record


@contextlib.contextmanager
def recording(net):
    recorder = Recorder(net)
    try:
        yield recorder
    finally:
        for handle in recorder.handles:
            handle.remove()


@torch.no_grad()
def analyse(net, batches):
    spreads = []
    for batch in batches:
        with recording(net) as recorder:
            net(batch)
            spreads.append({name: float(outputs[-1].std()) for name, outputs in recorder.records.items()})
    return spreads


def main():
    net = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 8)).cuda()
    print(len(analyse(net, (torch.randn(64, 128, device="cuda") for _ in range(80)))))


main()
