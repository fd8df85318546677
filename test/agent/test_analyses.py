"""The analyses, each on its own, on tensors of the CPU."""

import gc
import sys
import types

import pytest


# ---- holders ----


def walk_from(access, values):
    from vramtrack_agent.holders import Walk
    from vramtrack_agent.ways import Root

    walk = Walk(access)
    walk.add_namespace(values, Root("script"))
    walk.run()
    return walk


def test_tensors_come_before_other_elements_of_large_containers(access):
    import torch
    from vramtrack_agent.holders import Walk
    from vramtrack_agent.ways import Root

    values = {"rows": [[i] for i in range(150_000)], "tensors": [torch.ones(1) for _ in range(70_000)]}
    walk = Walk(access)
    walk.wanted = set(map(id, values["tensors"]))
    walk.add_namespace(values, Root("script"))
    walk.run()
    assert not walk.wanted and len(walk.tensors) == 70_000
    assert len(walk.objects) < 70_000 + 80_000  # of the rows no more than the first


def test_a_walk_names_the_way_to_each_tensor(access):
    import torch

    class Keeper:
        def __init__(self, value):
            self.kept = value

    big = torch.ones(3)
    values = {
        "losses": [None, torch.ones(1)],
        "by_name": {"x": torch.ones(2)},
        "keeper": Keeper(big),
        "function": (lambda value: lambda: value)(torch.ones(4)),
    }
    walk = walk_from(access, values)
    named = {tuple(walk.objects[at].shape): walk.describe(at) for at in walk.tensors}
    assert named == {
        (1,): "script.losses[1]",
        (2,): "script.by_name['x']",
        (3,): "script.keeper.kept",
        (4,): "script.function closure value",
    }


def test_groups_blank_what_differs_between_elements(access):
    import torch
    from vramtrack_agent.groups import holder_groups, measure_graphs
    from vramtrack_agent.paths import pattern

    assert pattern("a[3].b[-1]['x'][<int>]") == "a[].b[]['x'][]"
    weight = torch.ones(2, requires_grad=True)
    values = {"losses": [(weight * 2).sum() for _ in range(5)], "weight": weight}
    walk = walk_from(access, values)
    groups = holder_groups(access, walk)
    assert groups["script.losses[]"].count == 5 and groups["script.losses[]"].graph == 5
    measure_graphs(access, groups, 1000)
    assert groups["script.losses[]"].span.nodes >= 10


def test_a_walk_ends_at_its_bound(access):
    from vramtrack_agent.holders import Walk
    from vramtrack_agent.ways import Root

    walk = Walk(access, max_objects=5000)
    walk.add_namespace({"all": [[i] for i in range(20000)]}, Root("script"))
    walk.run()
    assert not walk.complete


# ---- roles, modules, facts ----


@pytest.fixture
def model():
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    return net, optimizer


def test_roles_of_a_model(access, model):
    from vramtrack_agent.roles import Roles, root_modules

    net, optimizer = model
    roles = Roles(access)
    modules = list(net.modules())
    assert root_modules(access, modules) == [net]
    outer = type(net)(type(net)(net))
    assert root_modules(access, [net, outer]) == [outer]  # through one that is not asked for
    roles.add_modules(modules, lambda module: "net" if module is net else None)
    roles.add_optimizers([optimizer])
    of = lambda tensor: roles.of[access.address(tensor)]  # noqa: E731
    assert of(net[0].weight) == ("parameter", "net.0.weight")
    assert of(net[0].weight.grad) == ("gradient", "net.0.weight.grad")
    assert of(net[1].running_mean) == ("buffer", "net.1.running_mean")
    assert of(optimizer.state[net[0].bias]["exp_avg"]) == ("optimizer_state", "Adam.exp_avg of net.0.bias")


def test_state_within_lists_and_dicts(access, model):
    import torch
    from vramtrack_agent.roles import Roles

    net, optimizer = model
    state = optimizer.state[net[0].weight]
    state["factors"] = {"left": torch.eye(4), "all": [torch.eye(8), (torch.ones(1),)]}
    state["itself"] = state["factors"]["itself"] = [state]
    state["itself"].append(state["itself"])
    roles = Roles(access)
    roles.add_optimizers([optimizer])
    left, (right, (single,)) = state["factors"]["left"], state["factors"]["all"]
    of = {path: roles.of[access.address(one)] for path, one in (("left", left), ("all", right), ("all", single))}
    assert of == {path: ("optimizer_state", "Adam.factors.%s of a parameter" % path) for path in ("left", "all")}
    del state["itself"], state["factors"]["itself"]


def test_largest_modules(access, model):
    from vramtrack_agent.modules import largest_modules

    net, optimizer = model
    entries, total = largest_modules(access, [("net", net)], [optimizer])
    assert [entry["n"] for entry in entries] == ["net.0", "net.1"]
    first = entries[0]
    assert (first["i"], first["o"], first["w"], first["g"]) == (4, 8, 4 * (32 + 8), 4 * (32 + 8))
    assert first["x"] >= 2 * first["w"] and total == sum(e["w"] + e["g"] + e["x"] for e in entries)


