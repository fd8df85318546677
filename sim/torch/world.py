# One rank of many (--sim-world): what PyTorch would hear from ranks that are not there, outside of NCCL. Runs in the
# traced program, once, before `torch.distributed` is imported, and acts when it has been.
import sys
from importlib.util import find_spec


class WhenImported:
    """Stands first on sys.meta_path until `torch.distributed` is asked for."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch.distributed":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def load_and_play(module):
            load(module)
            try:
                play(module)
            except Exception as error:  # a PyTorch that is made otherwise; the program's import must not fail
                print("vramtrack-sim: the other ranks cannot be played with this PyTorch:", error, file=sys.stderr)

        spec.loader.exec_module = load_and_play
        return spec


def play(dist):
    c10d = dist.distributed_c10d
    native = sys.modules["torch._C._distributed_c10d"]

    def replace(name, ours):
        """Wherever `torch.distributed` has the name by now."""
        theirs = getattr(c10d, name, None) or getattr(native, name, None)
        code = getattr(getattr(theirs, "__wrapped__", theirs), "__code__", None)
        if code is not None:  # in recorded stacks it is the function that it stands for
            same = {key: getattr(code, key) for key in ("co_filename", "co_firstlineno", "co_qualname") if hasattr(code, key)}
            ours.__code__ = ours.__code__.replace(**same)
        for module in [m for n, m in sys.modules.items() if n.startswith("torch.distributed")] + [native]:
            if theirs is not None and vars(module).get(name) is theirs:
                setattr(module, name, ours)

    class WorldStore(dist.Store):
        """What another rank would have stored is there as soon as it is waited for: as zeros, an id to the simulated
        NCCL."""

        kept = []  # PyTorch's own references do not keep the Python part of an object

        def __init__(self, host_name="localhost", port=0, *arguments, **keywords):
            super().__init__()
            self.host, self.port, self.values = host_name, port, {}
            self.kept.append(self)

        def set(self, key, value):
            self.values[key] = as_bytes(value)

        def get(self, key):
            return self.values.get(key, bytes(128))

        def add(self, key, amount):
            total = int(self.values.get(key, 0)) + amount
            self.values[key] = b"%d" % total
            return total

        def compare_set(self, key, expected, desired):
            if self.values.get(key, b"") == as_bytes(expected):
                self.set(key, desired)
            return self.values.get(key, as_bytes(expected))

        def wait(self, keys, timeout=None):
            pass

        def check(self, keys):
            return all(key in self.values for key in keys)

        def delete_key(self, key):
            return self.values.pop(key, None) is not None

        def num_keys(self):
            return len(self.values)

        def clone(self):
            return self

    replace("TCPStore", WorldStore)
    replace("FileStore", WorldStore)
    if hasattr(native, "ProcessGroupGloo") and hasattr(native, "FakeProcessGroup"):
        replace("ProcessGroupGloo", gloo(native.ProcessGroupGloo, native.FakeProcessGroup))

    # A communicator is split by colors that the others would have to tell; made anew, its ranks are known.
    def split_group(parent_pg=None, split_ranks=None, timeout=None, pg_options=None, group_desc=None):
        in_parent, mine = dist.get_process_group_ranks(parent_pg or dist.group.WORLD), dist.get_rank(parent_pg)
        group = next((ranks for ranks in split_ranks if mine in ranks), None)
        if group is None:
            return None
        return dist.new_group([in_parent[rank] for rank in group], timeout=timeout, pg_options=pg_options, group_desc=group_desc)

    replace("split_group", split_group)
    replace("_get_split_source", lambda group: None)

    # Every rank's object is this one's, and so is every list; what another rank would have sent stays unknown.
    def gather_object(obj, object_gather_list=None, *arguments, **keywords):
        if object_gather_list:
            object_gather_list[:] = [obj] * len(object_gather_list)

    def scatter_object_list(output, inputs=None, src=0, group=None, **keywords):
        if inputs:
            output[0] = inputs[dist.get_rank(group)]

    def broadcast_object_list(*arguments, **keywords):
        pass

    for ours in (gather_object, scatter_object_list, broadcast_object_list):
        replace(ours.__name__, ours)


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


def gloo(theirs, fake):
    """Collectives of CPU tensors end at once, with this rank's data."""

    class Kind(type):
        def __instancecheck__(self, group):
            return isinstance(group, fake)

        def __getattr__(self, name):
            return getattr(theirs, name)

    class ProcessGroupGloo(metaclass=Kind):
        def __new__(cls, store, rank, size, *arguments, **keywords):
            return getattr(fake, "_create_internal", fake)(rank, size)

    fake._set_sequence_number_for_group = lambda group: None  # gloo's have one
    return ProcessGroupGloo


sys.meta_path.insert(0, WhenImported())
