"""The Python agent: what it says of ordinary programs, that scripts do not notice it, and what it costs."""

import json
import subprocess

import pytest

from conftest import PYTHON, ROOT

PRECISION = sorted((ROOT / "test" / "corpus" / "precision").glob("*.py"))
COSTS = {"many_tensors", "many_steps"}  # print figures
HOSTS = sorted(path for path in (ROOT / "test" / "corpus" / "agent").glob("*.py") if path.stem not in COSTS)
LEAK_CODES = {"history-accumulation", "growing-site", "dead-local", "reference-cycle", "long-bptt"}
AGENT = ROOT / "interpose" / "python" / "vramtrack_agent"


@pytest.mark.parametrize("path", PRECISION, ids=lambda path: path.stem)
def test_ordinary_programs_are_not_accused(path, finished):
    report, _ = finished(path)
    assert not LEAK_CODES & {f["code"] for f in report["findings"]}, report["findings"]
    growing = [s for s in report["sites"] if s["verdict"] == "growing"]
    assert not growing, growing
    assert not [note for note in report["losses"]["notes"] if note.startswith("the Python agent")]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """The report of the Transformer, and what the script itself says that its objects hold."""
    from conftest import Run, VRAMTRACK

    out = tmp_path_factory.mktemp("transformer") / "out"
    done = subprocess.run([str(VRAMTRACK), "run", "-o", str(out), "--sim=80GiB", "--", PYTHON,
                           str(ROOT / "test" / "corpus" / "precision" / "transformer.py")],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return Run(done, out).report(), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("role", ["parameter", "gradient", "optimizer_state", "buffer"])
def test_roles_add_up_exactly(transformer, role):
    report, holds = transformer
    blocks = [a for a in report["allocations"] if a["tensor"] and a["layer"] == "tensor"]
    assert sum(a["bytes"] for a in blocks if a["tensor"]["role"] == role) == holds[role]


def test_every_parameter_has_its_name(transformer):
    report, holds = transformer
    names = {a["tensor"]["name"] for a in report["allocations"] if a["tensor"] and a["tensor"]["role"] == "parameter"}
    assert names == {"net." + name for name in holds["names"]}


def test_backward_allocations_carry_the_forward_line(transformer):
    report, _ = transformer
    frames = report["frames"]

    def in_backward(site):
        return any("evaluate_function" in (frames[i]["function"] or "") for i in site["stack"])

    backward = [s for s in report["sites"] if s["layer"] == "tensor" and in_backward(s)]
    total = sum(s["allocated_bytes"] for s in backward)
    forward = [s for s in backward if s["backward_of"]]
    assert total > 0
    assert sum(s["allocated_bytes"] for s in forward) >= 0.95 * total
    for site in forward:  # and the line is one of the script
        assert any(frames[i]["file"] and frames[i]["file"].endswith("transformer.py") for i in site["backward_of"])


def test_oom_names_what_to_let_go(traced):
    run = traced([PYTHON, ROOT / "test" / "corpus" / "faq" / "out-of-memory" / "guilty_kept_outputs.py"])
    report = run.oom()
    finding = next(f for f in report["findings"] if f["code"] == "out-of-memory")
    held = [a for a in report["allocations"] if a["tensor"] and "outputs" in a["tensor"]["holder"]]
    assert finding["variable"] == "outputs"
    assert finding["evidence"]["freeable_bytes"] == sum(a["bytes"] for a in held) == len(held) << 30
    assert len(held) > 70
    assert all("collect() local outputs[" in a["tensor"]["holder"] for a in held)
    # The report of the end, and what the terminal shows, say it too: by then `outputs` is gone.
    (at_exit,) = [f for f in run.report()["findings"] if f["code"] == "out-of-memory"]
    assert at_exit["evidence"]["at"] == "oom:1"
    assert {**at_exit["evidence"], "at": None} == {**finding["evidence"], "at": None}
    assert at_exit["variable"] == "outputs" and "`outputs` (collect() local" in run.stderr
    assert next(run.out.glob("*.oom-1.json")).name in run.stderr


@pytest.mark.parametrize("conf, limited", [("per_process_memory_fraction:0.1", True), ("", False)])
def test_oom_says_whose_limit_it_was(conf, limited, traced):
    program = ROOT / "test" / "corpus" / "faq" / "out-of-memory" / "guilty_kept_outputs.py"
    run = traced([PYTHON, program], sim="40GiB", env={"PYTORCH_CUDA_ALLOC_CONF": conf})
    (finding,) = [f for f in run.report()["findings"] if f["code"] == "out-of-memory"]
    assert ("the limit is PyTorch's own" in finding["message"]) == limited
    assert (finding["evidence"]["device_free_bytes"] > 30 << 30) == limited


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_scripts_do_not_notice(path, traced):
    plain, with_us = traced([PYTHON, path], "--no-trace"), traced([PYTHON, path])
    assert (with_us.code, with_us.stdout) == (plain.code, plain.stdout), with_us.stderr


def test_no_type_of_the_program_says_what_equal_means(traced):
    """A metaclass whose classes cannot be compared, nor hashed, hides nothing of what their objects hold."""
    report = traced([PYTHON, ROOT / "test" / "corpus" / "agent" / "hostile_types.py"]).report()
    assert not [note for note in report["losses"]["notes"] if note.startswith("the Python agent")], report["losses"]
    holders = [a["tensor"] and a["tensor"]["holder"] for a in report["allocations"] if a["layer"] == "tensor"]
    assert all(holders) and sum("odd[" in holder for holder in holders) == 5, holders


def test_underscore_exit_is_analysed(traced):
    run = traced([PYTHON, ROOT / "test" / "corpus" / "agent" / "leaves_by_underscore_exit.py"])
    holders = {a["tensor"]["holder"] for a in run.report()["allocations"] if a["tensor"]}
    assert "main() local kept[0]" in holders


def test_training_in_a_thread_is_seen(traced):
    run = traced([PYTHON, ROOT / "test" / "corpus" / "agent" / "thread_training.py"])
    report = run.report()
    assert report["steps"] == {"count": 24, "source": "optimizer"}
    assert "losses" in {f["variable"] for f in report["findings"] if f["code"] == "history-accumulation"}


def test_no_agent(traced):
    run = traced("import torch\nx = torch.zeros(1024, 1024, device='cuda')\n", "--no-agent")
    report = run.report()
    assert not [a for a in report["allocations"] if a["tensor"]]
    assert report["steps"]["source"] == "none"


def test_hundred_thousand_tensors_at_exit(traced):
    run = traced([PYTHON, ROOT / "test" / "corpus" / "agent" / "many_tensors.py"], timeout=120)
    cost = json.loads(run.stdout.splitlines()[-1])
    assert cost["kilobytes"] < 200 * 1024


def test_agent_compiles_everywhere():
    """Every file of the agent is valid under each CPython that is there (the analyses run under it in other tests)."""
    from pythons import interpreters

    for python in interpreters().values():
        for path in sorted(AGENT.glob("*.py")):
            done = subprocess.run([python, "-c", "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')",
                                   str(path)], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, (python, done.stderr)


def test_files_of_the_agent_are_all_embedded():
    listed = (ROOT / "interpose" / "python" / "CMakeLists.txt").read_text().split("set(agent_files ")[1].split(")")[0]
    only_in_the_source_tree = {"__init__", "native"}
    assert set(listed.split()) == {path.stem for path in AGENT.glob("*.py")} - only_in_the_source_tree


FRAMEWORK = """
def fit(module, optimizer, steps):
    for _ in range(steps):
        loss = module.training_step()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
CALLED_BACK = """
import torch, loops

class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(32, 2)
        self.seen = []

    def training_step(self):
        loss = self.net(torch.randn(8, 32, device="cuda")).pow(2).mean()
        self.seen.append(loss)
        return loss

def main():
    module = Module().cuda()
    return module, torch.optim.SGD(module.parameters(), lr=0.1), 24

loops.fit(*main())
"""


def test_what_only_a_framework_holds_is_named(traced, tmp_path):
    """The training loop is an installed package's: no frame or global of the script refers to the module."""
    package = tmp_path / "site-packages" / "loops"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FRAMEWORK)
    report = traced(CALLED_BACK, env={"PYTHONPATH": str(package.parent)}).report()
    found = [f for f in report["findings"] if f["code"] == "history-accumulation"]
    line = 1 + CALLED_BACK.splitlines().index("        self.seen.append(loss)")
    assert [(f["variable"], f["line"]) for f in found] == [("Module.seen", line)]
    assert "(an attribute of Module, " in found[0]["message"]


def test_what_only_the_framework_itself_holds_is_named(traced, tmp_path):
    """A trainer of an installed package keeps what the script gives it; no name of the script leads to the trainer."""
    package = tmp_path / "site-packages" / "loops"
    package.mkdir(parents=True)
    source = "class Trainer:\n    def __init__(self):\n        self.history = []\n" + "".join(
        "    " + line.replace("def fit(", "def fit(self, ") + "\n" for line in FRAMEWORK.splitlines())
    source += "            self.history.append(loss)\n"
    (package / "__init__.py").write_text(source)
    report = traced(CALLED_BACK.replace("loops.fit(", "loops.Trainer().fit(").replace("self.seen.append(loss)", ""),
                    env={"PYTHONPATH": str(package.parent)}).report()
    found = [f for f in report["findings"] if f["code"] == "history-accumulation"]
    line = 1 + source.splitlines().index("            self.history.append(loss)")
    assert [(f["variable"], f["line"]) for f in found] == [("Trainer.history", line)]
    assert "(an attribute of Trainer, " in found[0]["message"]


def test_unusual_tensors_do_not_stop_the_analysis(traced):
    """Nested tensors have no shape, sparse ones no address."""
    report = traced([PYTHON, ROOT / "test" / "corpus" / "faq" / "growing-site" / "innocent_nested_tensors.py"]).report()
    facts = {a["tensor"]["name"] or a["tensor"]["holder"] for a in report["allocations"] if a["tensor"]}
    assert {"net.weight", "net.bias", "__main__.nested"} <= facts


def test_a_failed_analysis_is_told(traced):
    """The report says so when the agent could not do its work."""
    script = "import gc, torch\nkept = torch.zeros(1024, device='cuda')\ngc.collect()\n" + (
        "native = next(o for o in gc.get_objects() if type(o) is dict and o.get('__name__') == 'vramtrack_agent.native')\n"
        "native['state'] = None\ndel native\n")
    notes = traced(script).report()["losses"]["notes"]
    assert [note for note in notes if note.startswith("the Python agent: <vramtrack ")], notes
