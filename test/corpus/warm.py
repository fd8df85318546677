"""Imports PyTorch, then runs each program that a line of its input names in a forked child (test/e2e/warm.py writes them).

What is left of a child's own is what `python program.py` does: `__main__` is the program's, and its functions run at exit.
The interpreter's end alone is left out, which with PyTorch takes a second, after the last look at who holds what."""

import atexit
import json
import os
import sys
import threading
import traceback
import types

import torch
import torch._dynamo  # noqa: F401 (which the first optimizer would import)

for text in sys.stdin:
    request = json.loads(text)
    child = os.fork()
    if child == 0:
        break
    _, status = os.waitpid(child, 0)
    print(json.dumps({"pid": child, "code": os.waitstatus_to_exitcode(status)}), flush=True)
else:
    sys.exit()

os.chdir(request["folder"])
for target, name in enumerate((os.devnull, "stdout", "stderr")):
    with open(name, "wb" if target else "rb") as file:
        os.dup2(file.fileno(), target)
sys.argv = [request["program"], *request["arguments"]]
sys.path[0] = os.path.dirname(request["program"])
main = sys.modules["__main__"] = types.ModuleType("__main__")
vars(main).update(__file__=request["program"], __builtins__=__builtins__)
code = 0
try:
    with open(request["program"], encoding="utf-8") as source:
        program = compile(source.read(), request["program"], "exec")
    del text, request, child, source, target, name, file
    exec(program, vars(main))
except SystemExit as leaving:
    code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
except BaseException:
    traceback.print_exc()
    code = 1
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
