"""A planner moves on to a child of its search tree, and each child knows its parent: the way back to the start stays."""
import torch
import torch.nn as nn


class Node:
    def __init__(self, hidden, parent):
        self.hidden = hidden
        self.parent = parent


dynamics = nn.Linear(512, 512).cuda()
with torch.no_grad():
    root = Node(torch.zeros(256, 512, device="cuda"), None)
    for move in range(120):
        hidden = torch.tanh(dynamics(root.hidden))
        root = Node(hidden, root)  # <- growing-site: root
print(torch.cuda.memory_allocated() >> 20, "MiB")
