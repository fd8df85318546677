"""Allocates on the simulated GPU from every kind of Python frame, and writes down what the stack was each time.

Usage: python_stacks.py EXPECTED.json. Needs no package: plain ctypes calls into the CUDA runtime, once through CDLL
(which releases the GIL) and once through PyDLL (which keeps it). Nothing is freed. Runs on CPython 3.9 and later.
"""

import asyncio
import contextlib
import ctypes
import functools
import gc
import json
import random
import sys
import threading
import types

RUNTIME = ctypes.CDLL("libcudart.so.12")
HOLDING_GIL = ctypes.PyDLL("libcudart.so.12")
expected = {}  # address -> [file, function, line], innermost first


def frames(frame):
    found = []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    return found


def allocate(kind, library=RUNTIME):
    pointer = ctypes.c_void_p()
    outer = frames(sys._getframe(1))
    line = sys._getframe().f_lineno + 1
    code = library.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(512))
    assert code == 0, code
    expected[hex(pointer.value)] = {"kind": kind, "frames": [(__file__, "allocate", line)] + outer}


def both(kind):
    allocate(kind)
    allocate(kind + ", GIL held", HOLDING_GIL)


def generator():
    both("generator")
    got = yield 1
    both("generator resumed" + got)
    yield 2


def delegating():
    yield from generator()


class Made:
    member = [allocate("class body")]

    def __init__(self):
        both("__init__")

    def __call__(self):
        both("__call__")

    @property
    def property(self):
        return both("property")

    def __getattr__(self, name):
        both("__getattr__")
        return name

    def __enter__(self):
        both("__enter__")
        return self

    def __exit__(self, *_):
        both("__exit__")
        return True

    def __lt__(self, other):
        both("__lt__")
        return False

    def __iter__(self):
        both("__iter__")
        return iter(())


class Dies:
    def __del__(self):
        both("__del__")


class Meta(type):
    def __call__(cls, *arguments):
        both("metaclass call")
        return super().__call__(*arguments)


class WithMeta(metaclass=Meta):
    def __new__(cls):
        both("__new__")
        return super().__new__(cls)


async def coroutine(depth):
    both("coroutine")
    if depth > 0:
        await coroutine(depth - 1)
        await asyncio.sleep(0)
        both("coroutine resumed")


async def asynchronous_generator():
    for i in range(2):
        both("asynchronous generator")
        await asyncio.sleep(0)
        yield i


async def asynchronous():
    await asyncio.gather(coroutine(3), coroutine(0))
    async for _ in asynchronous_generator():
        both("in async for")
    [x async for x in asynchronous_generator()]


def recursion(depth):
    if depth == 0:
        return both("recursion")
    return recursion(depth - 1)


def from_c():
    list(map(lambda _: both("map"), [1]))
    sorted([1, 2], key=lambda x: (both("sort key"), x)[1])
    sorted([Made(), Made()])
    functools.partial(both, "partial")()
    functools.reduce(lambda a, b: both("reduce"), [1, 2, 3])
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(array, ctypes.c_size_t(2), ctypes.c_size_t(4), callback(lambda *_: both("qsort") or 0))
    exec("both('exec')\nfor i in range(2):\n  both('exec loop')\n", globals())
    eval("both('eval')")
    type("Dynamic", (Made,), {})()


def expressions():
    [both("comprehension") for _ in range(2)]
    list(both("generator expression") for _ in range(2))
    {both("dict comprehension"): [both("nested comprehension") for _ in range(1)] for _ in range(1)}
    (lambda: both("lambda"))()
    try:
        raise ValueError
    except ValueError:
        both("except")
    finally:
        both("finally")
    (
        both("several"),
        both(
            "lines"
        ),
    )


@functools.lru_cache(None)
def cached(n):
    both("cached")
    return n if n < 2 else cached(n - 1)


@contextlib.contextmanager
def managed():
    both("contextmanager")
    yield
    both("contextmanager end")


def reused_code_objects():
    """Code objects die and others take their memory: names, files and lines must be the living ones'."""
    for i in range(200):
        shift = "\n" * (i % 7)
        source = f"{shift}def f{i % 3}(call):\n{shift}    call('reused')\n"
        space = {}
        exec(compile(source, f"<generated {i % 5}>", "exec"), space)
        space[f"f{i % 3}"](allocate)
        space.clear()
    # The same names and first line everywhere; only the table of lines differs.
    for i in range(100):
        blank = "\n" * (i % 4)
        space = {}
        exec(compile(f"def f(call):\n  x = 1\n{blank}  call('same name')\n", "<same>", "exec"), space)
        space["f"](allocate)
        code = None
        space.clear()
        gc.collect(0)
    for i in range(50):
        base = reused_code_objects.__code__.co_consts
        copy = (lambda call: call("replaced")).__code__.replace(co_firstlineno=1000 + i, co_name=f"name{i % 4}")
        types.FunctionType(copy, globals())(allocate)
        del copy, base


def in_threads():
    def work(n):
        chooser = random.Random(n)
        for _ in range(20):
            recursion(chooser.randrange(6))
            list(generator_of(chooser.randrange(3)))
            short_lived(n)

    def short_lived(n):
        """Code objects that die in one thread while the others make theirs: without a GIL, at the same time."""
        space = {}
        exec(compile("\n" * n + "def f(call):\n  call('made in a thread')\n", f"<thread {n}>", "exec"), space)
        space["f"](allocate)
        space.clear()

    def generator_of(n):
        for _ in range(n):
            allocate("generator in thread")
            yield

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def with_greenlets():
    try:
        import greenlet
    except ImportError:
        return False

    def inner():
        both("greenlet")
        main.switch()
        both("greenlet resumed")

    main = greenlet.getcurrent()
    made = [greenlet.greenlet(inner) for _ in range(3)]
    for _ in range(2):
        for each in made:
            each.switch()
            both("between greenlets")
    return True


def everything():
    running = delegating()
    next(running)
    running.send("!")
    made = Made()
    made()
    made.property
    made.missing
    with made:
        raise KeyError
    list(made)
    Dies()
    WithMeta()
    with managed():
        both("managed")
    recursion(0)
    recursion(60)
    recursion(300)
    cached(5)
    cached.cache_clear()
    from_c()
    expressions()
    asyncio.run(asynchronous())
    reused_code_objects()
    in_threads()


def main():
    for _ in range(2):
        everything()
    greenlets = with_greenlets()
    with open(sys.argv[1], "w") as out:
        json.dump({"greenlets": greenlets, "expected": expected}, out)


if __name__ == "__main__":
    main()
