"""Inference without an optimizer: a decoder with a key and value cache that grows within each prompt."""
import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, width=64, layers=3):
        super().__init__()
        self.embed = nn.Embedding(100, width)
        self.mix = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.head = nn.Linear(width, 100)

    def forward(self, token, cache):
        x = self.embed(token)
        for layer, mix in enumerate(self.mix):
            q, k, v = mix(x).chunk(3, dim=-1)
            if layer < len(cache):
                k, v = torch.cat([cache[layer][0], k], 1), torch.cat([cache[layer][1], v], 1)
                cache[layer] = (k, v)
            else:
                cache.append((k, v))
            x = x + torch.softmax(q @ k.transpose(1, 2) / 8, -1) @ v
        return self.head(x)


@torch.inference_mode()
def generate(model, prompt, length):
    cache, tokens = [], [prompt]
    for _ in range(length):
        logits = model(tokens[-1], cache)
        tokens.append(logits[:, -1:].argmax(-1))
    return torch.cat(tokens, 1).cpu()


def main():
    model = Decoder().cuda().eval()
    answers = []
    for _ in range(6):
        answers.append(generate(model, torch.zeros(4, 1, dtype=torch.long, device="cuda"), 40))
    return answers


print(len(main()))
