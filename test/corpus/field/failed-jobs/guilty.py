"""A scheduler keeps the exceptions of jobs that failed, to show them later; their frames hold the jobs' tensors."""
import torch


class Scheduler:
    def __init__(self):
        self.failed = {}

    def run(self, name, job, *arguments):
        try:
            return job(*arguments)
        except ValueError as error:
            self.failed[name] = error  # <- growing-site: failed


def check(weight, length):
    scores = torch.randn(length, 512, device="cuda") @ weight
    if scores.numel() > 0:
        raise ValueError("too many scores")
    return scores


scheduler = Scheduler()
with torch.no_grad():
    weight = torch.randn(512, 512, device="cuda")
    for number in range(120):
        scheduler.run("job%d" % number, check, weight, 256)
print(torch.cuda.memory_allocated() >> 20, "MiB")
