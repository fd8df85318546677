"""Random functions for the liveness check: every construct that moves control, with probes between and inside."""

import random


class Writer:
    """Writes one function of nested random statements over a few variables."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.count = self.random.randint(3, 8)
        self.loops = 0

    def name(self):
        return "v%d" % self.random.randrange(self.count)

    def emit(self, depth, text):
        self.lines.append("    " * depth + text)

    def function(self):
        kind = self.random.choice(("def", "def", "def", "gen", "async"))
        self.emit(0, "async def f():" if kind == "async" else "def f():")
        for i in range(self.count):
            self.emit(1, "v%d = new()" % i)
        self.kind = kind
        if self.random.random() < 0.3:  # one variable becomes a cell: never a verdict
            self.emit(1, "inner = lambda: use(v0)")
        self.block(1, 4)
        if kind == "gen":
            self.emit(1, "yield use(%s)" % self.name())
        else:
            self.emit(1, "return use(%s)" % self.name())
        return "\n".join(self.lines), kind

    def block(self, depth, budget):
        for _ in range(self.random.randint(1, 4)):
            self.statement(depth, budget)

    def statement(self, depth, budget):
        r = self.random
        simple = ("assign", "use", "probe", "probe", "inside", "del", "boom", "swap", "walrus", "comp", "augment")
        compound = ("if", "while", "for", "try", "finally", "with", "nested", "else", "match")
        pick = r.choice(simple if budget <= 0 or r.random() < 0.55 else compound)
        getattr(self, "do_" + pick)(depth, budget)

    def do_assign(self, depth, budget):
        self.emit(depth, "%s = use(%s)" % (self.name(), self.name()))

    def do_use(self, depth, budget):
        self.emit(depth, "use(%s, %s)" % (self.name(), self.name()))

    def do_probe(self, depth, budget):
        self.emit(depth, "probe()")

    def do_inside(self, depth, budget):
        shape = self.random.choice(("use(%s, probe(), %s)", "%s + probing + %s", "[use(%s), probe(), use(%s)]",
                                    "use(%s) if truth() else use(probing.attribute, %s)", "%s < probing or use(%s)"))
        self.emit(depth, shape % (self.name(), self.name()))

    def do_del(self, depth, budget):
        name = self.name()
        self.emit(depth, "del %s" % name)
        self.emit(depth, "probe()")
        self.emit(depth, "%s = new()" % name)

    def do_boom(self, depth, budget):
        self.emit(depth, self.random.choice(("boom()", "use(boom(), %s)" % self.name())))

    def do_swap(self, depth, budget):
        a, b = self.name(), self.name()
        self.emit(depth, "%s, %s = use(%s), use(%s)" % (a, b, b, a))

    def do_walrus(self, depth, budget):
        self.emit(depth, "use((%s := use(%s)), %s)" % (self.name(), self.name(), self.name()))

    def do_comp(self, depth, budget):
        self.emit(depth, "%s = use(*[use(i) for i in range(2) if truth()])" % self.name())

    def do_augment(self, depth, budget):
        self.emit(depth, "%s += 1" % self.name())

    def do_if(self, depth, budget):
        self.emit(depth, "if truth():")
        self.block(depth + 1, budget - 1)
        if self.random.random() < 0.5:
            self.emit(depth, "else:")
            self.block(depth + 1, budget - 1)

    def loop_body(self, depth, budget):
        self.block(depth, budget - 1)
        if self.random.random() < 0.4:
            self.emit(depth, "if truth(): %s" % self.random.choice(("break", "continue")))
            self.block(depth, 0)

    def do_while(self, depth, budget):
        self.loops += 1
        self.emit(depth, "while again():")
        self.loop_body(depth + 1, budget)
        if self.random.random() < 0.3:
            self.emit(depth, "else:")
            self.block(depth + 1, budget - 1)

    def do_for(self, depth, budget):
        target = self.name()
        source = self.random.choice(("items()", "probing_items()"))
        self.emit(depth, "for %s in %s:" % (target, source))
        self.loop_body(depth + 1, budget)

    def do_else(self, depth, budget):
        self.emit(depth, "for _ in items():")
        self.block(depth + 1, budget - 1)
        self.emit(depth, "else:")
        self.block(depth + 1, budget - 1)

    def do_try(self, depth, budget):
        self.emit(depth, "try:")
        self.block(depth + 1, budget - 1)
        self.emit(depth, "except Boom%s:" % self.random.choice(("", " as error")))
        self.block(depth + 1, budget - 1)
        if self.random.random() < 0.3:
            self.emit(depth, "else:")
            self.block(depth + 1, budget - 1)

    def do_finally(self, depth, budget):
        self.emit(depth, "try:")
        self.block(depth + 1, budget - 1)
        if self.random.random() < 0.4:
            self.emit(depth, "except Other:")
            self.block(depth + 1, budget - 1)
        self.emit(depth, "finally:")
        self.block(depth + 1, budget - 1)

    def do_with(self, depth, budget):
        if self.kind == "async" and self.random.random() < 0.4:
            self.emit(depth, "async with context():")
        else:
            self.emit(depth, "with context():")
        self.block(depth + 1, budget - 1)

    def do_nested(self, depth, budget):
        if self.kind == "gen":
            self.emit(depth, "yield use(%s)" % self.name())
        elif self.kind == "async":
            self.emit(depth, "await later(%s)" % self.name())
        else:
            self.emit(depth, "if truth(): return use(%s)" % self.name())

    def do_match(self, depth, budget):  # a chain of conditions, as `match` would be, on every version
        self.emit(depth, "if use(%s) is None: pass" % self.name())
        self.emit(depth, "elif truth():")
        self.block(depth + 1, budget - 1)
        self.emit(depth, "elif use(%s):" % self.name())
        self.block(depth + 1, budget - 1)


def function_text(seed):
    return Writer(seed).function()
