"""A cache of a few megabytes is not worth a word."""
import torch

big = torch.zeros(1024, 1024, device="cuda")
del big
