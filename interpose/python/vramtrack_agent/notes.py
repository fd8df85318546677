# The analyses and what they write into the trace (docs/agent-notes.md lists the keys).
# Order inside each: refcount questions first, then walks that hold objects, then everything is dropped, then I/O.

import collections
import itertools
import json
import re
import sys
import types

_looks = {"module_bytes": 0, "lines": {}}


def _note(key, value, n):
    native_note(key, without_lone_surrogates(json.dumps(value, separators=(",", ":"))), n)


def without_lone_surrogates(text):
    """JSON as the trace takes it. A path may hold bytes that are not text: their escapes are no valid UTF-8."""
    return re.sub(r"\\ud[89a-f][0-9a-f]{2}", "?", text) if "\\ud" in text else text


def take_look(why):
    """A short look at the running frames: what their variables hold, how far its graphs reach, dead locals."""
    torch = sys.modules["torch"]
    step, live_bytes, live_count, height = native_state()
    access = Access(torch)
    modules = None
    with guard(torch):
        frames = all_frames()
        dead = [_dead_entry(item) for item in dead_locals(frames, access.bytes, access.alone, why != "height")[:5]]
        walk = Walk(access, max_objects=60000, seconds=0.03, wide=False)
        walk.hide(globals())
        add_frame_roots(walk, frames, user_only=True)
        walk.run()
        if why != "height":  # what no name leads to
            add_library_frame_roots(walk, frames)
            if why == "growth":
                add_suspended_roots(walk)
            walk.run()
        frames.clear()
        groups = _groups(access, walk)
        _spans(access, groups, 8000)
        entries = _group_entries(walk, groups)
        modules = _module_note(access, walk, step)
        walk.clear()
        groups.clear()
    _trees.clear()
    note = {"why": why, "step": step, "live": live_bytes, "blocks": live_count, "holders": entries, "dead": dead}
    if why == "height":
        note["height"] = height
    _note("looks[]", [note], 0)
    if modules is not None:
        _note("modules", modules, 0)
    capture_look()


def _dead_entry(item):
    total, count, name, frame, stays, module = item
    code = frame.f_code
    return {"v": name, "b": total, "c": count, "fn": frame_name(frame), "f": code.co_filename,
            "l": growth_line(code.co_filename, code.co_name, code.co_firstlineno, name)[0] or frame.f_lineno,
            "at": frame.f_lineno, "stays": stays, "module": bool(module)}


class Group:
    """Tensors with one holder expression, indices blanked."""

    __slots__ = ("text", "at", "last", "count", "bytes", "graph", "starts", "span", "bounded")

    def __init__(self, text, at):
        self.text, self.at, self.last = text, at, at
        self.count = self.bytes = self.graph = 0
        self.starts, self.span, self.bounded = [], None, 0


def _groups(access, walk):
    """Groups the tensors that a walk found, module parameters, buffers and gradients left out."""
    places = {}  # (parent, kind) of elements of a container, (position, kind) of others -> Group, None: left out
    groups = {}
    kinds, parents, objects = walk.kinds, walk.parents, walk.objects
    for at in itertools.chain(walk.tensors, walk.histories):
        kind = kinds[at]
        element = kind in (INDEX, KEY, MEMBER)
        place = (parents[at], kind) if element else (at, kind)
        group = places.get(place, place)
        if group is place:
            group = places[place] = _group_of(access, walk, at, groups)
        if group is None:
            continue
        tensor = objects[at]
        group.last = at
        group.count += 1
        group.bytes += access.bytes(tensor)
        node = access.graph(tensor)
        if node is not None:
            group.graph += 1
            if len(group.starts) < 2000:
                group.starts.append(node)
    return groups


def _group_of(access, walk, at, groups):
    """The group of a tensor, or None for what is a module's or an optimizer's."""
    kind, owner = walk.kinds[at], walk.objects[walk.parents[at]]
    if kind == GRAD or walk.below_optimizer(at):
        return None
    if access.kind(owner) == "m":
        values = object.__getattribute__(owner, "__dict__")
        label = walk.labels[at]
        if label in (values.get("_parameters") or ()) or label in (values.get("_buffers") or ()):
            return None
    text = pattern(walk.describe(at))
    if kind == KEY and _is_collection(owner):
        text = text[: text.rindex("[")] + "[]"
    group = groups.get(text)
    if group is None:
        group = groups[text] = Group(text, at)
        group.bounded = _bound(owner) if kind in (INDEX, KEY) else 0
    return group


