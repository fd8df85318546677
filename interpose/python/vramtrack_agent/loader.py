# Makes the package of its embedded files. Runs first, in a namespace that holds the native functions and constants, and
# leaves `entry` there: the namespace of install.py, whose functions the native side calls. Nothing is put into
# sys.modules, where the script would meet it; so the files' own imports come here, by an __import__ of their builtins.

from __future__ import annotations

import builtins
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGE = "vramtrack_agent"

_package: Any = types.ModuleType(PACKAGE)
_native: Any = types.ModuleType(PACKAGE + ".native")
_files: dict[Any, Any] = {}  # name -> module


def _own_builtins() -> dict[str, Any]:
    """The interpreter's, without what a script has put among them: its objects must not live on here."""
    kept: dict[str, Any] = {}
    for name, value in list(vars(builtins).items()):
        kind = type(value)
        if kind is type(len):
            own = type(value.__self__) is types.ModuleType  # not a method of one of its objects; `open` is _io's
        elif kind is type:
            own = value.__module__ == "builtins"
        else:
            own = any(value is constant for constant in (None, True, False, Ellipsis, NotImplemented))
        if own:
            kept[name] = value
    kept["__import__"] = _import
    return kept


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    if level == 0:
        return builtins.__import__(name, globals, locals, fromlist, level)
    if name:  # from .tensors import Access
        return _file(name)
    for part in fromlist or ():  # from . import native
        if part != "native":
            _file(part)
    return _package


def _file(name: str) -> Any:
    module = _files.get(name)
    if module is None:
        module = _files[name] = types.ModuleType("%s.%s" % (PACKAGE, name))
        module.__package__ = PACKAGE
        module.__dict__["__builtins__"] = _builtins
        try:
            code = compile(_native.source(name), "<vramtrack %s>" % name, "exec", dont_inherit=True)
            exec(code, module.__dict__)
        except BaseException:
            del _files[name]
            raise
        setattr(_package, name, module)
    return module


def _own_spaces() -> list[dict[str, Any]]:
    """The namespaces of the agent: what they hold is nobody's."""
    return [globals(), _native.__dict__, *(module.__dict__ for module in list(_files.values()))]


_builtins = _own_builtins()
for _name, _value in list(globals().items()):
    if _name.startswith(("native_", "EDGE_", "GRAPH_", "MOMENT_")):
        setattr(_native, _name[7:] if _name.startswith("native_") else _name, _value)
_native.own_spaces = _own_spaces
_package.native = _native
entry = _file("install").__dict__
