# What a type says of itself, read and compared so that no metaclass of the script's runs: one may say what `==` and hash
# mean, so types are compared by their ids.

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

_of_type = vars(type)

mro_of: Callable[[type], tuple[type, ...]] = _of_type["__mro__"].__get__
dict_of: Callable[[type], Mapping[str, Any]] = _of_type["__dict__"].__get__
name_of: Callable[[type], str] = _of_type["__name__"].__get__


def ids(*kinds: type) -> frozenset[int]:
    """Ids of types that never end."""
    return frozenset(map(id, kinds))


SEQUENCES = ids(list, tuple)


def line_of(t: type) -> tuple[int, ...]:
    """Ids of a type and of all that it is made of, in the order in which names are looked up."""
    return tuple(map(id, mro_of(t)))
