"""A signal handler that raises must reach the script, wherever the signal comes."""
import signal

import torch
from torch import nn


class Alarm(Exception):
    pass


def ring(number, frame):
    raise Alarm


def main():
    signal.signal(signal.SIGALRM, ring)
    model = nn.Linear(8, 8).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rung = 0
    for _ in range(20):
        kept = []
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        try:
            while True:
                kept.append(model(torch.zeros(8, 8, device="cuda")).sum())
                optimizer.step()
        except Alarm:
            rung += 1
    return rung


print(main())
