"""The fix: parents are weak."""
import weakref

import torch


class Node:
    def __init__(self, parent=None):
        self.data = torch.zeros(256, 1024, device="cuda")
        self.parent = weakref.ref(parent) if parent else None
        self.children = []


def build():
    root = Node()
    root.children.append(Node(root))
    return root.data.sum()


for _ in range(4):
    build()
