"""Trains and keeps its batches in a collection that has a limit of 150, in 140 steps: python bounded.py CLASS. Those whose
names begin with Endless have none."""
import collections
import functools
import heapq
import sys

import torch
import torch.nn as nn


class Ring:
    def __init__(self):
        self.items, self.size = {}, 150

    def put(self, number, batch):
        self.items[number % self.size] = batch


class Places:
    def __init__(self):
        self.items, self.at = [None] * 150, 0

    def put(self, number, batch):
        self.items[self.at] = batch
        self.at = (self.at + 1) % len(self.items)


class Tail:
    def __init__(self):
        self.items = []

    def put(self, number, batch):
        self.items = (self.items + [batch])[-150:]


class Best:
    def __init__(self):
        self.items = []

    def put(self, number, batch):
        entry = (float(torch.rand(())), number, batch)
        if len(self.items) < 150: heapq.heappush(self.items, entry)
        else: heapq.heapreplace(self.items, entry)


class Recent:
    def __init__(self):
        self.items = collections.OrderedDict()

    def evict(self):
        while len(self.items) > 150:
            self.items.popitem(last=False)

    def put(self, number, batch):
        self.items[number] = batch
        self.items.move_to_end(number)
        self.evict()


class Table(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if len(self) > 150: del self[next(iter(self))]


class OwnTable:
    def __init__(self):
        self.items = Table()

    def put(self, number, batch):
        self.items[number] = batch


class Rounds:
    def __init__(self):
        self.items = []

    def put(self, number, batch):
        self.items.append(batch)
        if number % 150 == 149: self.items = []


class Reservoir:
    def __init__(self):
        self.items, self.seen = [], 0

    def put(self, number, batch):
        self.seen += 1
        if len(self.items) < 150:
            self.items.append(batch)
            return
        at = int(torch.randint(0, self.seen, ()))
        if at < 150:
            self.items[at] = batch


class WhenFull:
    capacity = 150

    def __init__(self):
        self.items = []

    @property
    def full(self):
        return len(self.items) == self.capacity

    def put(self, number, batch):
        if self.full:
            self.items.pop(0)
        self.items.append(batch)


class First:
    def __init__(self):
        self.items = []

    def put(self, number, batch):
        if len(self.items) >= 150: return
        self.items.append(batch)


class Buckets:
    def __init__(self):
        self.items = collections.defaultdict(lambda: collections.deque(maxlen=20))

    def put(self, number, batch):
        self.items[number % 8].append(batch)


@functools.lru_cache(maxsize=150)
def shifted(number):
    return torch.full((64, 512), float(number), device="cuda")


class Cached:
    def put(self, number, batch):
        shifted(number)


class Endless:
    def __init__(self):
        self.items = []

    def put(self, number, batch):
        self.items.append(batch)


class EndlessByName:
    def __init__(self):
        self.items = {}

    def put(self, number, batch):
        self.items["batch-%d" % number] = batch


class EndlessUnlessReset:
    def __init__(self):
        self.items = []

    def reset(self):
        self.items = []

    def put(self, number, batch):
        if self.items is None: self.items = []
        self.items.append(batch)


def main():
    net = nn.Linear(512, 512).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    kept = globals()[sys.argv[1]]()
    for number in range(140):
        batch = torch.randn(64, 512, device="cuda")
        kept.put(number, batch)
        loss = net(batch).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
