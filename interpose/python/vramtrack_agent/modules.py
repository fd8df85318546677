# The largest layers: what each nn.Module itself holds as weights, gradients and optimizer state.


def optimizer_bytes(access, optimizers):
    """id of a parameter -> bytes of its optimizer state on the device."""
    found = {}
    for optimizer in optimizers:
        values = object.__getattribute__(optimizer, "__dict__")
        for parameter, state in list((values.get("state") or {}).items()):
            if hasattr(state, "values"):
                total = 0
                for value in list(state.values()):
                    for one in value if type(value) in (list, tuple) else (value,):
                        total += access.bytes(one)
                found[id(parameter)] = total
    return found


def largest_modules(access, roots, optimizers, top=8):
    """[{name, class, in, out, weight, grad, optimizer, root}] of single modules, largest weights first, and what all of
    them hold. `roots`: [(variable, root module)]; `root` of an entry is an index of it."""
    state = optimizer_bytes(access, optimizers)
    found = []
    total = 0
    seen = set()
    for number, (variable, root) in enumerate(roots):
        for name, module in module_entries(access, root, variable):
            values = object.__getattribute__(module, "__dict__")
            weight = grad = kept = 0
            largest = None
            for parameter_name, parameter in list((values.get("_parameters") or {}).items()):
                if parameter is None or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                size = access.bytes(parameter)
                weight += size
                gradient = access.grad(parameter) if access.is_leaf(parameter) else None
                grad += access.bytes(gradient) if gradient is not None else 0
                gradient = None
                kept += state.get(id(parameter), 0)
                if largest is None or size > largest[0]:
                    largest = (size, parameter_name, list(access.shape(parameter)))
            if weight:
                total += weight + grad + kept
                found.append({"n": name, "c": type(module).__name__, "i": _number(values.get("in_features")),
                              "o": _number(values.get("out_features")), "p": largest[1], "s": largest[2],
                              "w": weight, "g": grad, "x": kept, "root": number})
    found.sort(key=lambda entry: -(entry["w"] + entry["g"] + entry["x"]))
    return found[:top], total


def _number(value):
    return value if type(value) is int else None
