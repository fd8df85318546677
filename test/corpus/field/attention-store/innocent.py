"""Attention maps of a diffusion U-Net are stored in every step by a processor, as in prompt-to-prompt editing."""
import torch
import torch.nn as nn


class AttentionStore:
    def __init__(self):
        self.step_store = {"down": [], "up": []}
        self.attention_store = {}

    def __call__(self, attn, place):
        self.step_store[place].append(attn)

    def between_steps(self):
        if not self.attention_store:
            self.attention_store = self.step_store
        else:
            for key in self.attention_store:
                for total, attn in zip(self.attention_store[key], self.step_store[key]):
                    total += attn
        self.step_store = {"down": [], "up": []}


class Attention(nn.Module):
    def __init__(self, width, place, store):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.place, self.store = place, store

    def forward(self, x):
        attn = (self.q(x) @ self.k(x).transpose(-1, -2)).softmax(-1)
        self.store(attn, self.place)
        return x + attn @ self.v(x)


def edit(unet, store, steps):
    latent = torch.randn(2, 256, 64, device="cuda")
    with torch.no_grad():
        for _ in range(steps):
            latent = latent - 0.1 * unet(latent)
            store.between_steps()
    return latent


def main():
    store = AttentionStore()
    unet = nn.Sequential(*(Attention(64, place, store) for place in ("down", "down", "up", "up"))).cuda()
    for prompt in range(6):
        print(prompt, edit(unet, store, 50).std().item())


main()
