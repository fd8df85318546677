"""A small model trained with and without following a piece of advice. python advised.py CASE [followed]; prints the peak."""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

CASE, FOLLOWED = sys.argv[1], len(sys.argv) > 2


class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(d), nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        return x + self.inner(self.norm(x))


class Model(nn.Module):
    def __init__(self, d, layers, recompute):
        super().__init__()
        self.layers = nn.ModuleList(Layer(d) for _ in range(layers))
        self.head, self.recompute = nn.Linear(d, 64), recompute

    def forward(self, x):
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.recompute else layer(x)
        return self.head(x)


class Student(nn.Sequential):
    """Learns what a larger teacher says. Its layers lie in a Sequential, and are few."""

    def __init__(self, d, layers, recompute):
        super().__init__(nn.Linear(d, d), nn.ModuleList(Layer(d) for _ in range(layers)), nn.Linear(d, 64))
        self.recompute = recompute

    def forward(self, x):
        x = self[0](x)
        for layer in self[1]:
            x = checkpoint(layer, x, use_reentrant=False) if self.recompute else layer(x)
        return self[2](x)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.norm2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class Images(nn.Module):
    def __init__(self, recompute):
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 64, 3, padding=1), nn.ModuleList(Residual(64) for _ in range(6))
        self.head, self.recompute = nn.Linear(64, 10), recompute

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
        return self.head(x.mean((2, 3)))


def train_images(batch, recompute=False):
    model = Images(recompute).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(batch, 3, 64, 64, device="cuda")).square().mean().backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def train(d, layers, batch, steps=3, fused=False, early=True, recompute=False):
    model = Model(d, layers, recompute).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused or None)  # False would mean a loop over the parameters
    for _ in range(steps):
        if early:
            optimizer.zero_grad()
        x = torch.randn(batch, d, device="cuda")
        loss = model(x).square().mean()
        if not early:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, optimizer


def by_hand(batch):
    """Weights of the size of what the batch makes of them: the gradients are the next height."""
    model = Model(512, 6, False).cuda()
    for _ in range(3):
        model.zero_grad()
        model(torch.randn(batch, 512, device="cuda")).square().mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    return model


def adapted(steps=2):
    """Learns how to learn: the steps inside are differentiated, and what they compute again would stay."""
    model = Model(128, 4, False).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        weights = dict(model.named_parameters())
        for _ in range(steps):
            loss = torch.func.functional_call(model, weights, (torch.randn(4096, 128, device="cuda"),)).square().mean()
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {name: old - 0.1 * new for (name, old), new in zip(weights.items(), gradients)}
        torch.func.functional_call(model, weights, (torch.randn(4096, 128, device="cuda"),)).square().mean().backward()
        optimizer.step()


def sequence():
    """A Sequential of single operators: what each saves is what the next one needs."""
    c = 64
    model = nn.Sequential(*[nn.Sequential(nn.ConvTranspose2d(c, c, 4, 2, 1), nn.BatchNorm2d(c), nn.ReLU(True))[i]
                            for _ in range(4) for i in range(3)]).cuda()
    for _ in range(3):
        model.zero_grad()
        model(torch.randn(16, c, 4, 4, device="cuda")).square().mean().backward()


