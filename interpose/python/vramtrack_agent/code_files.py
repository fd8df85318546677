# Whose code a file is: the user's, a library's, the interpreter's, or the agent's own.

from __future__ import annotations

import os
import sys

from .process import process


def _library_prefixes() -> tuple[str, str]:
    stdlib = os.path.dirname(os.__file__) + os.sep
    return (stdlib, "<")


def is_user_file(path: str, _prefixes: list[str] = []) -> bool:
    """The user's own code: not the standard library, an installed package, or code without a file."""
    if not _prefixes:
        _prefixes.extend(_library_prefixes())
    if path.startswith(_prefixes[1]):
        return False
    if "/site-packages/" in path or "/dist-packages/" in path:
        return False
    return not path.startswith(_prefixes[0])


def module_file(name: object) -> str:
    """The file of a loaded module, or ""."""
    if name == "__main__":
        return os.path.abspath(process.main) if process.main else ""
    module = sys.modules.get(name) if type(name) is str else None
    file = module.__dict__.get("__file__") if type(module) is type(sys) else None
    return file if type(file) is str else ""
