# The values of operators on the simulated GPU, computed by PyTorch's own CPU kernels on the same memory. Runs inside
# the traced program, in a dictionary of its own, below autograd and with modes off (values.cpp sees to that); `wrote`,
# `settle` (wait for collectives that use a range), `answer` and `everything` come from there. It must keep no tensor,
# import nothing that the program has not imported, and never let an error of its own out.
import sys

torch = sys.modules["torch"]
C = torch._C
CPU = torch.device("cpu")
set_eval_frame = getattr(getattr(getattr(C, "_dynamo", None), "eval_frame", None), "set_eval_frame", None)
NoFunction = C.DisableTorchFunction  # a context manager: neither subclasses nor modes see what we call

SMALL = 4096  # by default every operator is computed up to this many elements,
LARGE = 1 << 20  # and those up to this many on whose results programs decide
NEVER = 0
ANY = 1 << 62

# What the shapes of other tensors come from: also in a backward pass, whose values are left out by default. The gradient
# of `x[mask]` counts the mask again, and a function's own backward() may make it again.
SHAPES = set(
    """nonzero nonzero_static masked_select unique_dim _unique _unique2 unique_consecutive unique_dim_consecutive
    bincount repeat_interleave count_nonzero eq ne lt le gt ge equal isin isnan logical_and logical_or
    logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor any all arange""".split()
)
DECIDES = SHAPES | set(
    """isinf isposinf isneginf max min amax amin aminmax argmax argmin sum mean prod nansum linalg_vector_norm norm
    std var std_mean var_mean cumsum cumprod cummax cummin _cummax_helper _cummin_helper median nanmedian
    kthvalue mode topk sort argsort searchsorted bucketize histc index index_select gather take index_fill
    index_copy index_add _index_put_impl scatter scatter_add scatter_reduce masked_fill masked_scatter where
    uniform normal random bernoulli exponential geometric cauchy log_normal poisson binomial multinomial
    randperm _standard_gamma _sample_dirichlet copy fill zero linspace logspace range eye tril triu tril_indices
    triu_indices cat flip roll _softmax _log_softmax clamp clamp_min clamp_max maximum minimum
    _local_scalar_dense _amp_update_scale nms""".split()
)
# Made of others, and an error where those give zeros: istft() checks the sum of its windows.
WHOLE = {"istft"}
# Their CPU kernels do the whole; what the CUDA kernels call meanwhile is not looked at.
OPAQUE = ("convolution", "_foreach_", "_fused_", "_scaled_dot_product_", "native_batch_norm", "_thnn_fused_")
# Libraries whose CPU kernels compute and do nothing else. Other people's operators are not run again: the collectives
# (c10d) would be sent twice, and a program's own would count, print or store twice.
PURE = {"aten", "torchvision", "torchaudio", "torch_scatter", "torch_sparse", "torch_cluster", "torch_spline_conv", "pyg"}
# Nothing to compute: memory, sizes, other names for the same memory.
WITHOUT_VALUES = ("empty", "new_empty", "resize", "set_", "as_strided", "record_stream", "_resize", "_efficientzerotensor")

kernels = {}  # operators that the CPU lacks, or where it differs: name -> function(plan, arguments, results)
prepare = {}  # what must happen before an operator runs: name -> function(arguments)


class Plan:
    __slots__ = ("name", "call", "positional", "keywords", "mutated", "returned", "generator", "device", "random",
                 "kernel", "failed", "cast")


def kind_of(text):
    """How the C++ side passes an argument on: t tensor, L list of tensors, o object, b truth value, d device, s number."""
    text = text.replace("Optional[Tensor]", "Tensor")
    if text.startswith("Optional["):
        text = text[9:-1]
    if text == "Tensor":
        return "t"
    if text == "List[Tensor]":
        return "L"
    return {"bool": "b", "Device": "d", "number": "s", "int": "s", "SymInt": "s", "float": "s", "SymFloat": "s",
            "SymBool": "s"}.get(text, "o")


def plan(name, overload):
    """None, or (opaque, begins, limit, kinds of results, mutates, kinds of arguments, Plan, shapes, whole)."""
    try:
        return make_plan(name, overload)
    except own():
        return None


