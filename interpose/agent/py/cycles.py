# Tensors that only a reference cycle keeps alive: unreachable from every root, and every reference to the objects
# around them comes from among those objects. The same arithmetic as the collector's, on the unreached part only.

import sys


def garbage_tensors(access, tensors, reached, objects, collector, limit=200000):
    """[(tensor, (loop, closing attribute, class, way to the tensor))] for those of `tensors` that are garbage."""
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
    """What to say of a loop and of the way from it to the tensor: (loop as text, `Class.attribute` that closes it,
    class, way as text). Where an instance refers to its own __dict__, the two count as one step."""
    loop, way = loop_and_way
    ring = [suspects[key] for key in loop[:-1]]
    start = 0
    for i, o in enumerate(ring):
        if _class_of_user(o):
            start = i
            break
    ring = ring[start:] + ring[:start]
    steps = _named_steps(ring + ring[:1])
    closing = owner = ""
    for source, name, target in steps:
        if _class_of_user(source) and name and (not closing or type(target) not in (dict, list, tuple, set)):
            closing, owner = "%s.%s" % (type(source).__name__, name), type(source).__name__
            if type(target) not in (dict, list, tuple, set):
                break
    text = []
    for source, name, _ in steps[:8]:
        text.append(type(source).__name__ + ("." + name if name else ""))
    path = ["%s.%s" % (type(source).__name__, name) if name else type(source).__name__
            for source, name, _ in _named_steps([suspects[key] for key in way])]
    return " -> ".join(text), closing or (text[0] if text else ""), owner, " -> ".join(path)


def _class_of_user(o):
    t = type(o)
    if t.__module__ == "__main__":
        return True
    file = module_file(t.__module__)
    return bool(file) and is_user_file(file)


def _named_steps(path):
    """[(source, attribute name or "", target)] along a path of objects."""
    steps = []
    i = 0
    while i + 1 < len(path):
        source, target = path[i], path[i + 1]
        values = None
        try:
            values = object.__getattribute__(source, "__dict__") if type(source) is not dict else None
        except Exception:
            pass
        name = ""
        if type(values) is dict:
            if values is target and i + 2 < len(path):
                target = path[i + 2]
                i += 1
            for key in list(values):
                if values[key] is target:
                    name = str(key)
        elif type(source) is dict and len(path) - i > 1:
            i += 1
            continue  # an element of a dict: the step into the dict has been named
        steps.append((source, name, target))
        i += 1
    return steps
