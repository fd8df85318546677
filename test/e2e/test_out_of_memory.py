"""What an out-of-memory report says of the moment: shares that add up, and the holder or the pass that filled the device."""

import json

import pytest

CACHE = """
import torch, torch.nn as nn
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(256, 768)
        self.cache = None
    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.cache is not None:
            k, v = torch.cat([self.cache[0], k], 1), torch.cat([self.cache[1], v], 1)
        self.cache = (k, v)
        return nn.functional.scaled_dot_product_attention(q, k, v)
class Chat:
    def __init__(self): self.layers = nn.ModuleList(Attention() for _ in range(8)).cuda().half()
    @torch.inference_mode()
    def reply(self):
        x = torch.randn(8, 256, 256, device="cuda", dtype=torch.half)
        for layer in self.layers: x = layer(x)
chat = Chat()
for turn in range(1000): chat.reply()
"""
PASS = """
import torch, torch.nn as nn
model = nn.Sequential(*[nn.Sequential(nn.Linear(512, 512), nn.GELU()) for _ in range(12)]).cuda()
optimizer = torch.optim.AdamW(model.parameters())
for rows in (1000, 2000, 4000, 8000):
    x = torch.randn(rows, 512, device="cuda")
    for _ in range(3):
        model(x).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
"""
FIRST = """
import torch, torch.nn as nn
model = nn.Sequential(*[nn.Sequential(nn.Linear(512, 512), nn.GELU()) for _ in range(12)]).cuda()
optimizer = torch.optim.AdamW(model.parameters())
model(torch.randn(16384, 512, device="cuda")).mean().backward()
optimizer.step()
"""
OPTIMIZER = """
import torch, torch.nn as nn
model = nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(8)]).cuda()
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(8, 1024, device="cuda")).square().mean().backward()
optimizer.step()
"""
INPUT = """
import torch, torch.nn as nn
model = nn.Sequential(nn.Linear(1024, 4096), nn.ReLU()).cuda()
model(torch.randn(16384, 1024, device="cuda"))
"""
EVALUATION = """
import torch, torch.nn as nn
model = nn.Sequential(*[nn.Sequential(nn.Linear(512, 512), nn.GELU()) for _ in range(12)]).cuda()
def score(x): return model(x).mean()
score(torch.randn(64, 512, device="cuda")).backward()
model.eval()
score(torch.randn(16384, 512, device="cuda"))
"""
KEYS_AND_VALUES = """
import torch, torch.nn as nn
class Block(nn.Module):
    def __init__(self): super().__init__(); self.kv = nn.Linear(256, 512)
    def forward(self, x, past):
        k, v = self.kv(x).chunk(2, -1)
        return x, (k, v) if past is None else (torch.cat([past[0], k], 1), torch.cat([past[1], v], 1))
class Decoder(nn.Module):
    def __init__(self): super().__init__(); self.blocks = nn.ModuleList(Block() for _ in range(12))
    def forward(self, x, before=None):
        after = []
        for i, block in enumerate(self.blocks):
            x, pair = block(x, before and before[i])
            after.append(pair)
        return x, after
@torch.no_grad()
def answer(decoder, tokens):
    state = None
    for _ in range(tokens): x, state = decoder(torch.randn(16, 16, 256, device="cuda"), state)
decoder = Decoder().cuda().eval()
for tokens in (20, 20, 40, 80, 160): answer(decoder, tokens)
"""
DATA = """
import torch
class Data:
    def __init__(self): self.images = torch.zeros(40 << 20, device="cuda"); self.scaled = self.images / 2
    def batches(self):
        yield torch.cat([self.images, self.scaled]).exp()
data = Data()
for batch in data.batches(): pass
"""
EXPRESSION = """
import torch
def one_hot(x): return torch.nn.functional.one_hot(x, 50000).float()
one_hot(torch.zeros(512, dtype=torch.long, device="cuda"))
"""
PARTS = """
import torch, torch.nn as nn
model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 64)).cuda()
parts = []
for _ in range(50): parts.append(model(torch.randn(256, 512, device="cuda")))
z = torch.cat(parts)
loss = (z @ z.T).log_softmax(-1).mean()
"""
RESTARTS = """
import torch, torch.nn as nn
def train(width):
    model = nn.Sequential(nn.Linear(512, width), nn.ReLU(), nn.Linear(width, 512)).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(64, 512, device="cuda")).square().mean().backward()
    optimizer.step()
    raise ValueError("diverged")
results = []
for trial in range(40):
    try: results.append(train(4096))
    except ValueError as error: results.append(error)
"""
VOCABULARY = """
import torch, torch.nn as nn
model = nn.Sequential(nn.Embedding(50000, 64), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 50000)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for rows in (256, 512, 1024, 2048):
    for _ in range(2):
        tokens = torch.randint(0, 50000, (rows,), device="cuda")
        loss = nn.functional.cross_entropy(model(tokens), tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
"""
OUTPUTS = """
import torch
model = torch.nn.Sequential(*[torch.nn.Linear(1024, 1024, bias=False) for _ in range(16)]).cuda()
optimizer = torch.optim.Adam(model.parameters())
x = torch.randn(256, 1024, device="cuda")
outputs = []
while True:
    output = model(x)
    output.square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    outputs.append(output.detach())
"""
LENGTHS = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.given, self.out = nn.Linear(256, 768), nn.Linear(256, 256)

    def forward(self, x):
        query, key, value = (part.unflatten(2, (8, 32)).transpose(1, 2) for part in self.given(x).chunk(3, -1))
        weights = (query @ key.transpose(2, 3) / 6).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2))

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.norm, self.up, self.down = Attention(), nn.LayerNorm(256), nn.Linear(256, 1024), nn.Linear(1024, 256)

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.down(self.up(x).relu())

