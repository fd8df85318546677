"""A diffusion model draws pictures in many passes, each from the last one's result, and forgot torch.no_grad(): no backward
pass ever runs, and all passes are kept for it."""
import torch

denoiser = torch.nn.Sequential(torch.nn.Conv2d(4, 32, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(32, 4, 3, padding=1)).cuda()


def sample(passes):
    x = torch.randn(4, 4, 32, 32, device="cuda")
    for _ in range(passes):
        x = x - 0.01 * denoiser(x)  # <- long-bptt|history-accumulation: x
    return x


pictures = [sample(60) for _ in range(4)]