def test_the_fact_of_all_tensors(access, model):
    from fact_table import FIELDS, check_fact
    from vramtrack_agent.facts import tensor_rows
    from vramtrack_agent.roles import Roles

    net, _ = model
    walk = walk_from(access, {"net": net})
    roles = Roles(access)
    roles.add_modules([net], lambda module: "net")
    tensors = [walk.objects[at] for at in walk.tensors]
    position = {id(walk.objects[at]): at for at in walk.tensors}
    rows = tensor_rows(access, walk, tensors, position, roles, {})
    check_fact("tensors", rows)
    row = next(row for row in (dict(zip(FIELDS["tensors"], row)) for row in rows) if row["n"] == "net.0.weight")
    assert row["a"] == net[0].weight.data_ptr() and row["s"] == (8, 4) and row["d"] == "float32"
    assert row["r"] == "parameter" and row["h"].startswith("script.net") and row["q"] is True


def test_what_the_graph_keeps_for_backward(access):
    import torch
    from vramtrack_agent.graph import walk_graph

    weight = torch.ones(16, requires_grad=True)
    kept = weight.exp()
    span = walk_graph(access, [kept.grad_fn], 100, saved=True)
    assert span.complete and span.types == {"ExpBackward0": 1, "AccumulateGrad": 1}
    assert span.saved[kept.data_ptr()][0] == 64 and span.saved[kept.data_ptr()][3:] == ("ExpBackward0", "result")


# ---- dead locals, liveness ----


class Block:
    """Stands for a tensor of `size` bytes."""

    def __init__(self, size):
        self.size = size


def size_of(value):
    return value.size if type(value) is Block else 0


def dead_names(deep=True, thread=0):
    from vramtrack_agent.dead import dead_locals

    frames = [(sys._getframe(1), thread)]
    try:
        return {(name, size) for size, _, name, _, _, _ in dead_locals(frames, size_of, lambda value: True, deep)}
    finally:
        frames.clear()


def test_a_local_that_nothing_reads_again():
    def work():
        done, used, shared = Block(10), Block(20), Block(30)  # noqa: F841
        other = [shared]
        found = dead_names()
        return found, used, other

    assert work()[0] == {("done", 10)}


def test_what_another_thread_holds_may_be_in_use_there():
    def work():
        done = Block(10)  # noqa: F841
        return dead_names(thread=1)

    assert work() == set()


def test_what_a_dead_list_holds_goes_with_it():
    def work():
        batch = [Block(1), Block(2)]  # noqa: F841
        return dead_names()

    assert work() == {("batch", 3)}


# ---- tensors that end ----


def test_a_tensor_that_another_thread_ends_is_not_looked_into(access):
    import torch

    kept, ending = torch.ones(3), torch.ones(4)
    access.use_count = lambda tensor: 0 if tensor is ending else 1
    tensors, modules, optimizers = access.scan([kept, ending])
    assert len(tensors) == 1 and tensors[0] is kept and id(ending) not in access.known


def test_the_others_get_the_gil(access):
    import threading

    from vramtrack_agent.threads import let_others_end

    done = threading.Event()
    threading.Thread(target=done.set).start()
    for _ in range(1000):
        let_others_end(0.001)
        if done.is_set():
            break
    assert done.is_set()


# ---- cycles ----


def test_a_tensor_that_only_a_cycle_holds(access):
    import torch
    from vramtrack_agent.cycles import garbage_tensors

    class Trial:
        pass

    gc.disable()
    try:
        lost, free = Trial(), torch.ones(7)
        lost.step, lost.me = torch.ones(5), lost
        size = lost.step.numel()
        del lost
        objects = gc.get_objects()
        tensors, modules, optimizers = access.scan(objects)
        mine = [t for t in tensors if t.numel() in (size, 7)]
        found = garbage_tensors(mine, {id(t) for t in mine}, set(), objects, (tensors, modules, optimizers, mine), gc)
        assert [(t.numel(), closing) for t, (_, closing, _, _) in found] == [(5, "Trial.me")]
        assert free is not None
    finally:
        gc.enable()


# ---- code_files, frames ----


def test_whose_code_a_file_is():
    import os

    from vramtrack_agent.code_files import is_user_file, module_file

    assert is_user_file("/home/a/train.py") and not is_user_file(os.__file__) and not is_user_file("<string>")
    assert not is_user_file("/venv/lib/python3.11/site-packages/torch/nn/functional.py")
    assert module_file("os") == os.__file__ and module_file("no.such.module") == "" and module_file(3) == ""


def test_locals_leave_no_snapshot():
    from vramtrack_agent.frames import frame_locals

    def work():
        held = Block(1)
        values = frame_locals(sys._getframe())
        seen = values["held"] is held
        values.clear()
        return seen, sys.getrefcount(held)

    def plain():
        held = Block(1)
        return True, sys.getrefcount(held)

    assert work() == plain()


def test_functions_are_named_with_their_class():
    from vramtrack_agent.frames import frame_name

    class Trainer:
        def step(self):
            return frame_name(sys._getframe())

    assert Trainer().step().endswith("Trainer.step")