def _bound(container):
    """The size that a container cannot exceed, or 0."""
    line = type.__dict__["__mro__"].__get__(type(container))
    if collections.deque in line:
        return collections.deque.maxlen.__get__(container) or 0
    if LRU in line:
        return LRU.cache_info(container).maxsize or 0
    return 0


def _is_collection(mapping):
    """Whether a mapping has so many keys that they are data, not names."""
    return dict in type.__dict__["__mro__"].__get__(type(mapping)) and dict.__len__(mapping) > 16


def _spans(access, groups, budget):
    """Walks the graphs of the groups, largest number of tensors first, within one budget of nodes."""
    for group in sorted(groups.values(), key=lambda g: -g.count):
        if group.starts and budget > 100:
            group.span = walk_graph(access, group.starts, budget)
            budget -= group.span.nodes // 2
        group.starts = []
    for text in [text for text, group in groups.items() if not group.bytes]:  # host tensors
        if groups[text].span is None or not groups[text].span.on_device:
            del groups[text]


def _where(walk, at, last=None):
    """(variable, file, line of the statement that makes it grow, function, whether that statement adds to it, class
    that it is an attribute of, whether the source limits it) of a holder.

    Of a group of tensors (`at` its first, `last` its last) what grows is the container at which their ways part:
    `errors` of `errors[0].__traceback__... local batch` and `errors[7]. ...`. Parts of library objects are not named:
    `results`, not `results.queue`."""
    way = walk.path(at)
    if last is not None and last != at:
        common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(way, walk.path(last))))
        way = way[: max(common, 2)]
    root = walk.roots.get(way[0]) or Root("?")
    file, function, first, name, key, of_class = root.file, root.function, root.first_line, "", None, ""
    shown = way[min(1, len(way) - 1)]
    for position in way[1:]:
        kind, label = walk.kinds[position], walk.labels[position]
        source, owner = walk.objects[walk.parents[position]], None
        if kind in (INDEX, KEY, MEMBER, ANY):
            if kind == KEY and type(label) is str and key is None:
                key, shown = label, position
            continue
        if kind in (CLOSURE, DEFAULT) and type(source) is type(_where):
            code = source.__code__
            file, function, first = code.co_filename, code.co_name, code.co_firstlineno
        elif kind == LOCAL and walk.parents[position] not in walk.roots:
            frame = source if type(source) is types.FrameType else None
            if type(source) in _SUSPENDED:
                frame = getattr(source, _SUSPENDED[type(source)])
            if frame is None or not is_user_file(frame.f_code.co_filename):
                continue
            file, function, first = frame.f_code.co_filename, frame.f_code.co_name, frame.f_code.co_firstlineno
        elif kind == ATTRIBUTE and walk.parents[position] not in walk.roots:
            owner = source if type(source) is type else type(source)
            if walk.user_type(owner) or root.library:
                file, function, first = module_file(owner.__module__) or file, "", 0
            elif name and walk.access.kind(source) != "m":
                continue
        name, key, shown = str(label), None, position
        of_class = type.__dict__["__name__"].__get__(owner) if owner is not None else ""
    question = (file, function, first, name, key, of_class)
    found = _looks["lines"].get(question)
    if found is None:
        found = _growth(*question) + (bool(file and name) and limited_in_source(file, function, first, name, of_class),)
        _looks["lines"][question] = found
    variable = pattern(walk.text(shown))
    for word in (" closure ", " default ", " local "):
        if word in variable:
            variable = variable[variable.rindex(word) + len(word):]
    return variable, file, found[0], root.name if root.frame_local else "", found[1], of_class, found[2]


def _growth(file, function, first, name, key=None, of_class=""):
    return growth_line(file, function, first, name, key, of_class) if file and name else (0, False)


