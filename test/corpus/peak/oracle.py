"""Small models of many kinds. Each run counts, in the script, what parameters, gradients, optimizer state and buffers
take up whenever PyTorch's allocator comes to a new peak, and prints the figures of the last one as JSON.

python oracle.py NAME: `ballast` makes the peak at a place that the script knows: a large tensor between backward and step.
"""

import json
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

NAME = sys.argv[1]
DEVICE = "cuda"


def rounded(tensor):
    """Bytes of the block that PyTorch's allocator makes for a tensor."""
    return (tensor.untyped_storage().nbytes() + 511) // 512 * 512


class Counter:
    def __init__(self):
        self.models, self.optimizers = [], []

    def count(self):
        seen, sums = set(), {"parameter": 0, "gradient": 0, "optimizer_state": 0, "buffer": 0}

        def add(role, tensor):
            if tensor is None or not tensor.is_cuda or tensor.untyped_storage().data_ptr() in seen:
                return
            seen.add(tensor.untyped_storage().data_ptr())
            sums[role] += rounded(tensor)

        for model in self.models:
            for parameter in model.parameters():
                add("parameter", parameter)
                add("gradient", parameter.grad)
            for buffer in model.buffers():
                add("buffer", buffer)
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                for value in state.values():
                    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
                    for part in parts:
                        if isinstance(part, torch.Tensor):
                            add("optimizer_state", part)
        return sums


COUNTER = Counter()
FOUND = {}


def ballast(megabytes=512):
    """The peak is made here."""
    FOUND.clear()
    FOUND.update(COUNTER.count())
    torch.empty(megabytes << 20, dtype=torch.uint8, device=DEVICE)


class Shampoo(torch.optim.Optimizer):
    """Its state lies in a dict and a list of its own."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            if not state:
                state["factors"] = {str(i): torch.eye(size, device=DEVICE) for i, size in enumerate(p.shape)}
                state["moments"] = [torch.zeros_like(p), torch.zeros_like(p)]
            p.add_(state["moments"][0].add_(p.grad), alpha=-0.1)


class Hook:
    """A peak within the forward pass: where a module is called for the n-th time."""

    def __init__(self, module, n):
        self.left = n
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.left -= 1
        if self.left == 0:
            ballast()


class Block(nn.Module):
    def __init__(self, d, heads=4):
        super().__init__()
        self.ln1, self.qkv, self.proj = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.ln2, self.mlp, self.heads = nn.LayerNorm(d), nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)), heads

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-1, -2)).softmax(-1)
        x = x + self.proj((a @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary=1000, d=128, layers=6, recompute=False, tied=False):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d)
        self.position = nn.Parameter(torch.zeros(128, d))
        self.blocks = nn.ModuleList(Block(d) for _ in range(layers))
        self.norm, self.head, self.recompute = nn.LayerNorm(d), nn.Linear(d, vocabulary, bias=False), recompute
        if tied:
            self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.ones(1000))

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
        return self.head(self.norm(x))


class UNet(nn.Module):
    def __init__(self, c=16):
        super().__init__()
        self.time = nn.Linear(32, 4 * c)
        self.down = nn.ModuleList([nn.Conv2d(3, c, 3, padding=1), nn.Conv2d(c, 2 * c, 3, padding=1, stride=2)])
        self.middle = nn.Sequential(nn.GroupNorm(4, 2 * c), nn.SiLU(), nn.Conv2d(2 * c, 2 * c, 3, padding=1))
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * c, c, 2, stride=2), nn.Conv2d(2 * c, 3, 3, padding=1)])

    def forward(self, x, t):
        a = F.silu(self.down[0](x))
        b = self.middle(F.silu(self.down[1](a)))
        return self.up[1](torch.cat([a, self.up[0](b)], 1)) + self.time(t).mean()


class Conv(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(32, 10))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn, self.out = nn.Embedding(500, 64), nn.LSTM(64, 96, 2, batch_first=True), nn.Linear(96, 500)

    def forward(self, x):
        return self.out(self.rnn(self.embedding(x))[0])


class Cell(nn.Module):
    """One line that runs many times in a step."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 64, device=x.device)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.out(h)


def tokens():
    return torch.randint(0, 500, (4, 64), device=DEVICE)


def train(model, batch, loss_of, optimizer=None, steps=3, before_step=ballast, autocast=False, micro_batches=1, early=False):
    """The peak is before the last optimizer step, where all gradients are there."""
    model = model.to(DEVICE)
    optimizer = (optimizer or (lambda p: torch.optim.AdamW(p, lr=1e-3)))(model.parameters())
    COUNTER.models.append(model)
    COUNTER.optimizers.append(optimizer)
    for step in range(steps):
        if early:
            optimizer.zero_grad()
        for _ in range(micro_batches):
            inputs = batch()
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=autocast):
                loss = loss_of(model, *inputs)
            loss.backward()
        if step == steps - 1 and before_step is not None:
            before_step()
        optimizer.step()
        if not early:
            optimizer.zero_grad()


