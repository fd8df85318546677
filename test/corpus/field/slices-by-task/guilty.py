"""An evaluation of many tasks keeps the last positions' log-probabilities of each batch, by task."""
import collections
import torch
from torch import nn


def main():
    model = nn.Sequential(nn.Embedding(4000, 64), nn.Linear(64, 4000)).cuda().eval()
    results = collections.defaultdict(lambda: collections.defaultdict(list))
    for batch in range(80):
        tokens = torch.randint(0, 4000, (4, 32), device="cuda")
        with torch.inference_mode():
            scores = model(tokens).log_softmax(-1)
        results[f"task {batch % 3}"]["scores"].append(scores[:, -4:])  # <- growing-site: results
    print({task: len(found["scores"]) for task, found in results.items()})


main()
