"""What a writer puts off is never done, and refers to the writer: with the end of main() it is lost as a cycle, but that
is not what made it grow."""
import functools

import torch
import torch.nn as nn


class Writer:
    def __init__(self, every):
        self.every, self.calls, self.deferred = every, 10, []

    def add(self, images):
        self.deferred.append(functools.partial(self.write, images))  # <- growing-site: deferred
        self.calls += 1

    def write(self, images):
        return images.cpu()

    def flush(self):
        while self.deferred:
            self.deferred.pop()()

    def maybe_flush(self):
        if self.calls == self.every:
            self.flush()


def main():
    net, writer = nn.Linear(1024, 1024).cuda(), Writer(5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(60):
        out = net(torch.rand(64, 1024, device="cuda"))
        loss = out.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        writer.add(out.detach())
        writer.maybe_flush()


main()
