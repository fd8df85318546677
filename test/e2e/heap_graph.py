"""Reads the graphs that `vramtrack dump` prints."""

import re
import shlex
import subprocess
from collections import defaultdict

from conftest import VRAMTRACK

FLAGS = {"root": 1, "user_code": 2, "main": 4, "parameter": 8, "buffer": 16, "requires_grad": 32, "leaf": 64, "view": 128,
         "garbage": 256, "unseen_holder": 512, "suspended": 1024, "module_frame": 2048, "cut": 4096, "gradient": 8192,
         "nn_module": 1 << 14, "optimizer": 1 << 15, "exception": 1 << 16, "frozen": 1 << 17, "segment": 1 << 18}
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def _value(text):
    if text.startswith('"'):
        return text[1:-1].encode().decode("unicode_escape") if "\\" in text else text[1:-1]
    return int(text, 0) if re.fullmatch(r"-?\d+|0x[0-9a-f]+", text) else text


def _fields(line):
    return {name: _value(value) for name, value in _FIELD.findall(line)}


class Graph:
    def __init__(self, record):
        self.record, self.notes, self.nodes, self.edges = record, [], [], defaultdict(list)

    def flag(self, node, name):
        return bool(self.nodes[node].get("flags", 0) & FLAGS[name])

    def find(self, **wanted):
        return [i for i, node in enumerate(self.nodes) if all(node.get(k) == v for k, v in wanted.items())]

    def follow(self, node, labels):
        """The nodes at the end of a way: labels as the dump prints them, one after the other."""
        reached = {node}
        for label in labels:
            reached = {to for at in reached for to, edge in self.edges[at] if edge["label"] == label}
        return reached

    def addresses(self, nodes):
        """Device addresses of tensors' first elements, and of the storages that nodes lead to directly."""
        return {self.nodes[i]["data_address"] for i in nodes if "data_address" in self.nodes[i]}


def graphs(trace):
    done = subprocess.run([str(VRAMTRACK), "dump", str(trace)], capture_output=True, text=True, check=True)
    found = []
    for line in done.stdout.splitlines():
        if line.startswith("graph "):
            found.append(Graph(_fields(line)))
        elif line.startswith("graph_node "):
            found[-1].nodes.append(_fields(line))
        elif line.startswith("graph_edge "):
            _, _, source, target, rest = line.split(" ", 4)
            found[-1].edges[int(source)].append((int(target), _fields(rest)))
        elif line.startswith("graph_note "):
            found[-1].notes.append(shlex.split(line)[2])
    return found
