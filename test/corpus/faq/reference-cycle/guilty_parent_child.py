"""Nodes that know their parents: trees of them are garbage that waits for the collector."""
import torch


class Node:
    def __init__(self, parent=None):
        self.data = torch.zeros(256, 1024, device="cuda")
        self.parent = parent  # <- reference-cycle: Node
        self.children = []


def build():
    root = Node()
    root.children.append(Node(root))
    return root.data.sum()


for _ in range(4):
    build()