def make_plan(name, overload):
    space, _, base = name.partition("::")
    if space not in PURE:
        return None
    full = name + ("." + overload if overload else "")
    schema = C._get_schema(name, overload)
    returns, arguments = schema.returns, schema.arguments
    mutated = [i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write]
    if any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
        return None  # a view
    if not mutated and not any("Tensor" in str(r.type) for r in returns) and base not in prepare:
        return None
    if space == "aten" and base.startswith(WITHOUT_VALUES):
        return None
    # Operators made of others have no kernel of their own: those are computed. copy_ is the one that is not.
    whole = space == "aten" and base in WHOLE
    if base != "copy_" and not whole and not C._dispatch_has_kernel_for_dispatch_key(full, "CUDA"):
        return None
    p = Plan()
    p.name, p.call = base, C._get_operation_overload(name, overload)[0]
    p.positional = [i for i, a in enumerate(arguments) if not a.kwarg_only]
    p.keywords = [(i, a.name) for i, a in enumerate(arguments) if a.kwarg_only]
    p.mutated = mutated
    # Which argument a result is: the same letter in the schema.
    owner = {tuple(arguments[i].alias_info.before_set): i for i in mutated}
    p.returned = [owner.get(tuple(r.alias_info.before_set)) if r.alias_info is not None else None for r in returns]
    types = [str(a.type) for a in arguments]
    p.generator = next((i for i, t in enumerate(types) if "Generator" in t), None)
    p.device = next((i for i, a in enumerate(arguments) if a.name == "device"), None)
    tags = C._get_operation_overload(name, overload)[2]
    p.random = torch.Tag.nondeterministic_seeded in tags or p.generator is not None
    stem = base.rstrip("_")
    p.kernel = kernels.get(base) if space == "aten" else None
    p.failed = p.cast = False
    limit = SMALL
    if everything:
        limit = ANY
    elif space == "aten" and stem.startswith(("_foreach_", "_fused_")) and "dropout" not in stem:
        limit = NEVER
    elif stem in DECIDES:
        limit = LARGE
    opaque = space == "aten" and base.startswith(OPAQUE)
    begins = base in prepare or p.random
    kinds, results = ("".join(map(kind_of, found)) for found in (types, [str(r.type) for r in returns]))
    return (opaque, begins, limit, results, bool(mutated), kinds, p, space == "aten" and stem in SHAPES,
            whole)


def raw(keys):
    """The bits of a set of dispatch keys. PyTorch before 2.5 has no name for them: one word, behind the pointer that
    stands first in the object."""
    if hasattr(keys, "raw_repr"):
        return keys.raw_repr()
    ctypes = sys.modules["ctypes"]
    content = ctypes.c_void_p.from_address(id(keys) + object.__basicsize__).value
    return ctypes.c_uint64.from_address(content).value


def facts():
    """What values.cpp must know of tensors and keys; see TensorFacts."""
    K, S = C.DispatchKey, C.DispatchKeySet

    def keys(names):
        found = 0
        for key in names.split():
            if hasattr(K, key):
                found |= raw(S(getattr(K, key)))
        return found

    backends = raw(S(K.Dense)) - 1  # the low bits name devices, the rest what a key does
    odd = keys("Python Functionalize FuncTorchBatched FuncTorchGradWrapper Sparse SparseCsr Quantized NestedTensor"
               " ZeroTensor BatchedNestedTensor SparseCUDA SparseCPU SparseCsrCUDA QuantizedCUDA NestedTensorCUDA")
    excluded = keys("AutogradFunctionality AutogradCPU AutogradCUDA AutogradOther ADInplaceOrView AutocastCPU"
                    " AutocastCUDA Python PythonTLSSnapshot PythonDispatcher PreDispatch Functionalize"
                    " FuncTorchDynamicLayerFrontMode FuncTorchDynamicLayerBackMode FuncTorchBatched FuncTorchVmapMode"
                    " FuncTorchGradWrapper")
    skip_code = getattr(getattr(getattr(C, "_dynamo", None), "eval_frame", None), "skip_code", None)
    for thing in list(globals().values()):
        if skip_code is not None and hasattr(thing, "__code__"):
            skip_code(thing.__code__)  # not for torch.compile to trace
    with NoFunction():
        sample = torch.empty((89, 97), dtype=torch.float32, device=CPU)
    globals()["sample"] = sample  # it must outlive the C++ side's look at it
    return (sample._cdata, 89 * 97, raw(C._dispatch_keys(sample)), raw(S(K.CUDA)), odd & ~backends,
            raw(S(K.BackendSelect)) & ~backends, excluded & ~backends)


