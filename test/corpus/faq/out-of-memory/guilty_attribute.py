"""An attribute of an object, in a method."""
import torch


class Store:
    def __init__(self):
        self.blocks = []

    def fill(self):
        while True:
            self.blocks.append(torch.zeros(512, 1024, 1024, device="cuda"))  # <- out-of-memory: .blocks


store = Store()
try:
    store.fill()
except RuntimeError as error:
    print(type(error).__name__)
