"""A method that unpacks its input and goes on with a converted copy."""
import torch


class Pipeline:
    def convert(self, frames):
        return frames.half()

    def process(self, count):
        frames = torch.zeros(count, 3, 1024, 1024, device="cuda")  # <- dead-local: frames
        small = self.convert(frames)
        return self.finish(small)

    def finish(self, small):
        work = torch.empty(small.shape[0] * 4, 3, 512, 512, device="cuda")
        return small.sum() + work.sum()


Pipeline().process(8)
