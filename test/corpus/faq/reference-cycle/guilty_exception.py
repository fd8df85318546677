"""An exception kept by the object whose frame it came from."""
import torch


class Worker:
    def work(self):
        batch = torch.zeros(512, 1024, device="cuda")
        try:
            raise ValueError(batch.shape)
        except ValueError as error:
            self.error = error  # <- reference-cycle: Worker


for _ in range(3):
    Worker().work()
