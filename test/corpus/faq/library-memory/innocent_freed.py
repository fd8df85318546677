"""What the library took, it gave back."""
import torch
from cuda.bindings import driver

x = torch.zeros(1024, 1024, device="cuda")
for _ in range(4):
    error, pointer = driver.cuMemAlloc(256 << 20)
    assert int(error) == 0, error
    driver.cuMemFree(pointer)
