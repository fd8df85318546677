"""Shapes that depend on values in a backward pass: a gradient through a mask, layers that are computed again, a function
whose own backward() makes its mask anew. Prints how often each mask was seen, and by what."""

import collections

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

SEEN = collections.Counter()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(64, 64)

    def forward(self, x, labels):
        keep = labels != -100
        y = x.clone()
        y[keep] = self.inner(x[keep])
        SEEN["block", x[keep].shape[0]] += 1
        return y + torch.masked_select(x, keep[..., None]).mean()


class Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, labels):
        ctx.save_for_backward(hidden, weight, labels)
        kept = hidden[labels != -100]
        SEEN["loss", kept.shape[0]] += 1
        return (kept @ weight.t()).logsumexp(-1).mean()

    @staticmethod
    def backward(ctx, grad):
        hidden, weight, labels = ctx.saved_tensors
        keep = labels != -100
        share = (hidden[keep] @ weight.t()).softmax(-1)
        SEEN["backward", share.shape[0]] += 1
        back = torch.zeros_like(hidden)
        back[keep] = share @ weight * grad
        return back, share.t() @ hidden[keep] * grad, None


def main():
    embedding, blocks, head = nn.Embedding(500, 64), nn.ModuleList(Block() for _ in range(2)), nn.Linear(64, 500)
    model = nn.ModuleList([embedding, blocks, head]).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        ids = torch.randint(0, 500, (32, 200))
        labels = ids.clone()
        labels[:, 150:] = -100
        ids, labels = ids.cuda(), labels.cuda()
        hidden = embedding(ids)
        for block in blocks:
            hidden = checkpoint(block, hidden, labels, use_reentrant=False)
        loss = Loss.apply(hidden, head.weight, labels)
        loss = loss + nn.functional.cross_entropy(head(hidden[labels != -100]), labels[labels != -100])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(sorted(SEEN.items()))


main()
