#!/usr/bin/env python3
"""Writes a made-up report (docs/report.schema.json) of any size: the ground of the page's tests and budgets.

    synthetic_report.py --sites 5000 --blocks 10000 --points 4096 --frames 50000 -o big.json
    synthetic_report.py --hostile -o hostile.json       # names that try to break out of the page

The picture is a training run of a small language model with one leak (`losses.append(loss)`), an out-of-memory event,
NCCL and cuBLAS memory, and fragmented cache. Same seed, same report.
"""
import argparse
import json
import random

MIB = 1 << 20
GIB = 1 << 30
LAYERS = 12

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'`${window.hacked=1}",
    "\u202egnp.exe\u202c",
    "nul\u0000byte\u0007bell\u001b[31m",
    "line\u2028para\u2029end",
    "x" * 10_000,
    "العربية_اسم",
    "\ufffd\ufffd bad utf-8",
    "<!--<script>",
    "__proto__",
    "constructor",
]


class Report:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.frames, self.frame_ids = [], {}
        self.sites, self.blocks = [], []

    def frame(self, kind, function, file, line, module="", source=None):
        key = (kind, function, file, line)
        if key not in self.frame_ids:
            self.frame_ids[key] = len(self.frames)
            self.frames.append({"kind": kind, "function": function, "file": file, "module": module, "line": line,
                                "inlined": False, "source": source})
        return self.frame_ids[key]

    def py(self, function, file, line, source=None):
        return self.frame("python", function, file, line, "", source)

    def native(self, function, file, line, module):
        return self.frame("native", function, file, line, module)


TORCH = "/usr/lib/python3/site-packages/torch/"


def launch(report):
    """Outermost frames of every stack, outermost first."""
    r = report
    return [r.native("_start", "", 0, "/usr/bin/python3.11"),
            r.native("__libc_start_main", "../csu/libc-start.c", 381, "/lib/x86_64-linux-gnu/libc.so.6"),
            r.native("Py_BytesMain", "Modules/main.c", 1092, "/usr/bin/python3.11"),
            r.py("<module>", "/home/ada/nano/train.py", 118, "main()"),
            r.py("main", "/home/ada/nano/train.py", 104, "train(model, loader, optimizer)")]


def module_call(report):
    r = report
    return [r.py("Module._wrapped_call_impl", TORCH + "nn/modules/module.py", 1775, "return self._call_impl(*args, **kwargs)"),
            r.py("Module._call_impl", TORCH + "nn/modules/module.py", 1786, "return forward_call(*args, **kwargs)")]


def aten(report, op):
    r = report
    cpu, cuda, c10 = (TORCH + "lib/" + n for n in ("libtorch_cpu.so", "libtorch_cuda.so", "libc10_cuda.so"))
    return [r.native(f"at::_ops::{op}::call(at::Tensor const&, at::Tensor const&)", "Operators_2.cpp", 3041, cpu),
            r.native(f"at::native::{op}_cuda(at::Tensor const&, at::Tensor const&)", f"{op}.cu", 88, cuda),
            r.native("at::detail::empty_generic<at::Allocator>(c10::ArrayRef<long>, at::Allocator*)", "EmptyTensor.cpp", 201, cpu),
            r.native("c10::cuda::CUDACachingAllocator::Native::NativeCachingAllocator::allocate(unsigned long)",
                     "CUDACachingAllocator.cpp", 3721, c10)]


def add_site(report, stack_outermost_first, **values):
    options = report.options
    site = {"id": len(report.sites), "layer": "tensor", "kind": "block", "device": 0, "owner": "torch", "live_bytes": 0,
            "live_count": 0, "largest_bytes": 0, "peak_bytes": 0, "at_peak_bytes": None, "at_peak_count": None, "allocated_bytes": 0, "allocated_count": 0,
            "first_time": 0.0, "last_time": options.duration, "verdict": "steady",
            "growth": {"bytes_per_step": None, "bytes_per_second": 0.0, "steps_spanned": 0}, "backward_of": None,
            "evidence": "", "stack": list(reversed(stack_outermost_first))}
    site.update(values)
    report.sites.append(site)
    return site


