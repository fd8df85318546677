# Where in the source a variable grows: the statement that adds to it. Reads the user's file once per question.

from __future__ import annotations

import ast
import os
import re
import stat
import sys
import types

from .code_files import is_user_file
from .process import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

_ADDERS = frozenset(
    (
        "append",
        "extend",
        "insert",
        "add",
        "appendleft",
        "extendleft",
        "update",
        "setdefault",
        "put",
        "push",
        "log",
        "record",
        "put_nowait",
        "__setitem__",
        "enter_context",
        "enter_async_context",
    )
)
_ADDING_FUNCTIONS = frozenset(("heappush", "insort", "insort_left", "insort_right", "setitem"))  # to what comes first
_TAKING_FUNCTIONS = frozenset(("heappop", "heappushpop", "heapreplace"))
_TAKERS = frozenset(("pop", "popleft", "popitem", "clear", "remove"))
_largest_source = 300000  # bytes: to parse a larger one would hold the program up
_trees: dict[Any, Any] = {}  # path -> ast.Module or None; a handful of user files
_texts: dict[str, str] = {}  # path -> text, of all of the program's own files


def _source_of(path: str) -> bytes:
    """The beginning of a regular file. What else a script may be (`python <(...)`, a named pipe) would make the program wait."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, _largest_source) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)


def _parsed(text: bytes, path: str) -> ast.Module:
    """The tree of a source text. The warnings that a compiler has (an escape that is none) were the program's to show, when it
    was compiled for it. A filter goes in and out without a word to the module: its registries, by which a place warns once, hold.
    """
    filters = getattr(sys.modules.get("warnings"), "filters", None)
    quiet = ("ignore", None, Warning, None, 0)
    if type(filters) is list:
        filters.insert(0, quiet)
    try:
        return compile(text, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)  # type: ignore[return-value]
    finally:
        if type(filters) is list:
            filters.remove(quiet)


def source_tree(path: str) -> ast.Module | None:
    if path not in _trees:
        if len(_trees) > 50:
            _trees.clear()
        try:
            text = _source_of(path)
            _trees[path] = _parsed(text, path) if len(text) < _largest_source else None
        except ours():
            _trees[path] = None
    return _trees[path]


def _scope(tree: ast.AST, function: str, first_line: int) -> ast.AST:
    """The function's own tree, or the whole file."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function:
            lines = [node.lineno] + [d.lineno for d in node.decorator_list]
            if min(lines) == first_line:
                return node
    return tree


def _classes(tree: ast.AST, name: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name] if name else []


def limited_in_source(path: str, function: str, first_line: int, name: str, of_class: str = "") -> bool:
    """Whether the code takes elements out of `name` again, or adds to it only below a length: a buffer that has a limit,
    also where the run was too short to reach it."""
    tree = source_tree(path)
    if tree is None:
        return False
    scopes: Sequence[ast.AST] = _classes(tree, of_class)
    if not scopes:
        scopes = [_scope(tree, function, first_line)]
    for scope in scopes:
        idle: set[int] | None = None  # asked for only where something would limit it: it reads the program's files
        for node in ast.walk(scope):
            if not _limits(node, name):
                continue
            if idle is None:
                idle = _idle_nodes(tree, scope, path)
            if id(node) not in idle:
                return True
    return False


def _limits(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Call):
        if _given_first(node, _TAKING_FUNCTIONS, name):
            return True
        taken = node.func
        return isinstance(taken, ast.Attribute) and taken.attr in _TAKERS and _last_name(taken.value) == name
    if isinstance(node, ast.Delete):
        return any(isinstance(target, ast.Subscript) and _last_name(target) == name for target in node.targets)
    if isinstance(node, ast.Assign):
        return any(_last_name(target) == name for target in node.targets) and any(
            isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Slice) and _mentions(part.value, name)
            for part in ast.walk(node.value)
        )
    if isinstance(node, (ast.If, ast.While)) and (_compares_length(node.test, name) or _counts(node)):
        return _best_in(ast.Module(node.body, []), name, None, in_place=True)[0] >= 4
    return False


def _idle_nodes(tree: ast.AST, scope: ast.AST, path: str) -> set[int]:
    """What is in functions of a scope that the program calls nowhere: a `reset()` that was forgotten. Or in a lambda,
    which is handed to somebody, who may never call it."""
    idle: set[int] = set()
    for function in ast.walk(scope):
        if isinstance(function, ast.Lambda):
            idle.update(map(id, ast.walk(function)))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function is not scope:
            if not _is_called(tree, function, path):
                idle.update(map(id, ast.walk(function)))
    return idle


