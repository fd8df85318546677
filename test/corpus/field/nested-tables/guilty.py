"""Results by data set, metric and run: dicts of dicts of lists of small objects, each with its scores on the device."""
import collections
import dataclasses

import torch


@dataclasses.dataclass
class Result:
    run: int
    scores: torch.Tensor


class Board:
    def __init__(self):
        self.table = collections.defaultdict(lambda: collections.defaultdict(list))

    def add(self, data, metric, result):
        self.table[data][metric].append(result)  # <- growing-site: table


board = Board()
with torch.no_grad():
    weight = torch.randn(512, 512, device="cuda")
    for run in range(40):
        for data in ("train", "valid", "test"):
            scores = torch.randn(128, 512, device="cuda") @ weight
            board.add(data, "accuracy", Result(run, scores))
print(torch.cuda.memory_allocated() >> 20, "MiB")
