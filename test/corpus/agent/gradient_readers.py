"""When the agent may read a gradient, and what a graph saved. Usage: gradient_readers.py THREADS.PY. Prints {case: answer}
and {"saved while " + case: answer} as JSON.

Another thread stands still in the middle of an access to `.grad`, which a property holds up as torch's destructor of the
old gradient does."""

import gc
import json
import sys
import threading
import weakref

space = {}
exec(compile(open(sys.argv[1]).read(), "<vramtrack threads>", "exec"), space)
readable = space["gradients_readable"]
saved_readable = space["saved_readable"]


class Parameter:
    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def stop(self, *_):
        self.inside.set()
        self.go_on.wait()

    grad = property(stop, stop, stop)


def assigns(p):
    p.grad = None


def assigns_deeper(p):
    assigns(p)
    return p.grad


def deletes(p):
    del p.grad


def by_call(p):
    setattr(p, "grad", None)


def reads(p):
    return p.grad


def backward(p):
    def run_backward():
        p.stop()

    class engine:
        pass

    engine.run_backward = run_backward
    engine.run_backward()


def kept_alive():
    """Whether asking leaves the variables of the asking frames alive."""

    class Local:
        pass

    def ask():
        local = Local()
        readable()
        saved_readable()
        return weakref.ref(local)

    return ask()() is not None


def main():
    gc.disable()
    answers = {"alone": readable()}
    for case in (assigns, assigns_deeper, deletes, by_call, reads, backward):
        p = Parameter()
        thread = threading.Thread(target=case, args=(p,))
        thread.start()
        p.inside.wait()
        answers[case.__name__] = readable()
        answers["saved while " + case.__name__] = saved_readable()
        assert not kept_alive()
        p.go_on.set()
        thread.join()
    assert not kept_alive()
    answers["after"] = readable()
    answers["has_gil"] = space["has_gil"]()
    print(json.dumps(answers))


main()
