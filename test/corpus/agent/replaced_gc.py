"""A script that puts something else in place of the gc module, before the agent comes in."""
import sys
import types

import torch

fake = types.ModuleType("gc")
fake.get_objects = lambda: [][1]
sys.modules["gc"] = fake
kept = [torch.zeros(1024, 1024, device="cuda") for _ in range(12)]
print("ok", sys.modules["gc"] is fake)