def add_blocks(report, site, sizes, time, step, tensor, addresses):
    for index, size in enumerate(sizes):
        report.blocks.append({
            "address": addresses(size), "bytes": size, "layer": site["layer"], "kind": site["kind"],
            "device": site["device"], "stream": 0, "site": site["id"],
            "time": round(time(index), 4), "step": step(index), "thread": 1 if index % 7 else 2,
            "tensor": tensor(index)})
        site["live_bytes"] += size
        site["live_count"] += 1
        site["largest_bytes"] = max(site["largest_bytes"], size)
    site["peak_bytes"] = max(site["peak_bytes"], site["live_bytes"])
    site["allocated_bytes"] = max(site["allocated_bytes"], site["live_bytes"])
    site["allocated_count"] = max(site["allocated_count"], site["live_count"])


class Arena:
    """Hands out addresses inside made-up segments, with holes, and remembers the segments."""

    def __init__(self, rng, start):
        self.random, self.next, self.segments, self.open = rng, start, [], {}

    def __call__(self, size):
        small = size < MIB
        segment = self.open.get(small)
        rounded = (size + 511) // 512 * 512
        if segment is None or segment["used"] + rounded > segment["bytes"]:
            bytes_ = 2 * MIB if small else max(20 * MIB, (rounded + 2 * MIB - 1) // (2 * MIB) * 2 * MIB)
            segment = {"address": self.next, "bytes": bytes_, "used": 0}
            self.next += bytes_ + self.random.choice([0, 2, 6, 64]) * MIB
            self.segments.append(segment)
            self.open[small] = segment
        address = segment["address"] + segment["used"]
        segment["used"] += rounded
        if self.random.random() < 0.25:  # a freed neighbour: a hole
            segment["used"] += self.random.choice([1, 2, 4, 8]) * rounded
        return hex(address)


def tensor(shape, name, role, holder, dtype="float32"):
    return {"shape": shape, "dtype": dtype, "name": name, "role": role, "holder": holder}


def training(report, arena):
    """The story: parameters, gradients, optimizer state, saved activations, and the leak."""
    options, rng = report.options, report.random
    steps, duration = options.steps, options.duration
    top = launch(report)
    model = "/home/ada/nano/model.py"
    train = report.py("train", "/home/ada/nano/train.py", 71, "logits, loss = model(x, y)")
    layers = LAYERS
    weights = [("attn.c_attn", 31, (2304, 768)), ("attn.c_proj", 33, (768, 768)), ("mlp.c_fc", 58, (3072, 768)),
               ("mlp.c_proj", 60, (768, 3072))]
    for part, line, shape in weights:
        size = shape[0] * shape[1] * 4
        linear = report.py("Linear.__init__", TORCH + "nn/modules/linear.py", 109, "torch.empty((out_features, in_features), **factory_kwargs)")
        own = report.py("CausalSelfAttention.__init__" if "attn" in part else "MLP.__init__", model, line,
                        f"self.{part.split('.')[1]} = nn.Linear({shape[1]}, {shape[0]})")
        build = top[:4] + [report.py("main", "/home/ada/nano/train.py", 92, "model = GPT(config).cuda()"),
                           report.py("GPT.__init__", model, 140, "Block(config) for _ in range(config.n_layer)"),
                           report.py("Block.__init__", model, 99, "self.attn = CausalSelfAttention(config)"), own, linear]
        site = add_site(report, build + aten(report, "empty"), evidence="born before step 2 and never freed",
                        first_time=1.2, last_time=1.9)
        add_blocks(report, site, [size] * layers, lambda i: 1.2 + i * 0.05, lambda i: 0,
                   lambda i, p=part, s=shape: tensor(list(s), f"transformer.h.{i}.{p}.weight", "parameter",
                                                     f"model.transformer.h[{i}].{p}.weight"), arena)
        adam = top + [report.py("train", "/home/ada/nano/train.py", 78, "optimizer.step()"),
                      report.py("Optimizer.profile_hook_step.<locals>.wrapper", TORCH + "optim/optimizer.py", 517, "out = func(*args, **kwargs)"),
                      report.py("AdamW._init_group", TORCH + "optim/adamw.py", 178 + line % 2, "state['exp_avg'] = torch.zeros_like(p)")]
        site = add_site(report, adam + aten(report, "zeros_like"), evidence="born in step 1 and never freed", first_time=3.0, last_time=3.1)
        add_blocks(report, site, [size] * layers * 2, lambda i: 3.0 + i * 0.01, lambda i: 1,
                   lambda i, p=part, s=shape: tensor(list(s), f"{'exp_avg' if i % 2 else 'exp_avg_sq'}", "optimizer_state",
                                                     f"optimizer.state[transformer.h.{i // 2}.{p}.weight]"), arena)
        backward = [report.native("clone3", "", 0, "/lib/x86_64-linux-gnu/libc.so.6"),
                    report.native("torch::autograd::Engine::thread_init(int, std::shared_ptr<ReadyQueue> const&, bool)",
                                  "engine.cpp", 370, TORCH + "lib/libtorch_cpu.so"),
                    report.native("torch::autograd::Engine::evaluate_function(GraphTask&, Node*, InputBuffer&)", "engine.cpp", 1110,
                                  TORCH + "lib/libtorch_cpu.so"),
                    report.native("torch::autograd::generated::AddmmBackward0::apply(std::vector<at::Tensor>&&)",
                                  "Functions.cpp", 2210 + line, TORCH + "lib/libtorch_cpu.so")]
        forward = top + [train] + module_call(report) + [
            report.py("GPT.forward", model, 181, "x = block(x)"),
            report.py("MLP.forward" if "mlp" in part else "CausalSelfAttention.forward", model, line + 9,
                      f"x = self.{part.split('.')[1]}(x)"),
            report.py("Linear.forward", TORCH + "nn/modules/linear.py", 134, "return F.linear(input, self.weight, self.bias)")]
        site = add_site(report, backward + aten(report, "mm"), verdict="recent", backward_of=list(reversed(forward)),
                        first_time=3.0, last_time=duration - 0.1, evidence="each step frees what the step before made")
        add_blocks(report, site, [size] * layers, lambda i: duration - 0.3 + i * 0.01, lambda i: steps,
                   lambda i, p=part, s=shape: tensor(list(s), f"transformer.h.{i}.{p}.weight.grad", "gradient",
                                                     f"model.transformer.h[{i}].{p}.weight.grad"), arena)
        activation = 8 * 512 * shape[0] * 4
        site = add_site(report, forward + aten(report, "addmm"), verdict="recent", peak_bytes=activation * layers,
                        allocated_count=layers * steps, allocated_bytes=activation * layers * steps,
                        evidence="alive inside one step only", first_time=2.6, last_time=duration - 0.2)
        add_blocks(report, site, [activation] * (layers // 4), lambda i: duration - 0.2, lambda i: steps,
                   lambda i, s=shape: tensor([8, 512, s[0]], "", "saved_for_backward", f"grad_fn of loss"), arena)
    # the leak
    leak = top + [report.py("train", "/home/ada/nano/train.py", 83, "losses.append(loss)"),] 
    stack = top + [train] + module_call(report) + [
        report.py("GPT.forward", model, 190, "loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))"),
        report.py("cross_entropy", TORCH + "nn/functional.py", 3458, "return torch._C._nn.cross_entropy_loss(")]
    size = 8 * 512 * 768 * 4
    site = add_site(report, stack + aten(report, "log_softmax"), verdict="growing", first_time=2.6,
                    growth={"bytes_per_step": float(size), "bytes_per_second": size * steps / duration, "steps_spanned": steps - 2},
                    evidence=f"survivors were born in {steps - 2} of {steps} steps, one a step")
    add_blocks(report, site, [size] * (steps // 3), lambda i: 2.6 + i * (duration - 3) / (steps // 3), lambda i: 1 + i * 3,
               lambda i: tensor([8, 512, 768], "", "saved_for_backward", f"__main__.losses[{i}].grad_fn"), arena)
    del leak
    return site


def others(report, arena):
    """The cuda layer: torch's segments, NCCL, cuBLAS, pinned host memory."""
    top = launch(report)
    options = report.options
    nccl = add_site(report, top[:4] + [report.py("main", "/home/ada/nano/train.py", 88, "dist.init_process_group('nccl')"),
                                       report.native("ncclCommInitRankConfig", "init.cc", 2019, "/usr/lib/libnccl.so.2")],
                    layer="cuda", kind="device", owner="nccl", verdict="steady", evidence="born once, before step 1")
    counter = [0x7E0000000000]

    def fresh(size):
        counter[0] += size + 2 * MIB
        return hex(counter[0])
    add_blocks(report, nccl, [64 * MIB] * 6 + [4 * MIB] * 10, lambda i: 0.9, lambda i: 0, lambda i: None, fresh)
    blas = add_site(report, top + [report.native("cublasCreate_v2", "", 0, "/usr/lib/libcublas.so.12")], layer="cuda",
                    kind="device", owner="cublas", verdict="cache", evidence="a library workspace: does not grow")
    add_blocks(report, blas, [32 * MIB], lambda i: 2.4, lambda i: 0, lambda i: None, fresh)
    pinned = add_site(report, top + [report.py("_MultiProcessingDataLoaderIter._next_data", TORCH + "utils/data/dataloader.py", 1448, "data = data.pin_memory()")],
                      layer="cuda", kind="host_pinned", device=-1, owner="torch", verdict="steady")
    add_blocks(report, pinned, [2 * MIB] * 4, lambda i: 2.2, lambda i: 0, lambda i: None, fresh)
    segment_site = add_site(report, top + [report.py("train", "/home/ada/nano/train.py", 71, "logits, loss = model(x, y)"),
                                           report.native("c10::cuda::CUDACachingAllocator::Native::DeviceCachingAllocator::alloc_block(AllocParams&, bool)",
                                                         "CUDACachingAllocator.cpp", 2711, TORCH + "lib/libc10_cuda.so")],
                            layer="cuda", kind="device", owner="torch", verdict="cache")
    for segment in arena.segments + [{"address": arena.next + 64 * MIB, "bytes": 96 * MIB}]:
        addresses = lambda size, s=segment: hex(s["address"])
        add_blocks(report, segment_site, [segment["bytes"]], lambda i: 2.0, lambda i: 0, lambda i: None, addresses)
    del options
    return sum(segment["bytes"] for segment in arena.segments) + 96 * MIB


def filler(report, arena):
    """More sites, frames and blocks until the asked sizes are reached."""
    options, rng = report.options, report.random
    top = launch(report)
    roots = max(1, options.sites // 40)
    while len(report.sites) < options.sites:
        n = len(report.sites)
        stack = list(top)
        width = max(1, options.frames // max(1, options.sites) - 13)
        for depth in range(3 + n % 12):
            which = (n % roots if depth < 3 else n) * 31 + depth
            own = (n + depth) % 3
            if own:
                layer = which % 499
                stack.append(report.py(f"Layer{layer}.forward", f"/home/ada/nano/blocks/part{layer % 89}.py",
                                       10 + depth * 3, f"y = self.step_{depth}(x)"))
            else:
                stack += module_call(report)
        for extra in range(width):
            pick = (n * 7 + extra * 131) % 3989
            stack.append(report.py(f"helper_{pick}", f"/home/ada/nano/util/u{pick % 211}.py", 5 + pick % 200))
        stack += aten(report, rng.choice(["add", "mul", "cat", "gelu", "bmm", "native_layer_norm"]))
        size = int(512 * 2 ** rng.uniform(0, 9)) // 512 * 512
        add_site(report, stack, verdict=rng.choice(["recent", "recent", "steady", "one-off"]),
                 peak_bytes=size * rng.randint(0, 6), allocated_count=rng.randint(1, 5000), largest_bytes=size,
                 first_time=round(rng.uniform(1, options.duration / 2), 3), last_time=round(options.duration * rng.uniform(0.5, 1), 3))
    tensor_sites = [s for s in report.sites if s["layer"] == "tensor"]
    while len(report.blocks) < options.blocks:
        site = rng.choice(tensor_sites)
        size = site["largest_bytes"] or 512
        n = len(report.blocks)
        if size > MIB:
            size = 512 * rng.randint(1, 60)
        elements = size // 4
        add_blocks(report, site, [size], lambda i: rng.uniform(2, options.duration), lambda i: rng.randint(0, options.steps),
                   lambda i: None if n % 5 == 0 else tensor([elements], "", rng.choice(["python", "unknown", "saved_for_backward", "buffer"]),
                                                            f"Layer{n % 997}.cache"), arena)


def timeline(report, live, peak, reserved, cuda):
    options, rng = report.options, report.random
    points = max(2, options.points // 2)
    top_at = int(0.993 * (points - 1))
    entries, steps = [], options.steps
    for index in range(points):
        t = options.duration * index / (points - 1)
        ramp = min(1.0, t / 3.2)
        step = 0 if t < 3 else int((t - 3) / (options.duration - 3) * steps)
        within = ((t - 3) / (options.duration - 3) * steps) % 1 if t > 3 else 0
        wave = max(0.0, 1 - abs(within - 0.45) * 2.2)
        leak = step / steps
        at = min(int(peak * (0.34 * ramp + 0.28 * wave * ramp + 0.36 * leak)), peak)
        at = peak if index == top_at else live if index == points - 1 else at
        held = int(max(at, min(reserved, reserved * (0.62 * ramp + 0.40 * leak))))
        entries.append({"time": round(t, 4), "step": step, "layer": "tensor", "device": 0, "live_bytes": at, "reserved_bytes": held})
        entries.append({"time": round(t, 4), "step": step, "layer": "cuda", "device": 0,
                        "live_bytes": held + (cuda - reserved if t > 1 else 0), "reserved_bytes": None})
    return entries[:options.points]


def holder(report, rows, parent, path, kind, held, blocks, **values):
    row = {"id": len(rows), "parent": parent, "path": path, "variable": path.split(".", 1)[-1], "type": "builtins.list", "kind": kind, "file": "/home/ada/nano/train.py",
           "line": 83, "retained_bytes": held, "own_bytes": held, "blocks": blocks, "count": 1, "elements": blocks, "first_time": 2.6, "last_time": report.options.duration,
           "first_step": 1, "last_step": report.options.steps, "bytes_per_step": None, "bytes_per_second": None, "verdict": "steady", "evidence": "", "also_held_by": [],
           "roles": {"python": held}, "sites": [], "garbage": False, "cycle": None, "known": None, "fix": None}
    row.update(values)
    rows.append(row)
    if parent is not None:
        rows[parent]["own_bytes"] -= held
    return row["id"]


def holders(report, leak):
    """Who holds it: the model and its layers, the optimizer, the leak; and more names until the asked number is reached."""
    rows, blocks = [], [b for b in report.blocks if b["layer"] == "tensor" and b["tensor"]]

    def keep(parent, path, kind, own, **values):
        at = holder(report, rows, parent, path, kind, sum(b["bytes"] for b in own), len(own), sites=sorted({b["site"] for b in own})[:8], **values)
        for block in own:
            block["tensor"]["holder_id"] = at
        return at

    kept = [b for b in blocks if b["site"] == leak["id"]]
    losses = keep(None, "__main__.losses", "global", kept, verdict="growing", bytes_per_step=12582912.0, evidence="one in each step",
                  roles={"saved_for_backward": sum(b["bytes"] for b in kept)})
    keep(losses, "__main__.losses[]", "item", kept, verdict="growing", bytes_per_step=12582912.0, type="torch.Tensor", count=len(kept))
    parameters = [b for b in blocks if b["tensor"]["role"] == "parameter"]
    model = keep(None, "__main__.model", "global", parameters, type="model.GPT", line=92)
    for index in range(LAYERS):
        own = [b for b in parameters if f".h.{index}." in b["tensor"]["name"]]
        keep(model, f"__main__.model.transformer.h[{index}]", "module", own, type="model.Block", roles={"parameter": sum(b["bytes"] for b in own)})
    keep(None, "__main__.optimizer", "global", [b for b in blocks if b["tensor"]["role"] == "optimizer_state"], type="torch.optim.adamw.AdamW", also_held_by=[model])
    if report.options.hostile:
        for text in HOSTILE:
            holder(report, rows, None, text, "global", 40 * MIB, 1, type=text, file=f"/tmp/{text}.py", variable=text, evidence=text, known=text, fix=text)
    while len(rows) < report.options.holders:
        n = len(rows)
        holder(report, rows, None if n % 7 == 0 else n - n % 7, f"__main__.caches['user{n}']", "item", 4096 if n % 7 else 7 * 4096, 1)
    return rows


def breakdown(report, moment):
    """By role, module and phase; adds up to what the sites held."""
    rows = []
    for index, site in enumerate(s for s in report.sites if s["layer"] == "tensor"):
        role, phase = [("parameter", "other"), ("activation", "forward"), ("gradient", "backward"), ("temporary", "backward")][index % 4]
        rows.append({"device": 0, "role": role, "module": None if index % 5 == 0 else f"transformer.h.{index % 6}.{'attn' if index % 2 else 'mlp'}", "range": None, "phase": phase,
                     "bytes": site[moment], "blocks": site["live_count"]})
    return [row for row in rows if row["bytes"]]


def totals_of(report, options):
    groups = {}
    for site in report.sites:
        key = (site["layer"], site["device"], site["kind"])
        total = groups.setdefault(key, {"layer": key[0], "device": key[1], "kind": key[2], "live_bytes": 0, "live_count": 0,
                                        "peak_bytes": 0, "peak_at_time": round(options.duration * 0.993, 3), "peak_at_step": options.steps - 1,
                                        "allocated_bytes": 0, "allocated_count": 0, "freed_bytes": 0, "freed_count": 0})
        for name in ("live_bytes", "live_count", "peak_bytes", "allocated_bytes", "allocated_count"):
            total[name] += site[name]
        total["freed_bytes"] = total["allocated_bytes"] - total["live_bytes"]
        total["freed_count"] = total["allocated_count"] - total["live_count"]
    return list(groups.values())


def build(options):
    report = Report(options)
    arena = Arena(report.random, 0x7F4000000000)
    leak = training(report, arena)
    filler(report, arena)
    reserved = others(report, arena)
    if options.hostile:
        make_hostile(report)
    live = sum(s["live_bytes"] for s in report.sites if s["layer"] == "tensor")
    peak = sum(s["peak_bytes"] for s in report.sites if s["layer"] == "tensor")
    cuda = sum(s["live_bytes"] for s in report.sites if s["layer"] == "cuda" and s["device"] == 0)
    for index, site in enumerate(report.sites):
        site["at_peak_bytes"] = site["peak_bytes"]  # all sites are at their own peak at the device's
        site["at_peak_count"] = site["live_count"]
        if index % 5 == 4:
            site["peak_bytes"] += 4096
    held = holders(report, leak)
    order = sorted(report.sites, key=lambda s: (-s["live_bytes"], s["stack"]))
    report.blocks.sort(key=lambda b: (-b["bytes"], b["site"]))
    device = 24 * GIB if not options.big_device else 80 * GIB
    reserved = max(reserved, peak)
    biggest_hole = 96 * MIB
    duration = options.duration
    owners = {}
    for site in report.sites:
        if site["layer"] == "cuda" and site["device"] == 0 and site["owner"] != "torch":
            owners[site["owner"]] = owners.get(site["owner"], 0) + site["live_bytes"]
    used = cuda + 512 * MIB
    return {
        "schema": "vramtrack-report/1", "vramtrack_version": "0.1.0", "at": "exit",
        "process": {"pid": 4242, "ppid": 4200, "command": ["python", "train.py", "--config", "nano"], "executable": "/usr/bin/python3.11",
                    "hostname": "gpu-07", "started_at": "2026-01-12T09:30:00Z", "ended_at": "2026-01-12T09:32:31Z", "duration": duration,
                    "rank": 0, "local_rank": 0, "world_size": 2, "forked_from": None, "end": {"kind": "exit", "code": 1 if options.oom else 0}},
        "environment": {"python": "3.11.7", "torch": "2.11.0", "cuda_runtime": "13.0", "cuda_driver": "13.0", "simulated": True,
                        "devices": [{"index": 0, "name": "Simulated GPU 24GB", "total_bytes": device}]},
        "totals": totals_of(report, options),
        "ledger": [{"device": 0, "total_bytes": device, "driver_used_bytes": used, "tensors_live_bytes": live,
                    "cached_bytes": reserved - live, "largest_free_cached_block_bytes": biggest_hole,
                    "owners": [{"owner": o, "bytes": b} for o, b in owners.items()], "context_and_other_bytes": 512 * MIB}],
        "steps": {"count": options.steps, "source": "optimizer"},
        "breakdown": breakdown(report, "live_bytes"), "peak_breakdown": breakdown(report, "at_peak_bytes"),
        "sites": order, "allocations": report.blocks, "holders_at": "exit", "holders": held,
        "allocations_omitted": {"count": 0, "bytes": 0},
        "frames": report.frames,
        "timeline": timeline(report, live, peak, reserved, cuda),
        "ooms": [{"n": 1, "time": round(duration * 0.995, 3), "device": 0, "layer": "tensor", "requested_bytes": 2 * GIB,
                  "stack": leak["stack"], "live_bytes": live, "reserved_bytes": reserved}] if options.oom else [],
        "findings": findings_of(leak, options, live, reserved),
        "losses": {"dropped_events": 0, "unresolved_frames": 3, "unknown_frees": 0, "torn_records": 0, "notes": ["cuDNN is switched off on the simulated GPU"]},
    }


def findings_of(leak, options, live, reserved):
    found = [{
        "code": "history-accumulation", "severity": "error", "title": "`losses` keeps the autograd graph of every step alive",
        "message": f"`losses` (a global of train.py) holds {leak['live_count']} tensors, and each keeps its step's graph: 12.0 MiB and 214 graph nodes a step.",
        "site": leak["id"], "file": "/home/ada/nano/train.py", "line": 83, "variable": "losses", "bytes": leak["live_bytes"],
        "evidence": {"steps": options.steps - 2, "bytes_per_step": 12582912, "nodes_per_step": 214, "source": "losses.append(loss)"},
        "fix": "losses.append(loss.item())", "docs": "docs/findings/history-accumulation.md"}, {
        "code": "cache-not-leak", "severity": "info", "title": "nvidia-smi shows cache, not only tensors",
        "message": f"The allocator holds {(reserved - live) / GIB:.2f} GiB that no tensor uses. It is reused by the next allocations and is not a leak.",
        "site": None, "file": None, "line": None, "variable": None, "bytes": reserved - live,
        "evidence": {"reserved_bytes": reserved, "live_bytes": live, "largest_free_block": 96 * MIB},
        "fix": "Nothing to fix. PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True lowers fragmentation.", "docs": "docs/findings/cache-not-leak.md"}]
    if options.oom:
        found.insert(0, {
            "code": "out-of-memory", "severity": "error", "title": "Asked for 2.00 GiB, and no free piece was large enough",
            "message": "At step 296 train.py:71 asked for 2.00 GiB. The three largest call sites held 62 % of the memory.",
            "site": leak["id"], "file": "/home/ada/nano/train.py", "line": 71, "variable": None, "bytes": 2 * GIB,
            "evidence": {"requested_bytes": 2 * GIB, "live_bytes": live}, "fix": "Fix the growing site first.", "docs": "docs/findings/out-of-memory.md"})
    if options.hostile:
        for finding in found:
            finding["title"] = HOSTILE[0] + finding["title"]
            finding["variable"] = HOSTILE[1]
    if options.calm:
        return found[-1:]
    return found


def make_hostile(report):
    for index, text in enumerate(HOSTILE):
        stack = launch(report) + [report.py(text, f"/tmp/{text}.py", index + 1, text), report.native(text, text, 0, text)]
        site = add_site(report, stack, owner=text if index < 3 else "torch", evidence=text, live_bytes=0)
        add_blocks(report, site, [MIB * 40], lambda i: 5.0, lambda i: 2,
                   lambda i: tensor([3], text, "python", text, text), Arena(report.random, 0x7F8000000000 + index * GIB))


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=60)
    parser.add_argument("--blocks", type=int, default=900)
    parser.add_argument("--frames", type=int, default=0, help="about how many stack nodes to make")
    parser.add_argument("--points", type=int, default=1600)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--duration", type=float, default=151.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--holders", type=int, default=0, help="at least so many")
    parser.add_argument("--oom", action="store_true")
    parser.add_argument("--calm", action="store_true", help="no problems found")
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--big-device", action="store_true")
    parser.add_argument("-o", "--output", default="-")
    return parser.parse_args(arguments)


def main():
    options = parse()
    text = json.dumps(build(options), ensure_ascii=False)
    if options.output == "-":
        print(text)
    else:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
