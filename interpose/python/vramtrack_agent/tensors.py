# Tensors: recognising them and reading plain facts without running user code, touching storage or CUDA.
# Never data_ptr() (materialises copy-on-write tensors), never isinstance (runs __class__ properties).

from __future__ import annotations

import sys

from .plain_types import ids, line_of
from .process import ours
from .threads import gradients_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Access:
    """Getters bound once per analysis. `device` is the attribute that selects tensors (tests use is_cpu)."""

    def __init__(self, torch: Any, device: str = "is_cuda") -> None:
        self.torch = torch
        self.tensor = torch.Tensor
        self.module = sys.modules["torch.nn"].Module
        self.optimizer = sys.modules["torch.optim"].Optimizer
        self.on_device = self.getter(device)
        self.requires_grad = self.getter("requires_grad")
        self.is_leaf = self.getter("is_leaf")
        self._grad = self.getter("grad")
        self.grad_fn = self.getter("grad_fn")
        self.shape_of = self.getter("shape")
        self.dtype = self.getter("dtype")
        self.device_of = self.getter("device")
        address = getattr(torch._C, "_data_address", None)
        self.raw_address = address or (lambda t: torch.Tensor.data_ptr(t))
        self.nbytes = self.getter("nbytes") if hasattr(self.tensor, "nbytes") else None
        # A tensor that C++ alone holds owns its Python object. Who finds that object in a list of the collector has a
        # reference that the tensor does not know of, and when the tensor ends meanwhile, it leaves an object without one:
        # the next look into it is a crash. This call makes the Python object the owner again for as long as it is held.
        self._fix_weakref = getattr(self.tensor, "_fix_weakref", None)
        self.use_count: Any = getattr(self.tensor, "_use_count", None)
        functorch = getattr(torch._C, "_functorch", None)
        self._is_wrapper = getattr(functorch, "is_functorch_wrapped_tensor", None)
        self._inner = getattr(functorch, "get_unwrapped", None)
        # Within a transform of torch.func even torch.empty() is an operation of its, and makes what it must not meet.
        self.transforming = getattr(functorch, "peek_interpreter_stack", lambda: None)() is not None
        self.known: dict[
            Any, Any
        ] = {}  # id of a tensor -> its address; only of tensors that a list of the analysis holds
        self.histories: set[Any] = set()  # ids of the host tensors with a graph that scan() saw
        self.has_pools = False  # whether objects of a type were met that has a private pool of the allocator
        self._bases = ((id(self.tensor), "t"), (id(self.module), "m"), (id(self.optimizer), "o"))
        cuda = getattr(torch, "cuda", None)
        self._pool_types = ids(*filter(None, (getattr(cuda, name, None) for name in ("CUDAGraph", "MemPool"))))
        self.kinds: dict[Any, Any] = {}  # id of a type -> see kind(); types that objects of this analysis have

    def adopt(self, t: Any) -> bool:
        """Makes a tensor that was found by its object stay for as long as that is held. False: it is ending in another
        thread, which waits for the GIL to let go of the object, and may not be looked into any more."""
        if self.use_count is not None and self.use_count(t) == 0:
            return False
        if self._fix_weakref is not None:
            self._fix_weakref(t)
        return True

    def getter(self, name: str) -> Any:
        for base in self.tensor.__mro__:
            if name in base.__dict__:
                return base.__dict__[name].__get__
        raise AttributeError(name)

    def wrapped(self, t: Any) -> bool:
        """A tensor of torch.func around another one: reading its graph makes objects that its level does not expect."""
        return self._is_wrapper is not None and self._is_wrapper(t)

    def inside(self, t: Any) -> Any:
        """The tensor that one of torch.func is around, which nothing but it leads to (what `vjp` returned keeps it so);
        None while a transform runs."""
        if self.transforming or self._inner is None:
            return None
        for _ in range(8):
            t = self._inner(t)
            if not self.wrapped(t):
                return t
        return None

    def kind(self, o: Any) -> str:
        """'t' tensor, 'm' module, 'o' optimizer, '' anything else; by type, cached for this analysis only."""
        t = type(o)
        known = self.kinds.get(id(t))
        return self._kind_of_type(t) if known is None else known

    def _kind_of_type(self, t: type) -> str:
        line = line_of(t)
        kind = next((kind for base, kind in self._bases if base in line), "")
        self.kinds[id(t)] = kind
        self.has_pools = self.has_pools or not self._pool_types.isdisjoint(line)
        return kind

    def scan(self, objects: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """(tensors with memory on the device, modules, optimizers) among `objects`. Remembers the addresses."""
        types = list(map(type, objects))
        keys = list(map(id, types))
        for key, t in dict(zip(keys, types)).items():
            if key not in self.kinds:
                self._kind_of_type(t)
        of_interest = {key for key, kind in self.kinds.items() if kind}
        tensors: list[Any] = []
        modules: list[Any] = []
        optimizers: list[Any] = []
        for o in [o for o, key in zip(objects, keys) if key in of_interest]:
            kind = self.kinds[id(type(o))]
            if kind == "t":
                if not self.adopt(o):
                    continue
                address = self.address(o)
                if address:
                    tensors.append(o)
                    self.known[id(o)] = address
                elif self.graph(o) is not None:
                    self.histories.add(id(o))
            else:
                (modules if kind == "m" else optimizers).append(o)
        return tensors, modules, optimizers

    def address(self, t: Any) -> int:
        """Device address of a tensor, 0 if it has no memory of its own (fake, functional, sparse, CPU)."""
        known = self.known.get(id(t))
        if known is not None:
            return known
        try:
            if self.wrapped(t) or not self.on_device(t):
                return 0
            return self.raw_address(t)
        except ours():
            return 0

    def device_index(self, t: Any) -> int:
        """The number of the device that a tensor is on."""
        return self.device_of(t).index or 0

    def shape(self, t: Any) -> Any:
        """Its shape; of a nested tensor, which has none, ()."""
        try:
            return self.shape_of(t)
        except ours():
            return ()

    def bytes(self, t: Any) -> int:
        """Bytes of its elements (of a view: of the view), 0 if it is not on the device."""
        if self.kind(t) != "t" or not self.address(t):
            return 0
        try:
            if self.nbytes is not None:
                return self.nbytes(t)
            size = self.tensor.element_size(t)
            for n in self.shape(t):
                size *= n
            return size
        except ours():
            return 0

    def grad(self, t: Any) -> Any:
        """The gradient of a tensor on the device; None where there is none, or another thread may be changing it."""
        return self._grad(t) if self.on_device(t) and not self.wrapped(t) and gradients_readable() else None

    def graph(self, t: Any) -> Any:
        """The autograd node that made it, or None. A view changed in place may raise."""
        try:
            return None if self.wrapped(t) or self.is_leaf(t) else self.grad_fn(t)
        except ours():
            return None

    def alone(self, t: Any) -> bool:
        """Nothing but the one Python object holds its memory: no view, no saved-for-backward copy."""
        if self.transforming:
            return False
        try:
            count = self.torch._C._storage_Use_Count
            storage = self.tensor.untyped_storage(t)
            plain = self.torch.empty(0)
            reference = plain.untyped_storage()
            if count(storage._cdata) > count(reference._cdata):
                return False
            return self.use_count(t) <= self.use_count(plain)
        except ours():
            return False


def dtype_name(dtype: Any) -> str:
    return str(dtype).replace("torch.", "")


def guard(torch: Any) -> Any:
    """No __torch_function__ of a subclass or mode runs inside."""
    return torch._C.DisableTorchFunction()
