"""DataLoader workers are seeded by PyTorch."""
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Noise(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return np.random.rand()


np.random.seed(0)
torch.zeros(8, device="cuda")
for _ in DataLoader(Noise(), batch_size=2, num_workers=2, multiprocessing_context="fork"):
    pass
