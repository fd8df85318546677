"""del, but no empty_cache: nvidia-smi shows no difference."""
import torch

big = [torch.zeros(64, 1024, 1024, device="cuda") for _ in range(6)]  # expect: cache-not-leak
del big
