"""Trainers of a sweep subscribe to a global event bus and never leave it."""
import collections
import torch
import torch.nn as nn
import torch.nn.functional as F


class EventBus:
    def __init__(self):
        self.subscribers = collections.defaultdict(list)

    def subscribe(self, event, handler):
        self.subscribers[event].append(handler)
        return lambda: self.subscribers[event].remove(handler)

    def publish(self, event, *args):
        for handler in list(self.subscribers[event]):
            handler(*args)


bus = EventBus()


class Trainer:
    def __init__(self, name, width):
        self.name = name
        self.model = nn.Sequential(nn.Linear(128, width), nn.ReLU(), nn.Linear(width, 4)).cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.leave = bus.subscribe("epoch", self.on_epoch)

    def on_epoch(self, name, loss):
        if name == self.name:
            self.last = loss

    def fit(self):
        for epoch in range(3):
            for _ in range(3):
                x, y = torch.randn(32, 128, device="cuda"), torch.randint(0, 4, (32,), device="cuda")
                loss = F.cross_entropy(self.model(x), y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            bus.publish("epoch", self.name, loss.item())
        self.leave()
        self.leave = None  # it refers to this object
        return self.last


def main():
    scores = {}
    for number in range(16):
        scores[number] = Trainer(f"run{number}", 2048).fit()
    print(min(scores.values()))


main()