def _is_called(tree: ast.AST, function: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> bool:
    """Whether the program calls a function, or its file names it at all. A library calls `__x__` and `on_x`."""
    name = function.name
    if name.startswith(("__", "on_")):
        return True
    own = set(map(id, ast.walk(function)))
    for node in ast.walk(tree):
        if getattr(node, "attr", getattr(node, "id", None)) == name and id(node) not in own:
            return True
    call = re.compile(r"(?<!\w)(?<!def )%s\(" % re.escape(name))
    return any(call.search(text) for file, text in _user_sources().items() if file != path)


def _user_sources() -> dict[str, str]:
    """The program's own files and their text; a bounded number."""
    if not _texts:
        for module in list(sys.modules.values()):
            file = module.__dict__.get("__file__") if type(module) is types.ModuleType else None
            if type(file) is str and file.endswith(".py") and is_user_file(file) and len(_texts) < 64:
                try:
                    _texts[os.path.abspath(file)] = _source_of(file).decode("utf-8", "replace")
                except ours():
                    continue
    return _texts


def _compares_length(test: ast.AST, name: str) -> bool:
    """`len(name) < limit`, as it stands or as a part of the condition."""
    return any(
        isinstance(side, ast.Call)
        and getattr(side.func, "id", None) == "len"
        and side.args
        and _last_name(side.args[0]) == name
        for node in ast.walk(test)
        if isinstance(node, ast.Compare)
        for side in [node.left, *node.comparators]
    )


def _counts(node: ast.AST) -> bool:
    """`if self.count < self.size:` with `self.count += 1` below it. A `while` of that kind is any loop."""
    if not isinstance(node, ast.If) or not any(isinstance(part, ast.Compare) for part in ast.walk(node.test)):
        return False
    for below in node.body:
        for part in ast.walk(below):
            if isinstance(part, ast.AugAssign) and isinstance(part.op, ast.Add):
                counter = _last_name(part.target)
                if counter is not None and _mentions(node.test, counter):
                    return True
    return False


def _last_name(node: ast.AST) -> str | None:
    """`x` of Name x, `attr` of any.attr, the name below subscripts."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return None


def _given_first(call: ast.Call, functions: frozenset[str], name: str) -> bool:
    """`heapq.heappush(self.name, ...)`"""
    return bool(call.args) and _last_name(call.func) in functions and _last_name(call.args[0]) == name


def _mentions(node: ast.AST, name: str) -> bool:
    return any(_last_name(inner) == name for inner in ast.walk(node) if isinstance(inner, (ast.Name, ast.Attribute)))


def _other_key(node: ast.AST, key: Any) -> bool:
    """Whether `node` is a subscript with a constant key that is not `key`."""
    index = node.slice if isinstance(node, ast.Subscript) else None
    index = getattr(index, "value", index) if type(index).__name__ == "Index" else index  # before 3.9
    return key is not None and isinstance(index, ast.Constant) and index.value != key


def growth_line(
    path: str, function: str, first_line: int, name: str, key: Any = None, of_class: str = ""
) -> tuple[int, bool]:
    """(line, grows) of the statement that makes `name` (a variable or an attribute) grow; (0, False): none found.

    Preferred: augmented assignment, append and the like, item assignment, `x = x + ...`, inside a loop or function;
    then any assignment in a loop; then the last assignment. With `key`, statements on other keys do not count. Of an
    attribute, its class's own statements come first."""
    tree = source_tree(path)
    if tree is None:
        return 0, False
    for node in _classes(tree, of_class):
        best = _best_in(node, name, key)
        if best[0] >= 4:
            return _element_line(node, best[1]), True
    own = _scope(tree, function, first_line)
    scopes = (own, tree) if is_user_file(path) else (own,)  # the same name elsewhere in a library is another variable
    for scope in scopes:
        best = _best_in(scope, name, key)
        if best[0] < 4:
            alias = _by_another_name(tree, scope, name)
            if alias:
                return alias, True
        if best[0]:
            return _element_line(scope, best[1]), best[0] >= 4
    return 0, False


def _element_line(scope: ast.AST, line: int) -> int:
    """Of `pairs = self.name.setdefault(key, [])` at a line the one that adds to `pairs`; else that line itself."""
    functions = [node for node in ast.walk(scope) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions + [scope]:
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign) or node.lineno != line or not isinstance(node.targets[0], ast.Name):
                continue
            called = node.value.func if isinstance(node.value, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr == "setdefault":
                return _changed_in(function, node.targets[0].id) or line
    return line


def _by_another_name(tree: ast.AST, scope: ast.AST, name: str) -> int:
    """Line of a statement that adds to `name` through `h = self.name`, `add = self.name.append`, or a parameter of a
    function of the same file, `record(self.name, loss)`; 0: none."""
    functions = [node for node in ast.walk(scope) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in [node for node in functions if node is not scope] + [scope]:
        nodes = list(ast.walk(function))
        for node in nodes:
            if isinstance(node, (ast.Assign, ast.NamedExpr)):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                value = node.value
                if not isinstance(target, ast.Name) or target.id == name:
                    continue
                if isinstance(value, (ast.Name, ast.Attribute, ast.Subscript)) and _last_name(value) == name:
                    line = _changed_in(function, target.id)
                elif isinstance(value, ast.Attribute) and value.attr in _ADDERS and _last_name(value.value) == name:
                    line = max(
                        (
                            call.lineno
                            for call in nodes
                            if isinstance(call, ast.Call)
                            and isinstance(call.func, ast.Name)
                            and call.func.id == target.id
                        ),
                        default=0,
                    )
                else:
                    continue
            elif isinstance(node, ast.Call):
                line = _changed_by_callee(tree, node, name)
            else:
                continue
            if line:
                return line
    return 0


def _changed_in(function: ast.AST, name: str) -> int:
    """Line of a statement that changes the object that `name` stands for, 0: none."""
    best = _best_in(function, name, None, in_place=True)
    return best[1] if best[0] >= 4 else 0


def _changed_by_callee(tree: ast.AST, call: ast.Call, name: str) -> int:
    """Line at which a function of the file adds to its parameter, where `call` gives it `name`; 0: none."""
    callee = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    given = [
        i
        for i, value in enumerate(call.args)
        if isinstance(value, (ast.Name, ast.Attribute)) and _last_name(value) == name
    ]
    keywords = [
        word.arg
        for word in call.keywords
        if isinstance(word.value, (ast.Name, ast.Attribute)) and _last_name(word.value) == name
    ]
    if not callee or not (given or keywords):
        return 0
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function.name == callee:
            names = [argument.arg for argument in function.args.args]
            own = 1 if isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"]) else 0
            for parameter in [names[i + own] for i in given if i + own < len(names)] + keywords:
                line = _changed_in(function, parameter) if parameter else 0
                if line:
                    return line
    return 0


def line_of_hook(path: str, table: str) -> int:
    """Line of the last call in a file that registers a hook which torch keeps in `table`: `register_forward_hook` for
    `_forward_hooks`, `register_step_post_hook` for `_optimizer_step_post_hooks`. 0: none."""
    tree = source_tree(path)
    name = table.strip("_").replace("optimizer_", "")[:-1]
    return max(
        (
            node.lineno
            for node in ast.walk(tree or ast.Module([], []))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr.startswith("register_")
            and node.func.attr.endswith(name)
        ),
        default=0,
    )


def read_in_statement(path: str, line: int, name: str) -> bool:
    """Whether the simple statement (or the head of the compound one) at `line` reads `name`: then no `del` fits before
    it. True as well when that cannot be told."""
    tree = source_tree(path)
    if tree is None or not line:
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            parts: list[ast.AST] = [node]
            if isinstance(body, list):
                if body[0].lineno <= line:
                    continue
                parts = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
            for part in parts:
                for inner in ast.walk(part):
                    if isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Load):
                        return True
                    if isinstance(inner, ast.AugAssign) and _last_name(inner.target) == name:
                        return True
    return False


def _adds_to(node: ast.AST, name: str, key: Any) -> bool:
    """`x.append`, `x[k].append`, `x.setdefault(k, []).append`: the receiver is `name`, or an element of it."""
    while (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("setdefault", "get")
    ):
        node = node.func.value
    return _last_name(node) == name and not _other_key(node, key)


def _elsewhere(scope: ast.AST, name: str) -> set[int]:
    """Ids of the nodes within functions of `scope` for which a plain `name = ...` sets a variable of their own."""
    inside: set[int] = set()
    for node in ast.walk(scope):
        if node is scope or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        parts = list(ast.walk(node))
        if not any(isinstance(part, (ast.Global, ast.Nonlocal)) and name in part.names for part in parts):
            inside.update(map(id, parts))
    return inside


def _best_in(scope: ast.AST, name: str, key: Any, in_place: bool = False) -> tuple[float, int]:
    """(score, line) of the statement of `scope` that most likely makes `name` grow. `in_place`: only statements that
    change the object itself count."""
    best: tuple[float, int] = (0, 0)
    loops, elsewhere = set(), _elsewhere(scope, name)
    for node in ast.walk(scope):
        if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
            for inner in ast.walk(node):
                loops.add(id(inner))
    for node in ast.walk(scope):
        score: float = 0
        if isinstance(node, ast.AugAssign) and _last_name(node.target) == name:
            score = 0 if _other_key(node.target, key) else 4
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
                    if isinstance(part, ast.Name) and id(part) in elsewhere:
                        continue
                    if _last_name(part) == name and not _other_key(part, key):
                        if isinstance(part, ast.Subscript):
                            score = max(score, 4)
                        elif in_place:
                            continue
                        elif node.value is not None and _mentions(node.value, name):
                            score = max(score, 4)
                        else:
                            score = max(score, 1)
        elif isinstance(node, ast.Call) and _given_first(node, _ADDING_FUNCTIONS, name):
            score = 4
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _ADDERS and _adds_to(node.func.value, name, key):
                score = 4.2  # before an assignment to an element, which may take the place of another
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name and node.decorator_list:
            score = 0.5  # a cached function: it grows by being called
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and _last_name(node.target) == name:
            if not isinstance(node, ast.comprehension):
                score = 0.5
        if score:
            score += 0.5 if id(node) in loops else 0
            if score >= best[0]:
                best = (score, getattr(node, "lineno", 0))
    return best


def forget_sources() -> None:
    """What was read for one analysis."""
    _trees.clear()
    _texts.clear()


def set_in(scope: ast.AST, name: str) -> int:
    """Line of the statement of `scope` that most likely sets `name`, 0: none."""
    return _best_in(scope, name, None)[1]
