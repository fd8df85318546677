"""`vramtrack` and `python -m vramtrack`: becomes the program of the package. `vramtrack kernel` is done here, since it
concerns this very Python."""

import os
import sys
from typing import NoReturn, Optional


def main() -> Optional[int]:
    """Entry point of the script `vramtrack`; does not return except for `kernel` and errors."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["kernel"]:
        from vramtrack.kernel import main as kernel

        return kernel(arguments[1:])
    return _become(arguments)


def _become(arguments: list) -> NoReturn:
    from vramtrack._program import ProgramMissing, find_program

    try:
        program = find_program()
        os.execv(program, ["vramtrack", *arguments])
    except (ProgramMissing, OSError) as error:
        print("error: %s" % error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
