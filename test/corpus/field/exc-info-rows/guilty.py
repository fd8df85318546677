"""A job runner keeps `sys.exc_info()` of failed jobs as rows of a report."""
import sys

import torch
import torch.nn as nn

model = nn.Linear(256, 1024).cuda()
failures = []


def job(number):
    features = model(torch.randn(128, 256, device="cuda")).relu()
    if features.shape[0] != number:
        raise ValueError(f"job {number} has the wrong shape")
    return features.sum().item()


def run(number):
    try:
        with torch.no_grad():
            return job(number)
    except ValueError:
        failures.append((number, *sys.exc_info()))  # <- growing-site: failures
        return None


for number in range(150):
    run(number)
print(len(failures), "failed")
