# Tensors that only a reference cycle keeps alive: unreachable from every root, and every reference to the objects
# around them comes from among those objects. The same arithmetic as the collector's, on the unreached part only.

import sys


def garbage_tensors(access, tensors, reached, objects, collector, limit=200000):
    """[(tensor, (loop as text, way from it to the tensor, class name))] for those of `tensors` that are garbage."""
    lost = [t for t in tensors if id(t) not in reached]
    if not lost:
        return []
    referents = collector.get_referents
    suspects = {}
    for o in objects:
        if id(o) not in reached:
            suspects[id(o)] = o
            if len(suspects) > limit:
                return []
    o = None
    internal = dict.fromkeys(suspects, 0)
    children = {}
    for key in suspects:
        below = [id(x) for x in referents(suspects[key]) if id(x) in suspects]
        children[key] = below
        for child in below:
            internal[child] += 1
    # what the analysis itself holds of each suspect: `objects`, `suspects`, getrefcount's argument; of tensors also
    # `tensors`, and `lost`
    in_tensors = {id(t) for t in tensors}
    in_lost = {id(t) for t in lost}
    external = []
    for key in suspects:
        held_by_us = 3 + (key in in_tensors) + (key in in_lost)
        if sys.getrefcount(suspects[key]) - held_by_us - internal[key] > 0:
            external.append(key)
    alive = set()
    while external:  # whatever a live object refers to is alive
        key = external.pop()
        if key in alive:
            continue
        alive.add(key)
        external.extend(child for child in children[key] if child not in alive)
    parents = {}
    for key, below in children.items():
        if key not in alive:
            for child in below:
                parents.setdefault(child, []).append(key)
    found = []
    for tensor in lost:
        key = id(tensor)
        if key in alive or key not in children:
            continue
        loop = _cycle_above(key, parents, children, alive)
        if loop:
            found.append((tensor, _chain_text(suspects, loop, referents)))
    suspects.clear()
    return found


def _cycle_above(key, parents, children, alive):
    """A path from an object back to itself, followed by the way from it to `key`: ids in order, or None."""
    seen = {key: None}
    queue = [key]
    for at in queue:
        loop = _path(at, at, children, alive)
        if loop:
            way = [at]
            while seen[way[-1]] is not None:
                way.append(seen[way[-1]])
            return loop, way
        for parent in parents.get(at, ()):
            if parent not in seen:
                seen[parent] = at
                queue.append(parent)
                if len(queue) > 500:
                    return None
    return None


def _path(start, goal, children, alive):
    seen = {start: None}
    queue = [start]
    for at in queue:
        for child in children.get(at, ()):
            if child == goal:
                way = [at]
                while seen[way[-1]] is not None:
                    way.append(seen[way[-1]])
                way.reverse()
                return way + [goal]
            if child not in seen and child not in alive and len(seen) < 5000:
                seen[child] = at
                queue.append(child)
    return None


def _chain_text(suspects, loop_and_way, referents):
    """`Node.parent -> Node` style text of the loop, and of the way from it to the tensor; (loop, way, class)."""
    loop, way = loop_and_way

    def text(path):
        parts = []
        for here, there in zip(path, path[1:]):
            parts.append(_step_name(suspects[here], suspects[there]))
        return parts

    names = [part for part in text(loop) if part]
    owner = ""
    for key in loop:
        if type(suspects[key]) not in (dict, list, tuple, set) and not owner:
            owner = type(suspects[key]).__name__
    return " -> ".join(names[:6]), " -> ".join(part for part in text(way) if part), owner


def _step_name(source, target):
    kind = type(source)
    if kind is dict:
        for key, value in source.items():
            if value is target:
                return "[%r]" % key if type(key) in (str, int) else ""
        return ""
    if kind in (list, tuple):
        return "%s item" % kind.__name__
    values = None
    try:
        values = object.__getattribute__(source, "__dict__")
    except Exception:
        pass
    if type(values) is dict:
        if values is target:
            return kind.__name__
        for name, value in values.items():
            if value is target:
                return "%s.%s" % (kind.__name__, name)
    if kind.__name__ == "function":
        return "function %s" % source.__name__
    return kind.__name__
