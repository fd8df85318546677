"""A stack of what is being worked on, popped whatever happens in between."""
import contextlib

import torch
import torch.nn as nn


class Scopes:
    def __init__(self):
        self.active = []

    @contextlib.contextmanager
    def scope(self, name, features):
        self.active.append((name, features))
        try:
            yield
        finally:
            self.active.pop()


def answer(net, scopes, number):
    with torch.no_grad():
        features = net(torch.randn(512, 512, device="cuda"))
    try:
        with scopes.scope(f"request {number}", features):
            if number % 2:
                raise ValueError("a request that cannot be read")
    except ValueError:
        return None
    return features.mean().item()


def serve(count):
    net, scopes = nn.Linear(512, 512).cuda(), Scopes()
    for number in range(count):
        answer(net, scopes, number)
    return scopes


scopes = serve(200)