def _group_entries(walk, groups, top=12):
    """JSON of the groups that matter: most bytes, most tensors, widest graphs."""
    chosen = {}
    for rank in (lambda g: -g.bytes, lambda g: -g.count, lambda g: -(len(g.span.steps) if g.span else 0),
                 lambda g: -(g.span.nodes if g.span else 0)):
        for group in sorted(groups.values(), key=rank)[:top]:
            chosen[group.text] = group
    entries = []
    for group in chosen.values():
        found, text = _where(walk, group.at, group.last), group.text
        if group.span is not None and len(group.span.steps) > 2 and not found[4]:
            # `average = meter.update(loss)` is one more name of what `self.average` accumulates.
            for at in walk.other_ways(group.at):
                other = _where(walk, at)
                if other[4]:
                    found, text = other, pattern(walk.describe(at))
                    break
        variable, file, line, function, grows, of_class, limited = found
        entry = {"h": text, "v": variable, "f": file, "l": line, "fn": function, "c": group.count,
                 "b": group.bytes, "g": group.graph}
        if grows:
            entry["k"] = 1
        if limited:
            entry["lim"] = 1
        if of_class:
            entry["o"] = of_class
        if group.bounded:
            entry["max"] = group.bounded
        span = group.span
        if span is not None:
            entry["nodes"], entry["all"] = span.nodes, span.complete
            entry["steps"] = len(span.steps)
            if len(span.steps) > 2:
                native_suspect(1)
            if span.steps:
                entry["s0"], entry["s1"] = min(span.steps), max(span.steps)
            entry["uses"] = span.most_used
            if span.sequence:
                entry["seq"], entry["seqb"] = span.sequence, sum(span.sequence_saved.values())
            repeated = sorted(span.types.items(), key=lambda item: -item[1])[:3]
            entry["types"] = [[name, count] for name, count in repeated]
        entries.append(entry)
    return entries


def _module_note(access, walk, step):
    places = [at for at in walk.modules if type(walk.objects[at]) is not type]
    roots = [(walk.text(at), walk.objects[at]) for at in places]
    if not roots:
        return None
    optimizers = [walk.objects[at] for at in walk.optimizers]
    entries, total = largest_modules(access, roots, optimizers)
    if total <= _looks["module_bytes"] * 1.01:
        return None
    _looks["module_bytes"] = total
    for number, entry in enumerate(entries):
        at = places[entry.pop("root")]
        if number < 2:
            entry["f"], entry["l"] = _module_line(walk, at, entry["n"])
    return {"step": step, "total": total, "modules": entries}


def _module_line(walk, root, name):
    """(file, line) of the statement that makes a module, `model.net.0` below the root `model` at this position: the
    nearest name above it that is assigned in the user's own class or module."""
    parts = name[len(walk.text(root)):].strip(".").split(".") if name != walk.text(root) else []
    chain = [walk.objects[root]]
    for part in parts:
        inner = (object.__getattribute__(chain[-1], "__dict__").get("_modules") or {}).get(part)
        if inner is None:  # a name with a dot in it
            break
        chain.append(inner)
    parts = parts[:len(chain) - 1]
    while len(chain) > 1:
        owner = type(chain[-2])
        if walk.user_type(owner):
            file = module_file(owner.__module__)
            line = _growth(file, "", 0, parts[-1])[0]
            if line:
                return file, line
        chain.pop()
        parts.pop()
    return _where(walk, root)[1:3]


def _each(*parts):
    """Runs the parts of an analysis; one that fails is noted and leaves the others alone."""
    for part in parts:
        try:
            part()
        except BaseException as error:
            if not _ours(error):
                raise
            native_note("agent_error[]", _describe(error), 0)
            error.__traceback__ = error.__context__ = error.__cause__ = None  # its frames hold what the part met


def exit_analysis():
    _each(lambda: note_segments(sys.modules["torch"]), lambda: _full_analysis(0, [], None),
          lambda: capture_graph(MOMENT_exit))


def oom_analysis(n, device, requested):
    torch = sys.modules["torch"]
    with guard(torch):
        access = Access(torch)
        frames = all_frames()
        dead = [_dead_entry(item) for item in dead_locals(frames, access.bytes, access.alone, True)[:8]]
        _each(lambda: note_segments(torch), lambda: _full_analysis(n, frames, dead), frames.clear,
              lambda: capture_graph(MOMENT_out_of_memory, n))


