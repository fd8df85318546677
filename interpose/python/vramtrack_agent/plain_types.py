# What a type says of itself, read so that no metaclass of the script's runs.

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

_of_type = vars(type)

mro_of: Callable[[type], tuple[type, ...]] = _of_type["__mro__"].__get__
dict_of: Callable[[type], Mapping[str, Any]] = _of_type["__dict__"].__get__
name_of: Callable[[type], str] = _of_type["__name__"].__get__
