"""A cycle that the program still uses."""
import torch


class Node:
    def __init__(self, parent=None):
        self.data = torch.zeros(256, 1024, device="cuda")
        self.parent = parent
        self.children = []


root = Node()
root.children.append(Node(root))
