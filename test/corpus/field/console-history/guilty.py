"""An interactive console that a program embeds: `_` keeps the last value, and its own history all of them."""
import code

import torch


class Console(code.InteractiveInterpreter):
    def __init__(self):
        self.results = {}
        super().__init__({"torch": torch, "ask": self.ask})
        self.weight = torch.randn(512, 512, device="cuda")

    def ask(self, length):
        with torch.no_grad():
            return torch.randn(length, 512, device="cuda") @ self.weight

    def enter(self, number, line):
        exec(compile("_ = " + line, "<console>", "exec"), self.locals)
        self.results[number] = self.locals["_"]  # <- growing-site: results


console = Console()
for number in range(120):
    console.enter(number, "ask(%d)" % (128 + number % 7))
print(torch.cuda.memory_allocated() >> 20, "MiB")