def lay(x):
    """A CPU tensor on the memory of a device tensor; anything else as it is."""
    if isinstance(x, tuple):
        return [lay(one) for one in x]
    if not isinstance(x, torch.Tensor) or x.device.type != "cuda":
        return x
    if x.numel() == 0 or x.data_ptr() == 0:
        return torch.zeros(x.shape, dtype=x.dtype, device=CPU)
    v = torch.empty(0, dtype=x.dtype, device=CPU)
    first, begin, extent = x.data_ptr(), memory_of(x), extent_of(x)
    settle(first, extent)
    storage = C._construct_storage_from_data_pointer(begin, CPU, first - begin + extent)
    v.set_(storage, x.storage_offset(), x.size(), x.stride())
    if x.is_conj():
        v = torch._conj(v)
    if x.is_neg():
        v = torch._neg_view(v)
    return v


def memory_of(x):
    """Where a tensor's storage begins. The storage itself is not asked: PyTorch ends the process when the Python object
    of one goes while another thread uses the memory."""
    return x.data_ptr() - x.storage_offset() * x.element_size()


def extent_of(x):
    """Bytes from a tensor's first element to behind its last."""
    extent = 1
    for size, stride in zip(x.size(), x.stride()):
        extent += (size - 1) * stride
    return extent * x.element_size()


def mark(v):
    """Tells the simulated driver that the memory under a laid tensor holds values now."""
    if isinstance(v, list):
        for one in v:
            mark(one)
    elif isinstance(v, torch.Tensor) and v.numel() > 0:
        wrote(v.data_ptr(), extent_of(v))


# ---- random numbers: a CPU generator that stands where the device's stands, so that seeds and saved states hold

MIX = (1 << 64) - 1
drawn = [None, 0]  # a state of a generator from which a kernel drew without moving it, and how often


def state_of(generator):
    """Where the device's generator stands; None for one of the CPU."""
    if generator is None:
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
    if generator.device.type != "cuda":
        return None
    try:
        return (id(generator), generator.initial_seed(), generator.get_offset())
    except own():  # while a graph is captured
        return (id(generator), generator.initial_seed(), -1)


def seed_for(state):
    if state is None:
        return None
    if drawn[0] != state:
        drawn[:] = [state, 0]
    _, seed, offset = state
    mixed = seed * 0x9E3779B97F4A7C15 + (offset + 1) * 0xBF58476D1CE4E5B9 + drawn[1] * 0x94D049BB133111EB
    return (mixed & MIX) >> 1


def generator_at(seed):
    g = C.Generator(CPU)
    g.manual_seed(seed)
    return g


def begin(p, arguments):
    """Before the operator runs on the device. The generator's state is kept behind the arguments."""
    try:
        with NoFunction():
            if p.name in prepare:
                prepare[p.name](arguments)
            if p.random:
                generator = arguments[p.generator] if p.generator is not None else None
                return arguments + (state_of(generator),)
    except own():
        pass
    return arguments


def prepare_nonzero(arguments):
    answer(int(torch.count_nonzero(lay(arguments[0]))))


def prepare_equal(arguments):
    answer(int(torch.equal(lay(arguments[0]), lay(arguments[1]))))


# Their kernels' results reach the host inside the operator; see answer_next_copy() in copy.hpp.
prepare["nonzero"] = prepare_nonzero
prepare["equal"] = prepare_equal


# ---- running one operator

HALVES = (torch.float16, torch.bfloat16)


def widen(x):
    if isinstance(x, list):
        return [widen(one) for one in x]
    if isinstance(x, torch.Tensor) and x.dtype in HALVES:
        return x.float()
    return x


