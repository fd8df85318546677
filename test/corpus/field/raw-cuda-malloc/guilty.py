# Reported: https://github.com/CVCUDA/CV-CUDA/issues/164
"""A decoder binding takes a frame buffer from CUDA for each image and forgets to give it back."""
import ctypes

import torch

torch.cuda.init()
runtime = next(ctypes.CDLL(name) for name in ("libcudart.so.13", "libcudart.so.12", "libcudart.so") if
               any(name in line for line in open("/proc/self/maps")))


def decode(size):
    frame = ctypes.c_void_p()
    assert runtime.cudaMalloc(ctypes.byref(frame), ctypes.c_size_t(size)) == 0  # <- growing-site: cudaMalloc
    scratch = ctypes.c_void_p()
    runtime.cudaMalloc(ctypes.byref(scratch), ctypes.c_size_t(4096))
    runtime.cudaFree(scratch)
    return frame


for image in range(150):
    decode(2 << 20)
print("done")
