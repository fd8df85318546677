"""Errors that cross PyTorch's C++ code in both directions, each caught. Prints what was caught, and on which side."""

import os
import sys
import threading
import time

import torch


def told(name, action):
    try:
        result = action()
        print(name, "gave", type(result).__name__)
    except BaseException as error:
        print(name, "raised", type(error).__mro__[:-1], str(error).splitlines()[:1])


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 2

    @staticmethod
    def backward(context, gradient):
        torch.empty(1000, device="cuda")
        raise KeyError("in backward")


def with_hook(error):
    x = torch.ones(4, device="cuda", requires_grad=True)

    def hook(gradient):
        raise error

    y = x * 2
    y.register_hook(hook)
    y.sum().backward()


def out_of_memory():
    kept = [torch.empty(1 << 30, dtype=torch.uint8, device="cuda") for _ in range(100)]
    return kept


def in_thread(action):
    thread = threading.Thread(target=told, args=("in a thread", action))
    thread.start()
    thread.join()


a, b = torch.ones(3, 4, device="cuda"), torch.ones(5, 6, device="cuda")
for _ in range(2):
    told("shapes", lambda: a @ b)
    told("index", lambda: a[7])
    told("dtype", lambda: torch.ones(2, dtype=torch.int64, device="cuda").requires_grad_())
    told("device", lambda: torch.ones(2, device="cuda:5"))
    told("host memory", lambda: torch.empty(1 << 60))
    told("vector", lambda: torch.ones(2, device="cuda").expand(-3, 1))
    told("backward", lambda: Fails.apply(torch.ones(4, device="cuda", requires_grad=True)).sum().backward())
    told("hook", lambda: with_hook(ZeroDivisionError("in hook")))
    told("interrupt", lambda: with_hook(KeyboardInterrupt("in hook")))
    told("exit", lambda: with_hook(SystemExit(3)))
    told("twice", lambda: [y.backward() for y in [(torch.ones(2, device="cuda", requires_grad=True) ** 2).sum()] * 2])
    told("in place", lambda: torch.ones(2, device="cuda", requires_grad=True).add_(1))
    told("out of memory", out_of_memory)
    in_thread(lambda: a @ b)
    in_thread(out_of_memory)
    told("jit", lambda: torch.jit.script("not a function"))
print("done", flush=True)
if len(sys.argv) > 1:
    os.write(1, b"uncaught next\n")
    try:
        Fails.apply(torch.ones(4, device="cuda", requires_grad=True)).sum().backward()
    finally:
        # The engine's thread drops its copy of the exception yet, for which it takes the GIL: a thread that asks for it
        # while the interpreter ends is ended in the midst of C++ code, which is std::terminate.
        time.sleep(0.5)