class Adam8Bit(torch.optim.Optimizer):
    """State in 8 bits, with a scale for every 256 numbers."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self):
        for parameter in self.param_groups[0]["params"]:
            for name, power, rate in (("mean", 1, 0.9), ("square", 2, 0.999)):
                numbers, scales = self.state[parameter].get(name, (0, None))
                before = 0 if scales is None else (numbers * scales).flatten()[: parameter.numel()].view_as(parameter)
                now = rate * before + (1 - rate) * parameter.grad**power
                rows = F.pad(now.flatten(), (0, -now.numel() % 256)).view(-1, 256)
                scales = rows.abs().amax(1, keepdim=True) / 127
                self.state[parameter][name] = ((rows / scales.clamp(min=1e-12)).round().to(torch.int8), scales)
            parameter -= 1e-3 * parameter.grad


def main():
    if CASE == "adapted":
        adapted()
    elif CASE == "sequence":
        sequence()
    elif CASE == "checkpoint":
        train(256, 8, 4096, recompute=FOLLOWED)
    elif CASE == "checkpoint-images":
        train_images(16, recompute=FOLLOWED)
    elif CASE == "no-grad-images":
        model = train_images(4).eval()
        with torch.set_grad_enabled(not FOLLOWED):
            for _ in range(3):
                score = model(torch.randn(32, 3, 64, 64, device="cuda")).mean()
    elif CASE == "checkpoint-student":
        teacher, student = Model(512, 8, False).cuda().requires_grad_(False), Student(512, 3, FOLLOWED).cuda()
        optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
        for _ in range(3):
            x = torch.randn(4096, 512, device="cuda")
            with torch.no_grad():
                y = teacher(x)
            optimizer.zero_grad()
            F.mse_loss(student(x), y).backward()
            optimizer.step()
    elif CASE == "untrained-module":
        teacher, student = Model(512, 8, False).cuda(), Student(512, 3, False).cuda()
        optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
        for _ in range(3):
            x = torch.randn(4096, 512, device="cuda")
            with torch.set_grad_enabled(not FOLLOWED):
                y = teacher(x)
            optimizer.zero_grad()
            F.mse_loss(student(x), y).backward()
            optimizer.step()
    elif CASE == "untrained-module-of-agent":
        online, target = (nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 4)).cuda() for _ in range(2))
        optimizer = torch.optim.Adam(online.parameters())
        for _ in range(20):
            before, after = torch.randn(2, 4096, 512, device="cuda")
            with torch.set_grad_enabled(not FOLLOWED):
                best = target(after).max(1).values
            optimizer.zero_grad()
            F.smooth_l1_loss(online(before).max(1).values, 1 + 0.99 * best).backward()
            optimizer.step()
    elif CASE == "smaller-batch":
        train(256, 8, 2048 if FOLLOWED else 4096)
    elif CASE == "smaller-batch-by-hand":
        by_hand(256 if FOLLOWED else 512)
    elif CASE == "optimizer-temporaries":
        train(1024, 4, 64, fused=FOLLOWED)
    elif CASE == "gradients-in-evaluation":
        model, optimizer = train(1024, 4, 64, fused=True)
        if FOLLOWED:
            optimizer.zero_grad()
        with torch.no_grad():
            model(torch.randn(16384, 1024, device="cuda"))
    elif CASE == "no-grad":
        model, optimizer = train(256, 8, 512)
        optimizer.zero_grad()
        with torch.set_grad_enabled(not FOLLOWED):
            score = model(torch.randn(8192, 256, device="cuda")).mean()
    elif CASE == "loaded-checkpoint":
        torch.save(Model(1024, 4, False).cuda().state_dict(), sys.argv[0] + ".pt")
        state = torch.load(sys.argv[0] + ".pt", map_location="cpu" if FOLLOWED else "cuda")
        model = Model(1024, 4, False).cuda()
        model.load_state_dict(state)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(64, 1024, device="cuda")).mean().backward()
        optimizer.step()
    elif CASE == "collected-results":
        model = Model(256, 4, False).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in range(2):
            outputs = []
            for _ in range(40):
                out = model(torch.randn(4096, 256, device="cuda"))
                optimizer.zero_grad()
                out.mean().backward()
                optimizer.step()
                outputs.append(out.detach().cpu() if FOLLOWED else out)
            outputs.clear()
    elif CASE == "collected-results-passes":
        model, optimizer = train(256, 4, 512)
        wanted = torch.zeros(2048, dtype=torch.long, device="cuda")
        with torch.no_grad():
            outputs, right = [], 0
            for _ in range(40):
                out = model(torch.randn(2048, 256, device="cuda"))
                if FOLLOWED:
                    right += (out.softmax(1).argmax(1) == wanted).sum().item()
                else:
                    outputs.append(out)
            if not FOLLOWED:
                right = (torch.cat(outputs).softmax(1).argmax(1) == wanted.repeat(40)).sum().item()
    elif CASE == "optimizer-state":
        model = Model(512, 4, False).cuda()
        optimizer = (Adam8Bit if FOLLOWED else torch.optim.Adam)(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(2048, 512, device="cuda")).square().mean().backward()
            optimizer.step()
        return model, optimizer  # the type of what lives at the end is known
    elif CASE.startswith("loss-in-parts"):
        half = CASE.endswith("autocast")
        model, head = Model(128, 2, False).cuda(), nn.Linear(64, 20000).cuda()
        optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()])
        wanted = torch.zeros(2048, dtype=torch.long, device="cuda")

        def loss_of(x, y):
            return F.cross_entropy(head(x).float(), y, reduction="sum")

        for _ in range(3):
            with torch.autocast("cuda", torch.bfloat16, enabled=half):
                x = model(torch.randn(2048, 128, device="cuda"))
                if FOLLOWED:
                    parts = zip(x.chunk(8), wanted.chunk(8))
                    loss = sum(checkpoint(loss_of, *part, use_reentrant=False) for part in parts)
                else:
                    loss = loss_of(x, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


kept = main()
print(torch.cuda.max_memory_allocated())
