"""`vramtrack fit` against brute force: every value of the range in a process of its own, on a device of the same size.
python fit_brute_force.py VRAMTRACK PYTHON SIZE LO..HI PROGRAM [ARGUMENT...]; the program takes the value first."""

import json
import os
import runpy
import subprocess
import sys


def fits(program, value, arguments):
    """In a child that is forked before CUDA has begun, so that PyTorch is loaded once."""
    child = os.fork()
    if child == 0:
        import torch

        sys.argv = [program, str(value), *arguments]
        code = 0
        try:
            runpy.run_path(program, run_name="__main__")
        except torch.cuda.OutOfMemoryError:
            code = 1
        except BaseException:  # noqa: BLE001  a forked child must end here
            code = 2
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, 1):
        sys.exit(f"{program} {value} failed")
    return code == 0


def every_value(low, high, program, arguments):
    import torch  # noqa: F401  loaded, but not begun

    print(json.dumps([value for value in range(low, high + 1) if fits(program, value, arguments)]))


def main(tool, python, size, values, program, *arguments):
    low, high = map(int, values.split(".."))
    done = subprocess.run([tool, "fit", "--gpu", size, "--vary", f"N={values}", "--format", "json", "--", python, program,
                           "{N}", *arguments], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    done = subprocess.run([tool, "run", f"--sim={size}", "--no-trace", "--quiet", "--", python, __file__, "--every",
                           str(low), str(high), program, *arguments], check=True, capture_output=True, text=True)
    fitting = json.loads(done.stdout.splitlines()[-1])
    largest = found["results"][0]["largest"]
    right = fitting == list(range(low, (low - 1 if largest is None else largest) + 1))
    print(f"{program}: fit says {largest} in {found['runs']} runs; of {high - low + 1} values {len(fitting)} fit, "
          f"the largest {max(fitting, default=None)}: {'equal' if right else 'NOT EQUAL'}")
    return 0 if right else 1


if __name__ == "__main__":
    if sys.argv[1] == "--every":
        every_value(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:])
    else:
        sys.exit(main(*sys.argv[1:]))
