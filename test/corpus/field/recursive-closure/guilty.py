# Reported: https://github.com/keras-team/keras/issues/23110
"""Predict patch by patch; results are flattened by a helper that calls itself through its closure."""
import gc

import torch


def flatten(structure, is_leaf):
    leaves = []

    def helper(part):  # <- reference-cycle: helper
        if is_leaf(part) or not isinstance(part, (dict, list)):
            leaves.append(part)
            return
        for child in part.values() if isinstance(part, dict) else part:
            helper(child)

    helper(structure)
    return len(leaves)


def predict(patch):
    structure = {"scores": patch.sigmoid(), "boxes": [patch * 2, patch + 1]}
    return flatten(structure, is_leaf=lambda part: part is None and structure)


gc.disable()
with torch.no_grad():
    for number in range(60):
        predict(torch.randn(256, 512, device="cuda"))
print(torch.cuda.memory_allocated() >> 20, "MiB")
