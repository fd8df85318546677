"""contract/facts.def as the agent's facts are checked against it: interpose/python/fact_values.cpp does so in a process."""

import re

from conftest import ROOT

TABLE = (ROOT / "contract" / "facts.def").read_text()
FORMS = dict(re.findall(r'^FACT\((\w+), "[^"]+", (\w+)', TABLE, re.M))
FIELDS = {}
for _fact, _name, _type, _what in re.findall(r'^FACT_FIELD\((\w+), \d+, (\w+), (\w+), "([^"]*)"', TABLE, re.M):
    FIELDS.setdefault(_fact, {})[_name] = (_type, re.search("`([^`]+)`|$", _what)[1])


def is_number(value):
    return type(value) is int and 0 <= value < 1 << 64


def check_map(of, value):
    assert type(value) is dict and not value.keys() - FIELDS[of].keys(), (of, value)
    for name, inner in value.items():
        check_field(of, name, inner)


def check_row(of, value):
    assert isinstance(value, (list, tuple)) and len(value) <= len(FIELDS[of]), (of, value)
    for name, inner in zip(FIELDS[of], value):
        check_field(of, name, inner)


def check_each(check, of, value):
    assert isinstance(value, (list, tuple)), (of, value)
    for inner in value:
        check(of, inner)


def check_field(of, name, value):
    kind, part = FIELDS[of][name]
    if value is None:
        return
    if kind == "part":
        check_map(part, value)
    elif kind in ("parts", "rows"):
        check_each(check_map if kind == "parts" else check_row, part, value)
    else:
        of_type = {"number": is_number, "text": lambda one: type(one) is str, "flag": lambda one: type(one) is bool}
        each = value if kind in ("numbers", "texts") else [value]
        assert isinstance(each, (list, tuple)) and all(map(of_type[kind.rstrip("s")], each)), (of, name, value)


def check_fact(name, value):
    form = FORMS[name]
    if form == "text":
        assert type(value) is str
    elif form == "map":
        check_map(name, value)
    else:
        check_each(check_map if form == "list" else check_row, name, value)
