"""Managed memory, taken by a library in a comprehension."""
import torch
from cuda.bindings import driver

torch.zeros(16, device="cuda")
pages = [
    driver.cuMemAllocManaged(32 << 20, driver.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL)  # <- library-memory: -
    for _ in range(6)
]
print([int(error) for error, _ in pages])