def run(p, a, seed):
    if p.device is not None:
        a[p.device] = CPU
    saved = None
    if seed is not None:
        if p.generator is not None:
            a[p.generator] = generator_at(seed)
        else:
            saved = torch.default_generator.get_state()
            torch.default_generator.manual_seed(seed)
    try:
        positional = [a[i] for i in p.positional]
        keywords = {name: a[i] for i, name in p.keywords if a[i] is not None}
        if "pin_memory" in keywords:
            del keywords["pin_memory"]
        if not p.cast:
            try:
                return p.call(*positional, **keywords)
            except RuntimeError as error:  # no kernel for halves on the CPU: in single precision, then rounded
                if p.mutated or "not implemented for" not in str(error):
                    raise
                p.cast = True
        return p.call(*map(widen, positional), **{k: widen(v) for k, v in keywords.items()})
    finally:
        if saved is not None:
            torch.default_generator.set_state(saved)


def pointers(p, arguments):
    found = set()
    for i in p.mutated:
        for x in arguments[i] if isinstance(arguments[i], tuple) else (arguments[i],):
            if isinstance(x, torch.Tensor):
                found.add(memory_of(x))
    return found


def moved_already(a):
    """copy_ of plain memory: the simulated driver copies."""
    to, source = a[0], a[1]
    return (isinstance(source, torch.Tensor) and to.dtype == source.dtype and to.size() == source.size()
            and to.is_contiguous() and source.is_contiguous() and not to.dtype.is_complex)


def finish(p, arguments, results, outer):
    """After the operator has run on the device. None, or the results whose sizes are to be changed: (index, sizes)."""
    if p.failed:
        return None
    try:
        with NoFunction():
            return fill(p, arguments, results, outer)
    except own() as error:
        if isinstance(error, NotImplementedError):
            p.failed = True
        if everything:
            complain(p, error)
    return None


def fill(p, arguments, results, outer):
    if outer:
        ours = pointers(p, arguments)
        if any(ours & pointers(*other) for other in outer):
            return None  # a step of an operator that is computed as a whole
    if p.name == "copy_" and moved_already(arguments):
        return None
    seed = None
    count = len(p.positional) + len(p.keywords)
    if len(arguments) > count:
        state = arguments[count]
        seed = seed_for(state)
        if state is not None:  # the next draw from the same state, if the kernels left it there, is another one
            still = state_of(arguments[p.generator] if p.generator is not None else None) == state
            drawn[:] = [state, drawn[1] + 1] if still else [None, 0]
    a = [lay(x) for x in arguments[:count]]
    laid = [lay(x) for x in results]
    for k, i in enumerate(p.returned):
        if i is not None:
            a[i] = laid[k]  # an out= argument may have been resized
    if p.kernel is not None:
        p.kernel(p, a, laid, seed)
        mark(laid)
        return None
    written = [a[i] for i in p.mutated]
    computed = run(p, a, seed)
    mark(written)
    if isinstance(computed, torch.Tensor) or len(laid) == 1 and isinstance(computed, (list, tuple)) and isinstance(laid[0], list):
        computed = (computed,)
    elif computed is None:
        return None
    wrong = []
    for k, value in enumerate(computed):
        target = laid[k]
        if p.returned[k] is not None:
            continue
        if isinstance(value, torch.Tensor) and isinstance(target, torch.Tensor) and target.size() != value.size():
            if results[k].device.type == "cuda":
                wrong.append((k, tuple(value.size())))
        else:
            store(target, value)
    return tuple(wrong) or None


def store(target, value):
    if isinstance(target, list):
        for t, v in zip(target, value):
            store(t, v)
    elif isinstance(target, torch.Tensor) and isinstance(value, torch.Tensor):
        target.copy_(value)
        mark(target)


def is_foreign(error):
    """Raised by the program's own code, which ran in here: a signal's handler, a finalizer."""
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(("<vramtrack-sim>", torch.__path__[0])):
            return True
        trace = trace.tb_next
    return False


def own():
    """For `except own():`: nothing matches what the program's own code raised in here."""
    return () if is_foreign(sys.exc_info()[1]) else Exception


complained = set()


def complain(p, error):
    if p.name in complained or len(complained) == 20:
        return
    complained.add(p.name)
    text = str(error).strip().split("\n")[0][:160]
    os = sys.modules["os"]
    os.write(2, ("vramtrack-sim: %s is not computed: %s\n" % (p.name, text)).encode("utf-8", "replace"))
