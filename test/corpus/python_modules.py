"""Allocates inside the calls of many objects that look to vramtrack like PyTorch's modules: a file of the same name as
PyTorch's, with the function that calls every module. Needs no PyTorch: plain ctypes calls that keep the GIL.

Usage: python_modules.py FOLDER. Prints how many calls ran. Runs on CPython 3.9 and later.
"""

import ctypes
import importlib.util
import pathlib
import random
import sys
import threading

RUNTIME = ctypes.PyDLL("libcudart.so.12")

CALLS = {
    "wrapped": """
class Module:
    def _wrapped_call_impl(self, *args, **kwargs):
        return self._call_impl(*args, **kwargs)

    def _call_impl(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    __call__ = _wrapped_call_impl
""",
    # Before PyTorch 2.1: an inner function uses `self` too, so it lies in a cell.
    "cell": """
class Module:
    def _call_impl(self, *args, **kwargs):
        def inner():
            return self.forward(*args, **kwargs)

        return inner()

    __call__ = _call_impl
""",
}


def load(folder, text):
    path = pathlib.Path(folder) / "torch" / "nn" / "modules" / "module.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("modules_of_" + pathlib.Path(folder).name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Module


def allocate():
    pointer = ctypes.c_void_p()
    assert RUNTIME.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(512)) == 0
    assert RUNTIME.cudaFree(pointer) == 0


def main(folder, which):
    base = load(folder + "/" + which, CALLS[which])

    class Leaf(base):
        def forward(self, depth):
            allocate()

    class Other(Leaf):
        pass

    class Branch(base):
        def __init__(self, children):
            self.inner = children

        def forward(self, depth):
            for one in self.inner:  # one instruction calls them all
                one(depth + 1)
            allocate()

    def generate(one):
        one(0)
        yield 1
        one(0)

    def grow(depth):
        return Branch([grow(depth - 1) if depth else random.choice((Leaf, Other))() for _ in range(3)])

    def work(seed):
        random.seed(seed)
        calls = 0
        for _ in range(12):
            root = grow(2)  # dies at the next turn: addresses are taken again, by other classes too
            for _ in range(4):
                root(0)
                calls += 1
            for _ in generate(root.inner[0]):
                allocate()
        return calls

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    print(work(9))
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
