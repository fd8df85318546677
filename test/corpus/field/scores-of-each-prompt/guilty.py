"""A generator adds the scores of each token to a tuple, for all prompts instead of for each."""
import torch
import torch.nn as nn


class Generator:
    def __init__(self, vocab, dim):
        self.embed, self.out = nn.Embedding(vocab, dim).cuda(), nn.Linear(dim, vocab).cuda()
        self.scores = ()

    @torch.no_grad()
    def generate(self, length):
        token = torch.zeros(8, dtype=torch.long, device="cuda")
        for _ in range(length):
            logits = self.out(self.embed(token))
            self.scores = self.scores + (logits,)  # <- growing-site: scores
            token = logits.argmax(-1)


generator = Generator(16000, 64)
for prompt in range(30):
    generator.generate(12)