def _full_analysis(n, frames, dead):
    """Facts of every tensor alive: roles, names, holders, graphs, cycles. Writes notes for OOM `n`, or 0 at exit."""
    torch = sys.modules["torch"]
    access = Access(torch)
    collector = real_gc()
    step, live_bytes, live_count, _ = native_state()
    values = {}
    with guard(torch):
        objects = collector.get_objects()
        tensors, modules, optimizers = access.scan(objects)
        walk = Walk(access)
        for mine in (globals(), objects, tensors, modules, optimizers, frames):
            walk.hide(mine)
        walk.wanted = access.histories.union(access.known)
        if not frames:
            add_user_modules(walk)
        add_frame_roots(walk, frames or all_frames())
        add_user_modules(walk)
        add_last_exception(walk)
        if walk.wanted or collector.get_freeze_count():
            walk.run(30000)
        if walk.wanted:
            if not collector.get_freeze_count():
                walk.wanted = can_be_met(access, tensors, walk.wanted, objects, collector)
            walk.run()
        if walk.wanted:
            add_all_modules(walk)
            walk.run()
        tensors.extend(walk.objects[at] for at in walk.tensors if id(walk.objects[at]) not in access.known)  # frozen
        position = {id(walk.objects[at]): at for at in walk.tensors}

        roles = Roles(access)
        names = {id(walk.objects[at]): walk.text(at) for at in walk.modules}
        roles.add_modules(modules, lambda module: names.get(id(module)))
        roles.add_optimizers(optimizers)
        groups = _groups(access, walk)
        starts = [node for node in (access.graph(t) for t in tensors[:20000]) if node is not None]
        saved = walk_graph(access, starts, 20000, saved=True).saved
        starts = None
        _spans(access, groups, 40000)
        values["history_graph"] = {"step": step, "holders": _group_entries(walk, groups)}
        groups.clear()
        tensor_text = tensor_note(access, walk, tensors, position, roles, saved)
        note = _module_note(access, walk, step)
        if note is not None:
            values["modules"] = note
        roots = [(names.get(id(module), ""), module) for module in root_modules(access, modules)]
        seen_text = seen_note(access, roots, optimizers)
        roots.clear()
        if walk.wanted and walk.complete:
            garbage = garbage_tensors(tensors, walk.wanted, walk.seen, objects, (tensors, modules, optimizers), collector)
            cycles = {}
            for tensor, (loop, closing, owner, way) in garbage:
                entry = cycles.setdefault(closing, {"loop": loop, "way": way, "v": closing, "c": owner, "b": 0, "n": 0,
                                                    "a": []})
                gradient = access.grad(tensor) if access.is_leaf(tensor) else None
                for one in (tensor,) if gradient is None else (tensor, gradient):
                    entry["b"] += access.bytes(one)
                    entry["n"] += 1
                    if len(entry["a"]) < 64:
                        entry["a"].append(access.address(one))
            tensor = gradient = one = garbage = None
            if cycles:
                for entry in cycles.values():
                    entry["f"], entry["l"] = _class_line(entry["c"], entry["v"].rpartition(".")[2])
                values["cycles"] = list(cycles.values())[:20]
        if dead is not None:
            values["dead_locals"] = {"live": live_bytes, "step": step, "dead": dead}
        values["state"] = {"step": step, "live": live_bytes, "blocks": live_count, "tensors": len(tensors),
                          "complete": walk.complete}
        walk.clear()
        for part in (objects, tensors, modules, optimizers, frames):
            part.clear()
        position = names = roles = saved = None
    _trees.clear()
    native_note("tensors", tensor_text, n)
    if seen_text:
        native_note("seen[]", seen_text, 0)
    tensor_text = None
    for key, value in values.items():
        _note(key, value, n)


def _class_line(name, attribute):
    """(file, line) of the statement that sets an attribute of a user class of that name, else of the class."""
    import ast

    for module in list(sys.modules):
        file = module_file(module)
        tree = _tree(file) if file and is_user_file(file) else None
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.ClassDef) and node.name == name:
                return file, _best_in(node, attribute, None)[1] or _best_in(tree, attribute, None)[1] or node.lineno
    return "", 0
