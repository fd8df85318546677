"""The graph of who holds whom, as it stands in the trace: every way of holding has its name, and nothing of the analysis
itself is in it."""

import json
import re

import pytest

from conftest import PYTHON, ROOT
from heap_graph import graphs
from pythons import interpreters

CORPUS = ROOT / "test" / "corpus" / "graph"


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    import subprocess

    from conftest import VRAMTRACK

    out = tmp_path_factory.mktemp("graph") / "out"
    done = subprocess.run([str(VRAMTRACK), "run", "-o", str(out), "--sim=8GiB", "--", PYTHON, str(CORPUS / "holders.py")],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = graphs(next(out.glob("*.vtrace")))
    assert [graph.record["moment"] for graph in found if graph.record["moment"] != "look"] == ["exit"]
    return found[-1], json.loads(done.stdout.splitlines()[-1])


def steps(way):
    """`__main__.s.plain[0]` as the labels of its edges."""
    return re.findall(r"\.\w+|\['\w+'\]|\[-?\d+\]| \w+ \w+| slot| member", way)


def test_every_way_of_holding_has_its_name(held):
    graph, told = held
    main = [i for i in graph.find(kind="module", name="__main__") if graph.flag(i, "main")]
    assert len(main) == 1 and graph.flag(main[0], "root")
    wrong = {}
    for way, address in told["ways"].items():
        if not way.startswith("__main__"):
            continue
        reached = graph.addresses(graph.follow(main[0], steps(way[len("__main__"):])))
        if address not in reached:
            wrong[way] = reached
    assert not wrong


def test_what_only_a_cycle_holds_is_garbage(held):
    graph, told = held
    for way, address in told["ways"].items():
        nodes = [i for i in graph.find(kind="tensor", data_address=address)]
        assert nodes, way
        assert all(graph.flag(i, "garbage") for i in nodes) == way.startswith("garbage"), way
    assert not [node for node in graph.nodes if node.get("flags", 0) & 512], "held by something that was not seen"


def test_nothing_of_the_analysis_is_in_it(held):
    graph, told = held
    assert not [n for n in graph.nodes if re.search("<vramtrack|vramtrack_agent", n.get("file", "") + n.get("type_name", ""))]
    counted = graph.find(address=told["counted"])
    assert graph.nodes[counted[0]]["references"] == graph.nodes[counted[0]]["references_seen"] == told["references"]


def test_it_agrees_with_the_collector(held):
    graph, told = held
    for holder, tensors in told["tensors_of"].items():
        node, = graph.find(address=int(holder))
        children = {graph.nodes[to]["address"] for to, _ in graph.edges[node] if graph.nodes[to]["kind"] == "tensor"}
        assert children == set(tensors)


def test_roles_and_views(held):
    graph, told = held

    def only(way):
        return [i for i in graph.find(kind="tensor", data_address=told["ways"][way]) if not graph.flag(i, "view")]

    assert all(graph.flag(i, "parameter") for i in only("__main__.net.0.weight"))
    assert all(graph.flag(i, "buffer") for i in only("__main__.net.1.running_mean"))
    assert all(graph.flag(i, "gradient") for i in only("__main__.net.0.weight.grad"))
    main, = [i for i in graph.find(kind="module", name="__main__")]
    view, = graph.follow(main, [".view"])
    assert graph.flag(view, "view")
    assert graph.addresses(graph.follow(view, [" base"])) == {told["ways"]["__main__.s.plain[0]"]}
    assert graph.addresses(graph.follow(view, [" storage"])) == {told["ways"]["__main__.s.plain[0]"]}
    storages = [n for n in graph.nodes if n["kind"] == "storage"]
    assert sum(n["bytes"] for n in storages) == graph.record["storage_bytes"]
    assert all(n.get("birth") and n.get("site") and n["block_bytes"] == n["bytes"] for n in storages)


def test_out_of_memory_with_two_models_of_one_name(traced):
    run = traced([PYTHON, CORPUS / "two_selves.py"], sim="1GiB")
    assert run.stdout.splitlines()[-1] == "out of memory"
    report = run.report()
    assert not [note for note in report["losses"]["notes"] if "agent" in note], report["losses"]["notes"]
    graph, = [g for g in graphs(next(run.out.glob("*.vtrace"))) if g.record["moment"] == "out_of_memory"]
    assert graph.record["number"] == 1
    frames = {node["name"]: i for i, node in enumerate(graph.nodes) if node["kind"] == "frame"}
    assert graph.flag(frames["Large.run"], "root") and graph.flag(frames["Large.run"], "user_code")
    kept = graph.follow(frames["Large.run"], [" local self", ".kept"])
    assert {graph.nodes[i]["length"] for i in kept} == {len(graph.edges[next(iter(kept))])}
    assert graph.follow(frames["Large.run"], [" local self", ".model", ".encoder", ".weight", " storage"])


@pytest.mark.parametrize("version", [v for v in interpreters() if not v.endswith("t")])
def test_each_python(version, traced):
    run = traced([interpreters()[version], CORPUS / "plain.py"])
    assert run.code == 0, run.stderr
    ways = json.loads(run.stdout.splitlines()[-1])
    graph, = [g for g in graphs(next(run.out.glob("*.vtrace"))) if g.record["moment"] == "exit"]
    main, = [i for i in graph.find(kind="module", name="__main__")]
    waiting, = [i for i in graph.find(kind="frame", name="waits")]
    assert graph.flag(waiting, "root")
    wrong = {}
    for way, address in ways.items():
        start = main if way.startswith("__main__") else waiting
        if way == "garbage":
            assert all(graph.flag(i, "garbage") for i in graph.find(kind="tensor", data_address=address))
        elif address not in graph.addresses(graph.follow(start, steps(way.replace("__main__", "").replace("waits", "")))):
            wrong[way] = address
    assert not wrong
    assert not graph.record["flags"] and len(graph.find(kind="storage")) == len(ways)
