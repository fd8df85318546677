"""A server keeps keys and values of prompts in a radix tree, from which nothing is ever evicted."""
import random

import torch
import torch.nn as nn


class Node:
    def __init__(self, key=(), value=None, parent=None):
        self.children = {}
        self.key = key
        self.value = value
        self.parent = parent


class RadixCache:
    def __init__(self):
        self.root = Node()

    def match(self, tokens):
        node, at = self.root, 0
        while at < len(tokens) and tokens[at] in node.children:
            node = node.children[tokens[at]]
            at += len(node.key)
        return node, at

    def insert(self, node, tokens, kv):
        child = Node(tokens, kv, node)
        node.children[tokens[0]] = child  # <- growing-site: children
        return child


class Engine:
    def __init__(self, width=256):
        self.embed = nn.Embedding(1000, width).cuda()
        self.kv = nn.Linear(width, 2 * width).cuda()
        self.out = nn.Linear(width, 1000).cuda()
        self.cache = RadixCache()

    @torch.no_grad()
    def answer(self, tokens):
        node, at = self.cache.match(tokens)
        if at < len(tokens):
            x = self.embed(torch.tensor(tokens[at:], device="cuda"))
            kv = self.kv(x)
            self.cache.insert(node, tuple(tokens[at:]), kv)
            return self.out(x[-1]).argmax().item()
        return 0


def main():
    random.seed(0)
    engine = Engine()
    system = [[random.randrange(1000) for _ in range(32)] for _ in range(4)]
    for s in system:
        engine.answer(s)
    for request in range(400):
        prompt = random.choice(system) + [random.randrange(1000) for _ in range(16)]
        engine.answer(prompt)
    print("done")


main()
