"""A few megabytes of a library beside a model."""
import torch
from cuda.bindings import driver

x = torch.zeros(64, 1024, 1024, device="cuda")
error, pointer = driver.cuMemAlloc(8 << 20)
assert int(error) == 0, error
