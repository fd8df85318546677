"""Ways of holding that are the interpreter's own, on any Python; prints them and the addresses at their ends."""
import collections
import gc
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain_torch"))
import torch

ways = {}


def made(way):
    tensor = torch.Tensor(4096)
    ways[way] = tensor.address
    return tensor


class Node:
    """Few attributes: kept without a dict where the version can."""


class Slots:
    __slots__ = ("held", "empty")


class Many(dict):
    pass


def closure(t):
    def inner():
        return t

    return inner


def generate(argument):
    big = made("__main__.g local big")
    yield argument
    print(big)


async def wait():
    held = made("__main__.c local held")

    class Once:
        def __await__(self):
            yield

    await Once()
    print(held)


def waits(started, end):
    inside = made("waits local inside")
    started.set()
    end.wait()
    return inside


node, slots, many = Node(), Slots(), Many()
node.first, node.second = made("__main__.node.first"), made("__main__.node.second")
slots.held = made("__main__.slots.held")
many["a"], many.own = made("__main__.many['a']"), made("__main__.many.own")
ordered = collections.OrderedDict(x=made("__main__.ordered['x']"))
default = collections.defaultdict(list, {3: [made("__main__.default[3][0]")]})
queue = collections.deque([1, made("__main__.queue[1]")])
pair = ("", made("__main__.pair[1]"))
f = closure(made("__main__.f closure t slot"))
g = generate(made("__main__.g local argument"))
next(g)
c = wait()
c.send(None)
gc.disable()  # garbage is to stay
one, two = Node(), Node()
one.other, two.other, one.held = two, one, made("garbage")
del one, two
started, end = threading.Event(), threading.Event()
thread = threading.Thread(target=waits, args=(started, end), daemon=True)
thread.start()
started.wait()
large = [None] * 3000000 + [made("__main__.large[3000000]")]
print(json.dumps(ways))
sys.stdout.flush()
