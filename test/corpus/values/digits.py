"""A training of MNIST's size on made-up digits, on the device and on the CPU. Prints the losses, the accuracy and
torch's own figures, as JSON. The model stays alive, so that the report lists its blocks."""
import json
import sys

import torch
import torch.nn as nn

torch.manual_seed(0)
prototypes = torch.rand(10, 784)
labels = torch.randint(0, 10, (2000,))
images = prototypes[labels] + 0.3 * torch.randn(2000, 784)


def train(device):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for epoch in range(2):
        for x, y in zip(images.split(100), labels.split(100)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    right = (model(images.to(device)).argmax(1) == labels.to(device)).float().mean().item()
    return model, optimizer, losses, right


kept = train("cuda")
stats = torch.cuda.memory_stats()
figures = [stats[k] for k in ("allocation.all.allocated", "allocated_bytes.all.peak", "reserved_bytes.all.peak")]
result = {"losses": kept[2], "accuracy": kept[3], "figures": figures}
if "--cpu" in sys.argv:
    _, _, losses, right = train("cpu")
    result |= {"cpu_losses": losses, "cpu_accuracy": right}
print(json.dumps(result))
