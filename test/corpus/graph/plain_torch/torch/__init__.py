"""What the agent asks of PyTorch, in plain Python, for interpreters that have none: tensors whose memory comes from
cudaMalloc. The objects around them are the interpreter's own, which is what is tested."""
import ctypes
import sys
import types

__version__ = "0"


def _module(name, **values):
    module = sys.modules[__name__ + "." + name] = types.ModuleType(__name__ + "." + name)
    module.__dict__.update(values)
    globals()[name.split(".")[-1]] = module
    return module


class _Device:
    type, index = "cuda", 0


class Tensor:
    is_cuda = property(lambda self: True)
    requires_grad = property(lambda self: False)
    is_leaf = property(lambda self: True)
    grad = property(lambda self: None)
    grad_fn = property(lambda self: None)
    shape = property(lambda self: (self.size,))
    dtype = property(lambda self: "torch.uint8")
    device = property(lambda self: _Device)
    nbytes = property(lambda self: self.size)
    _base = property(lambda self: None)

    def _is_view(self):
        return False

    def get_device(self):
        return 0

    def __init__(self, size):
        address = ctypes.c_void_p()
        assert _runtime.cudaMalloc(ctypes.byref(address), ctypes.c_size_t(size)) == 0
        self.size, self.address = size, address.value


class _Guard:
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


_C = _module("_C", _data_address=lambda t: t.address, DisableTorchFunction=_Guard,
             _cuda_attach_out_of_memory_observer=lambda f: None)
nn = _module("nn", Module=type("Module", (), {}))
optim = _module("optim", Optimizer=type("Optimizer", (), {}))
optimizer = _module("optim.optimizer", register_optimizer_step_post_hook=lambda f: None)
autograd = _module("autograd", _get_sequence_nr=lambda: 0)
_runtime = ctypes.CDLL("libcudart.so.12")
