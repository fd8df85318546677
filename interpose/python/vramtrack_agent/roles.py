# What each tensor is for: parameter, gradient, buffer, optimizer state, saved for backward, or just held by Python.

from __future__ import annotations

from .plain_types import SEQUENCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .tensors import Access

RANK = {"parameter": 0, "gradient": 1, "buffer": 2, "optimizer_state": 3, "saved_for_backward": 4, "python": 5}


def module_entries(access: Access, root: Any, prefix: str) -> list[tuple[str, Any]]:
    """(name, module) of a module tree, reading only its instance dicts. Shared modules appear once."""
    found = []
    seen = set()
    stack = [(prefix, root)]
    while stack:
        name, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        values = object.__getattribute__(module, "__dict__")
        found.append((name, module))
        children = values.get("_modules") or {}
        for child, inner in list(children.items()):
            if inner is not None and access.kind(inner) == "m":
                stack.append(((name + "." if name else "") + str(child), inner))
    found.reverse()
    return found


def root_modules(access: Access, modules: list[Any]) -> list[Any]:
    """The modules that no other one holds, be it through others."""
    held = set()
    walked = set()
    stack = list(modules)
    while stack:
        module = stack.pop()
        if id(module) in walked:
            continue
        walked.add(id(module))
        values = object.__getattribute__(module, "__dict__")
        for inner in list((values.get("_modules") or {}).values()):
            if inner is not None and access.kind(inner) == "m":
                held.add(id(inner))
                stack.append(inner)
    return [module for module in modules if id(module) not in held]


def optimizer_values(optimizer: Any) -> list[tuple[str, int, Any]]:
    """(name, id of its parameter, value) of an optimizer's state, also of what lies within lists and dicts there."""
    found: list[tuple[str, int, Any]] = []
    values = object.__getattribute__(optimizer, "__dict__")
    for parameter, state in list((values.get("state") or {}).items()):
        if not hasattr(state, "items"):
            continue
        open_ones = [(str(name), value, 3) for name, value in reversed(list(state.items()))]
        while open_ones:  # no function that calls itself: its closure would be a cycle, which keeps what it saw
            name, value, depth = open_ones.pop()
            if id(type(value)) in SEQUENCES:
                inner = [(name, item, depth - 1) for item in value]
            elif type(value) is dict:
                inner = [("%s.%s" % (name, key), item, depth - 1) for key, item in list(value.items())]
            else:
                found.append((name, id(parameter), value))
                continue
            open_ones.extend(reversed(inner) if depth else ())
    return found


class Roles:
    """address -> (role, name), and id of a parameter -> name."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.of: dict[Any, Any] = {}
        self.parameter_names: dict[Any, Any] = {}

    def _set(self, tensor: Any, role: str, name: str) -> None:
        if tensor is None or self.access.kind(tensor) != "t":
            return
        address = self.access.address(tensor)
        if not address:
            return
        known = self.of.get(address)
        if known is None or RANK[role] < RANK[known[0]]:
            self.of[address] = (role, name)
        elif known[0] == role and role == "parameter" and name not in known[1].split(" = "):
            self.of[address] = (role, known[1] + " = " + name)  # tied weights

    def add_modules(self, modules: list[Any], name_of: Callable[[Any], str | None]) -> None:
        """`name_of(module)`: what the script calls a root module, or None."""
        access = self.access
        for root in root_modules(access, modules):
            prefix = name_of(root) or type(root).__name__
            for path, module in module_entries(access, root, prefix):
                values = object.__getattribute__(module, "__dict__")
                for name, tensor in list((values.get("_parameters") or {}).items()):
                    if tensor is not None:
                        full = "%s.%s" % (path, name)
                        self.parameter_names.setdefault(id(tensor), full)
                        self._set(tensor, "parameter", full)
                        if access.kind(tensor) == "t" and access.is_leaf(tensor):
                            self._set(access.grad(tensor), "gradient", full + ".grad")
                for name, tensor in list((values.get("_buffers") or {}).items()):
                    self._set(tensor, "buffer", "%s.%s" % (path, name))

    def add_optimizers(self, optimizers: list[Any]) -> None:
        access = self.access
        for optimizer in optimizers:
            values = object.__getattribute__(optimizer, "__dict__")
            kind = type(optimizer).__name__
            for group in values.get("param_groups") or ():
                for parameter in group.get("params") or ():
                    if id(parameter) not in self.parameter_names and access.kind(parameter) == "t":
                        self._set(parameter, "parameter", "parameter of %s" % kind)
                        if access.is_leaf(parameter):
                            self._set(access.grad(parameter), "gradient", "gradient of a parameter of %s" % kind)
            for name, parameter, value in optimizer_values(optimizer):
                owner = self.parameter_names.get(parameter, "a parameter")
                self._set(value, "optimizer_state", "%s.%s of %s" % (kind, name, owner))
