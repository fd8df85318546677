"""Memory held in many ways; prints for each by which way, as a reader of the code would write it, and its address."""
import collections
import functools
import gc
import json
import sys

import torch
import torch.nn as nn

ways = {}


def made(way, kib):
    tensor = torch.ones(kib * 256, device="cuda")
    ways[way] = tensor.data_ptr()
    return tensor


class Sessions:
    shared = made("__main__.Sessions.shared", 11)

    def __init__(self):
        self.sessions = collections.OrderedDict()
        self.plain = [made("__main__.s.plain[0]", 12)]


class Slots:
    __slots__ = ("held",)


class Node:
    pass


class Keep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.out = x * 2
        return ctx.out

    @staticmethod
    def backward(ctx, grad):
        return grad


def closure(t):
    def inner():
        return t

    return inner


def generate():
    big = made("__main__.g local big", 13)
    yield 1
    print(big)


def defaults(a, t=made("__main__.defaults default t", 14)):
    return t


@functools.lru_cache(maxsize=None)
def cached(n):
    return made("__main__.cached slot[1]", 15)


def fail():
    inside = made("traceback", 16)
    raise ValueError(inside.shape)


s = Sessions()
for name in ("user0", "user1"):
    s.sessions[name] = {"kv": made("__main__.s.sessions['%s']['kv']" % name, 17), -7: made(
        "__main__.s.sessions['%s'][-7]" % name, 18)}
slots = Slots()
slots.held = made("__main__.slots.held", 19)
queue = collections.deque([None, made("__main__.queue[1]", 20)], maxlen=5)
f = closure(made("__main__.f closure t slot", 21))
g = generate()
next(g)
cached(1)
try:
    fail()
except ValueError as error:
    kept = error
pair = (1, made("__main__.pair[1]", 22))
members = {made("__main__.members member", 23)}
method = [made("__main__.method slot[0]", 24)].append
partial = functools.partial(print, made("__main__.partial.args[0]", 25))
net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64)).cuda()
ways["__main__.net.0.weight"] = net[0].weight.data_ptr()
ways["__main__.net.1.running_mean"] = net[1].running_mean.data_ptr()
loss = net(torch.ones(4, 64, device="cuda")).sum()
loss.backward()
ways["__main__.net.0.weight.grad"] = net[0].weight.grad.data_ptr()
x = torch.ones(26 * 256, device="cuda", requires_grad=True)
y = x.exp()
ways["__main__.y.grad_fn saved result"] = y.data_ptr()
first, second = Node(), Node()
first.other, second.other, first.held = second, first, made("garbage", 27)
del first, second
through_graph = made("garbage through a graph", 28).requires_grad_()
out = Keep.apply(through_graph)
del out, through_graph
view = s.plain[0][10:20]

graph_of_tensors = {}
for holder in (s.plain, queue, pair, members, s.sessions["user0"]):
    graph_of_tensors[id(holder)] = sorted(id(o) for o in gc.get_referents(holder) if isinstance(o, torch.Tensor))
print(json.dumps({"ways": ways, "tensors_of": graph_of_tensors, "references": sys.getrefcount(queue[1]) - 1,
                  "counted": id(queue[1])}))
