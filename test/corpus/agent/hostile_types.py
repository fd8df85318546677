"""Objects that run code, warn or raise when looked at, and tensors that must not be touched."""
import atexit
import functools
import warnings

import torch

touched = []
atexit.register(lambda: print("after", touched, torch.cuda.memory_allocated() - before == 80 << 20))  # after the agent


class Liar:
    @property
    def __class__(self):
        touched.append("class")
        raise RuntimeError("do not ask")

    def __bool__(self):
        touched.append("bool")
        raise RuntimeError("no truth")

    def __eq__(self, other):
        touched.append("eq")
        raise RuntimeError("no equal")

    __hash__ = None


class Strict(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        touched.append(function.__name__)
        raise RuntimeError("no function")


class Mapping(dict):
    def __len__(self):
        touched.append("len")
        raise RuntimeError("no size")

    __iter__ = keys = items = values = __len__


class Sequence(list):
    def __len__(self):
        touched.append("len")
        raise RuntimeError("no size")

    __iter__ = __len__


class Trouble(Exception):
    def __getattribute__(self, name):
        touched.append(name)
        raise RuntimeError("no attribute")


class Unequal(type):
    def __eq__(cls, other):
        touched.append("== of a class")
        raise RuntimeError("no equal")

    __hash__ = None


class Odd(metaclass=Unequal):
    def __init__(self):
        self.kept = torch.zeros(8, device="cuda")


class OddMapping(dict, metaclass=Unequal):
    pass


@functools.lru_cache(maxsize=8)
def cached(size):
    return torch.zeros(size, device="cuda")


liars = [Liar() for _ in range(3)]
plain = torch.zeros(512, 1024, device="cuda")
strict = torch.Tensor._make_subclass(Strict, plain)
source = torch.zeros(1024, 1024, device="cuda")
lazy = torch._lazy_clone(source)
odd = [Mapping(x=torch.zeros(8, device="cuda")), Sequence([torch.zeros(8, device="cuda")]), Trouble(cached(8))]
odd += [Odd(), OddMapping(x=torch.zeros(8, device="cuda")), {"x": Odd()}]
before = torch.cuda.memory_allocated()
kept = [torch.zeros(1024, 1024, device="cuda") for _ in range(20)]
warnings.simplefilter("error")
print(touched, torch.cuda.memory_allocated() - before == 80 << 20)
