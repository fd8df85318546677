"""The package as a whole: its house rules, its stand-in, and its loader."""

import ast
import builtins
import re
import subprocess
import sys

from conftest import PACKAGE, ROOT

FILES = sorted(PACKAGE.glob("*.py"))


def run_tool(*command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing():
    run_tool("ruff", "check", "--no-cache", PACKAGE.name)


def test_mypy_finds_nothing(tmp_path):
    run_tool("mypy", "--strict", "--no-warn-return-any", "--cache-dir", str(tmp_path), "-p", PACKAGE.name)


def private(name):
    return name.startswith("_") and not name.startswith("__")


def own_private_names(tree):
    """Names with an underscore that a file defines: functions, classes, variables, attributes of self."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if private(name)}


def test_no_file_uses_another_ones_private_names():
    trees = {path.stem: ast.parse(path.read_text()) for path in FILES}
    defined = {name: own_private_names(tree) for name, tree in trees.items()}
    assert sum(map(len, defined.values())) > 60
    wrong = []
    for file, tree in trees.items():
        others = set().union(*(names for name, names in defined.items() if name != file)) - defined[file]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                wrong += [(file, alias.name) for alias in node.names if private(alias.name)]
            elif isinstance(node, ast.Attribute) and node.attr in others:
                wrong.append((file, node.attr))
    assert not wrong


def test_each_file_imports_without_the_traced_process():
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module('vramtrack_agent.' + name)"
    names = [path.stem for path in FILES if path.stem not in ("loader", "__init__")]
    for name in names:  # in any order
        subprocess.run([sys.executable, "-c", code, name], cwd=PACKAGE.parent, check=True)


def test_the_stand_in_has_what_the_traced_process_has():
    from vramtrack_agent import native

    text = (PACKAGE.parent / "natives.cpp").read_text()
    functions = set(re.findall(r'^    \{"native_(\w+)"', text, re.M))
    constants = set(re.findall(r'^    \{"(GRAPH_\w+)"', text, re.M))
    table = (ROOT / "contract" / "heap_graph.def").read_text()
    values = {f"MOMENT_{name}": int(value) for value, name in re.findall(r"^GRAPH_MOMENT\((\d+), (\w+)", table, re.M)}
    values |= {f"EDGE_{name}": int(value) for value, name in re.findall(r"^GRAPH_EDGE_KIND\((\d+), (\w+)", table, re.M)}
    header = (ROOT / "contract" / "heap_graph.hpp").read_text()
    for name in constants:
        contract = re.search(rf'\{{"{name}", trace::(\w+)\}}', text)[1]
        values[name] = eval(re.search(rf"\b{contract} = ([\d <]+)", header)[1])
    assert len(functions) > 15 and len(values) > 30
    stand_in = {name for name in vars(native) if not name.startswith("__")}
    assert stand_in == functions | set(values) | {"own_spaces", "facts", "Any", "annotations"}
    assert {name: getattr(native, name) for name in values} == values


LOADED = """
import sys
space = {"native_source": lambda name: open(sys.argv[1] + "/" + name + ".py").read(), "native_enter": lambda *_: None, "MOMENT_look": 3}
import builtins
builtins.mine = [].append
exec(compile(space["native_source"]("loader"), "<vramtrack loader>", "exec"), space)
entry = space["entry"]
assert entry["__name__"] == "vramtrack_agent.install" and callable(entry["on_look"])
notes = space["_file"]("notes")
assert notes.take_look.__code__.co_filename == "<vramtrack notes>"
assert notes.native.MOMENT_look == 3 and notes.native is entry["native"]
assert "mine" not in notes.__builtins__
def names(code):
    return set(code.co_names).union(*(names(part) for part in code.co_consts if hasattr(part, "co_code")))
used = set().union(*(names(compile(open(path).read(), path, "exec")) for path in sys.argv[2:]))
used = {name for name in used if hasattr(builtins, name) and not name.startswith("__")}
assert len(used) > 30 and not used - set(notes.__builtins__), used - set(notes.__builtins__)
assert not [name for name in sys.modules if name.startswith("vramtrack")]
assert notes.__dict__ in space["_own_spaces"]()
from_process = space["_file"]("process")
assert from_process.is_own(notes.take_look.__code__) and not from_process.is_own(compile("1", "train.py", "eval"))
"""


def test_the_loader_puts_nothing_where_a_script_would_meet_it():
    subprocess.run([sys.executable, "-c", LOADED, str(PACKAGE), *map(str, FILES)], check=True, cwd="/")
    assert not hasattr(builtins, "mine")
