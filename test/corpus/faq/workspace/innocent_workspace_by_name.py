"""A buffer of the program that is called workspace."""
import torch

workspace = torch.zeros(16, 1024, 1024, device="cuda")