def text_loss(model, x):
    y = model(x)
    return F.cross_entropy(y.reshape(-1, y.shape[-1]).float(), x.reshape(-1))


def image_loss(model, x):
    return F.cross_entropy(model(x), torch.zeros(x.shape[0], dtype=torch.long, device=DEVICE))


def images():
    return (torch.randn(4, 3, 32, 32, device=DEVICE),)


def text():
    return (tokens(),)


def gan():
    generator = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784)).to(DEVICE)
    critic = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(), nn.Linear(256, 1)).to(DEVICE)
    for_generator = torch.optim.Adam(generator.parameters())
    for_critic = torch.optim.Adam(critic.parameters())
    COUNTER.models += [generator, critic]
    COUNTER.optimizers += [for_generator, for_critic]
    for step in range(3):
        noise = torch.randn(16, 32, device=DEVICE)
        fake = generator(noise)
        for_critic.zero_grad()
        (critic(fake.detach()).mean() - critic(torch.randn(16, 784, device=DEVICE)).mean()).backward()
        for_critic.step()
        for_generator.zero_grad()
        (-critic(fake).mean()).backward()
        if step == 2:
            ballast()
        for_generator.step()


class Decoder(nn.Module):
    """A block with a cache of keys and values that grows with each token."""

    def __init__(self, d=256):
        super().__init__()
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x, past):
        q, k, v = self.qkv(x).chunk(3, -1)
        if past is not None:
            k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        else:
            k, v = k.contiguous(), v.contiguous()
        return x + self.out((q @ k.transpose(1, 2)).softmax(-1) @ v), (k, v)


def generation():
    """What the script's variables hold when the peak is made: the caches and the last token."""
    blocks = nn.ModuleList(Decoder() for _ in range(4)).to(DEVICE)
    COUNTER.models.append(blocks)
    with torch.no_grad():
        x, caches = torch.randn(4, 64, 256, device=DEVICE), [None] * 4
        for _ in range(40):
            for i, block in enumerate(blocks):
                x, caches[i] = block(x, caches[i])
            x = x[:, -1:].clone()
        ballast(64)
        FOUND["python"] = (64 << 20) + sum(rounded(part) for cache in caches for part in cache) + rounded(x)


def averaged():
    import copy

    model = Conv().to(DEVICE)
    average = copy.deepcopy(model).requires_grad_(False)
    COUNTER.models += [model, average]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    COUNTER.optimizers.append(optimizer)
    for step in range(3):
        image_loss(model, *images()).backward()
        if step == 2:
            ballast()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), model.parameters()):
                ours.mul_(0.9).add_(theirs, alpha=0.1)


def in_forward():
    model = GPT(layers=3)
    Hook(model.blocks[1], 3)
    train(model, text, text_loss, before_step=None)


def diffusion():
    def loss(model, x):
        return (model(x, torch.randn(1, 32, device=DEVICE)) - x).square().mean()

    train(UNet(), images, loss)


def two_sizes():
    """A first optimizer whose state dies, then a second one."""
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    train(model, lambda: (torch.randn(8, 256, device=DEVICE),), image_loss, before_step=None)
    COUNTER.optimizers.clear()
    COUNTER.models.clear()
    train(model, lambda: (torch.randn(8, 256, device=DEVICE),), image_loss, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))


CASES = {
    "mlp": lambda: train(nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)),
                         lambda: (torch.randn(8, 64, device=DEVICE),), image_loss),
    "conv": lambda: train(Conv(), images, image_loss, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "lstm": lambda: train(Recurrent(), text, text_loss),
    "cell": lambda: train(Cell(), lambda: (torch.randn(4, 12, 64, device=DEVICE),), image_loss),
    "gpt": lambda: train(GPT(), text, text_loss),
    "tied": lambda: train(GPT(tied=True, layers=2), text, text_loss),
    "gan": gan,
    "autocast": lambda: train(GPT(layers=2), text, text_loss, autocast=True),
    "checkpointed": lambda: train(GPT(layers=3, recompute=True), text, text_loss),
    "accumulated": lambda: train(GPT(layers=2), text, text_loss, micro_batches=3),
    "diffusion": diffusion,
    "average": averaged,
    "in-forward": in_forward,
    "two-optimizers": two_sizes,
    "nested-state": lambda: train(Recurrent(), text, text_loss, Shampoo),
    "generation": generation,
    "kept-gradients": lambda: train(GPT(layers=2), text, text_loss, lambda p: torch.optim.Adafactor(p)),
}

if __name__ == "__main__":

    def main():
        CASES[NAME]()

    main()
    FOUND["peak"] = torch.cuda.max_memory_allocated()
    print(json.dumps(FOUND))