# ---- install: nothing reaches the script ----


def test_an_analysis_that_fails_is_noted(facts, monkeypatch):
    import os

    from vramtrack_agent import install
    from vramtrack_agent import notes as analyses

    monkeypatch.setattr(install._state, "pid", os.getpid())
    failing = types.SimpleNamespace(state=None)
    monkeypatch.setattr(analyses, "native", failing)
    enabled = gc.isenabled()
    install.on_look("height")
    assert gc.isenabled() == enabled and install._state.busy is False
    assert [name for name, _, _ in facts] == ["agent_error"] and "notes.py" in facts[0][1]


def test_a_forked_child_does_not_analyse(facts, monkeypatch):
    from vramtrack_agent import install

    monkeypatch.setattr(install._state, "pid", -1)
    install.on_look("height")
    assert not facts


@pytest.mark.parametrize("slower", [1, 3.5])
def test_a_slow_machine_changes_nothing_in_when_graphs_are_taken(monkeypatch, slower):
    """Of a program whose blocks grow by half again and again; a graph of its objects takes an eighth of a second."""
    from vramtrack_agent import capture

    spent, looked = {"time": 0.0, "counts": 0}, []

    def graph(*_, **__):
        spent["time"] += slower / 8
        looked.append(blocks)
        return 250_000

    def count_look_as(took, counts):
        assert took == pytest.approx(slower / 8 * 1e9)
        spent["counts"] += counts

    monkeypatch.setattr(capture, "_look", dict(capture._look))
    monkeypatch.setattr(capture, "capture_graph", graph)
    monkeypatch.setattr(capture.time, "thread_time", lambda: spent["time"])
    monkeypatch.setattr(capture.native, "look_budget", lambda: max(10**9 - spent["counts"], 0))
    monkeypatch.setattr(capture.native, "count_look_as", count_look_as)
    for blocks in range(60, 1200, 20):
        capture.capture_look("height", 0, blocks, blocks, 0)
    assert looked == [60, 100, 160, 240, 360, 540, 820]
    del looked[:]
    spent["counts"] = 0
    for live in range(100, 260, 10):  # as many blocks as ever, which become longer
        capture.capture_look("height", 0, blocks, blocks, live)
        capture.capture_look("height", 3, blocks, blocks, live)  # of a program with steps, these tell
    assert len(looked) == 4  # at 120, 150, 180 and 220


def test_environment():
    from fact_table import check_fact
    from vramtrack_agent.install import _environment

    made = _environment(None)
    assert made == {"version": "%d.%d.%d" % sys.version_info[:3]}
    torch = types.SimpleNamespace(__version__="2.11.0", version=types.SimpleNamespace(cuda="13.0"))
    check_fact("python", _environment(torch))
    assert _environment(torch) == {**made, "torch": "2.11.0", "cuda": "13.0"}


# ---- what they write ----


PROGRAM = """
def main():
    losses = [(net(ones(2, 4)) ** 2).sum() for _ in range(5)]
    unread = ones(1 << 20)
    look()
    return losses
"""


def test_the_facts_of_the_analyses_are_as_their_rows_say(facts, monkeypatch, model):
    """The fixture checks each of them."""
    import torch
    from vramtrack_agent import labels, modules, native
    from vramtrack_agent import notes as analyses
    from vramtrack_agent.tensors import Access

    net, optimizer = model
    of_cpu = lambda torch: Access(torch, "is_cpu")  # noqa: E731
    for file in (analyses, labels):
        monkeypatch.setattr(file, "Access", of_cpu)
    monkeypatch.setattr(native, "block", lambda address, device: (7, 5, 512))
    monkeypatch.setattr(native, "label", lambda number: (id(net), id(type(net))) if number == 1 else None)
    monkeypatch.setattr(native, "history", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "memory_snapshot",
        lambda: [
            {
                "device": 0,
                "address": 4096,
                "total_size": 8192,
                "stream": 0,
                "segment_pool_id": (0, 0),
                "blocks": [{"address": 4096, "size": 4096, "requested_size": 100, "state": "active_allocated"}],
            }
        ],
    )
    modules.forget_noted()

    def look():
        for why in ("height", "growth"):
            analyses.take_look(why)
        labels.look_at_roles(optimizer)
        analyses.oom_analysis(1)
        analyses.exit_analysis()

    space = {"ones": torch.ones, "net": net, "look": look}
    exec(compile(PROGRAM, "/home/me/train.py", "exec"), space)
    space["main"]()
    written = {name: value for name, value, _ in facts}
    assert "agent_error" not in written, written["agent_error"]
    expected = {
        "looks",
        "modules",
        "seen",
        "segments",
        "requested",
        "pass",
        "tensors",
        "history_graph",
        "dead_locals",
        "state",
    }
    assert expected <= written.keys()
    assert written["tensors"] and written["history_graph"]["holders"] and written["seen"]["blocks"]
    assert written["modules"]["modules"] and written["requested"] and written["segments"]