model = nn.Sequential(*[Block() for _ in range(6)]).cuda()
optimizer = torch.optim.AdamW(model.parameters())
for length in (128, 256, 512, 1024):
    x = torch.randn(4, length, 256, device="cuda")
    model(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
"""
BATCHES = """
import torch
from torch import nn

class Data:
    def __init__(self):
        self.batches = [torch.randn(256, 3, 64, 64, device="cuda") for _ in range(40)]

    def __iter__(self):
        return iter(self.batches)

def main():
    data = Data()
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)).cuda()
    for x in data:
        model(x).sum().backward()

main()
"""
MANY = """
import torch
kept = torch.empty(60 << 20, dtype=torch.uint8, device="cuda")
refused = 0
for size in range(24):
    try:
        torch.empty(100 << 20, dtype=torch.uint8, device="cuda")
    except torch.cuda.OutOfMemoryError:
        refused += 1
assert refused == 24
"""

GRAPHS = """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 1024)).cuda().eval()
graphs = {}
for rows in range(100, 3000, 8):
    x = torch.randn(rows, 1024, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad():
        net(x)
        with torch.cuda.graph(graph):
            graphs[rows] = (graph, x, net(x))
    graph.replay()
"""
SEARCH = """
import torch, torch.nn as nn
net = nn.ModuleList([nn.Linear(1024, 1024) for _ in range(4)]).cuda()
def attempt(rows):
    x = torch.randn(rows, 1024, device="cuda")
    for layer in net: x = layer(x).tanh()
    x.sum().backward()
def search():
    rows, last = 1024, None
    while rows < 1 << 20:
        try:
            attempt(rows)
        except torch.cuda.OutOfMemoryError as error:
            last = error
            break
        rows *= 2
    return rows // 2, last
found, error = search()
KEEP
for _ in range(5): attempt(found // 4)
"""
LONGER = """
import torch, torch.nn as nn
net = nn.Sequential(nn.Embedding(1000, 256), nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 1000)).cuda()
optimizer = torch.optim.AdamW(net.parameters())
for step in range(60):
    x = torch.randint(0, 1000, (8, 100 + step % 7 if step < 50 else 20000)).cuda()
    loss = nn.functional.cross_entropy(net(x).flatten(0, 1), x.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.fixture
def of_the_moment(traced):
    def run(source, size):
        done = traced(source, sim=size)
        assert done.code == 1 and "OutOfMemoryError" in done.stderr, done.stderr
        [path] = done.out.glob("*.oom-1.json")
        report = json.loads(path.read_text())
        [finding] = [f for f in report["findings"] if f["code"] == "out-of-memory"]
        return {**report["ooms"][0], "report": report}, finding

    return run


@pytest.mark.parametrize("source, size", [(CACHE, "400MiB"), (PASS, "300MiB")], ids=["cache", "pass"])
def test_shares_add_up_to_what_the_allocator_had(of_the_moment, source, size):
    oom, finding = of_the_moment(source, size)
    shares = finding["evidence"]["shares"]
    assert sum(shares.values()) == oom["reserved_bytes"] and oom["reserved_bytes"] - shares["cached"] == oom["live_bytes"]
    assert all(share >= 0 for share in shares.values())


def test_a_holder_that_many_parts_have_is_named_by_one(of_the_moment):
    oom, finding = of_the_moment(CACHE, "400MiB")
    assert finding["variable"] == "chat.layers.0.cache" and "more like it hold" in finding["message"], finding["message"]


def test_a_pass_that_does_not_fit_is_nobodys_variable(of_the_moment):
    oom, finding = of_the_moment(PASS, "300MiB")
    assert finding["variable"] is None and "The pass that was running had saved" in finding["message"], finding["message"]
    assert "checkpoint" in finding["fix"] and "smaller batch" in finding["fix"]
    assert finding["evidence"]["shares"]["graphs"] > oom["live_bytes"] / 2


def test_a_call_within_a_call_of_its_own_kind(of_the_moment):
    """Several variables of one name have what the pass saved; and the input is no leak for being longer than the last."""
    oom, finding = of_the_moment(LENGTHS, "1GiB")
    assert "The pass that was running had saved" in finding["message"] and "checkpoint" in finding["fix"], finding
    assert [f["code"] for f in oom["report"]["findings"] if f["severity"] != "info"] == ["out-of-memory"]


def test_what_a_loop_goes_through_is_no_dead_local(of_the_moment):
    """Its iterator holds the batches, whatever becomes of the variable."""
    oom, finding = of_the_moment(BATCHES, "1100MiB")
    assert finding["variable"] in ("data", "data.batches"), finding
    assert "dead-local" not in [f["code"] for f in oom["report"]["findings"]], oom["report"]["findings"]


def test_the_first_pass_of_a_training(of_the_moment):
    """No step has come yet, but there is an optimizer: nobody wants it to run without a graph."""
    _, finding = of_the_moment(FIRST, "400MiB")
    assert finding["fix"].startswith("Use a smaller batch (and accumulate gradients over several)"), finding


def test_a_model_that_fills_the_device_alone(of_the_moment):
    """No holder could let go, and no batch is to blame."""
    oom, finding = of_the_moment(OPTIMIZER, "150MiB")
    assert finding["variable"] is None and "smaller batch changes little" in finding["fix"], finding
    shares = finding["evidence"]["shares"]
    assert 5 * (shares["model"] + shares["workspaces"]) >= 4 * oom["live_bytes"]


def test_a_tensor_larger_than_the_device(of_the_moment):
    _, finding = of_the_moment('import torch\ntorch.empty(3 << 30, dtype=torch.uint8, device="cuda")\n', "1GiB")
    assert finding["fix"].startswith("No 1.00 GiB device can give that"), finding


def test_the_input_of_a_running_call_is_nobodys_variable(of_the_moment):
    _, finding = of_the_moment(INPUT, "200MiB")
    assert finding["variable"] is None, finding
    assert "Sequential.forward(), which was running, had 64.0 MiB in its variable `input`" in finding["message"], finding


def test_models_that_a_kept_error_holds_are_the_holders(of_the_moment):
    report, finding = of_the_moment(RESTARTS, "700MiB")
    assert finding["variable"] == "results" and "error.with_traceback(None)" in finding["fix"], finding
    assert 2 * finding["evidence"]["freeable_bytes"] > finding["evidence"]["live_bytes"]


def test_the_loss_of_a_large_vocabulary(of_the_moment):
    report, finding = of_the_moment(VOCABULARY, "700MiB")
    assert "the outputs of the last layer and the loss of them" in finding["fix"], finding
    tops = sum(row["retained_bytes"] for row in report["holders"] if row["parent"] is None)
    assert tops <= finding["evidence"]["live_bytes"]  # each byte has one row


def test_an_evaluation_that_records_a_graph(of_the_moment):
    _, finding = of_the_moment(EVALUATION, "300MiB")
    assert "`Sequential` is in evaluation mode" in finding["message"] and "no_grad" in finding["fix"], finding


def test_what_a_running_function_holds_is_named_by_its_variable(of_the_moment):
    """Not by the function, nor by the arguments of the calls below it; and a list that one pass fills is no leak."""
    _, finding = of_the_moment(KEYS_AND_VALUES, "350MiB")
    assert finding["variable"] in ("before", "after") and "Also held by `Module" not in finding["message"], finding


def test_what_grows_comes_first_however_little_it_is(of_the_moment):
    oom, finding = of_the_moment(OUTPUTS, "600MiB")
    assert finding["variable"] == "outputs" and finding["fix"].startswith("Let `outputs` hold less:"), finding
    assert 2 * finding["evidence"]["freeable_bytes"] < oom["live_bytes"]


def test_an_object_is_named_whole(of_the_moment):
    """A list that was an argument of the call had two of its parts, too."""
    _, finding = of_the_moment(DATA, "600MiB")
    assert finding["variable"] == "data" and finding["evidence"]["freeable_bytes"] == 320 << 20, finding
    assert finding["fix"].startswith("Keep in host memory what `data` holds")


def test_a_result_that_no_variable_has(of_the_moment):
    oom, finding = of_the_moment(EXPRESSION, "250MiB")
    assert finding["variable"] is None and "held 196 MiB in 1 block of results" in finding["message"], finding
    assert finding["evidence"]["shares"]["temporaries"] >= 195 << 20 and "more than one of its results" in finding["fix"]


def test_parts_that_are_put_together_are_no_leak(traced):
    report = traced(PARTS, sim="800MiB").report()
    assert [f["code"] for f in report["findings"] if f["severity"] != "info"] == ["out-of-memory"], report["findings"]


def test_many_errors_that_the_program_handles(traced, vramtrack):
    """Sixteen moments are kept, a few of them are looked at, and nothing that comes later is told as one of them."""
    done = traced(MANY, sim="150MiB")
    assert done.code == 0, done.stderr
    report = done.report()
    [finding] = [f for f in report["findings"] if f["code"] == "out-of-memory"]
    assert (finding["severity"], finding["evidence"]["handled"], finding["evidence"]["at"]) == ("warning", True, "oom:1")
    assert finding["variable"] == "kept" and "Make `kept` in parts" in finding["fix"], finding
    assert len(report["ooms"]) == 16 and "8 out-of-memory events have no snapshot" in " ".join(report["losses"]["notes"])
    graphs = [line for line in vramtrack("dump", done.traces()[0]).stdout.splitlines() if " moment=out_of_memory" in line]
    numbers = [line.split("number=")[1].split()[0] for line in graphs]
    assert numbers[:3] == ["1", "2", "3"] and len(set(numbers)) == len(numbers), numbers


def test_what_graphs_keep_for_themselves_is_no_cache_in_pieces(of_the_moment):
    oom, finding = of_the_moment(GRAPHS, "1GiB")
    shares = finding["evidence"]["shares"]
    assert sum(shares.values()) == oom["reserved_bytes"]
    assert oom["reserved_bytes"] - shares["cached"] - shares["private_pools"] == oom["live_bytes"]
    assert shares["private_pools"] > oom["reserved_bytes"] / 5, shares
    assert "private pools (of CUDA graphs" in finding["message"] and "expandable_segments" not in finding["fix"], finding
    assert "share one pool" in finding["fix"] and finding["variable"] == "graphs", finding


@pytest.mark.parametrize("keeps", [True, False])
def test_an_error_that_a_search_keeps_holds_what_it_went_through(traced, keeps):
    done = traced(SEARCH.replace("KEEP", "" if keeps else "del error"), sim="2GiB")
    assert done.code == 0, done.stderr
    [finding] = [f for f in done.report()["findings"] if f["code"] == "out-of-memory"]
    assert ("kept_bytes" in finding["evidence"]) == keeps, finding
    if keeps:
        assert finding["evidence"]["kept_by"] == "__main__.error" and "`error`" in finding["message"], finding
        assert finding["evidence"]["kept_bytes"] > 100 << 20 and "str(error)" in finding["fix"], finding


def test_a_step_that_is_longer_than_all_before(of_the_moment):
    oom, finding = of_the_moment(LONGER, "2GiB")
    evidence = finding["evidence"]
    assert 0 < evidence["steps_before_bytes"] < oom["live_bytes"] / 4, finding
    assert evidence["input_bytes"] == 8 * 20000 * 8 and evidence["usual_input_bytes"] < 8 * 120 * 8, finding
    assert ":6, where it was" in finding["message"] and "number of elements" in finding["fix"], finding
