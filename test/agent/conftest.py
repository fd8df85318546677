"""The agent as a package of the source tree, with the stand-in of its native half (vramtrack_agent/native.py)."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "interpose" / "python" / "vramtrack_agent"
sys.path.insert(0, str(PACKAGE.parent))


@pytest.fixture
def facts():
    """What an analysis has written, from now on: (name, value, n). Each is as its rows say."""
    from fact_table import check_fact
    from vramtrack_agent import native

    native.facts.clear()
    yield native.facts
    for name, value, _ in native.facts:
        check_fact(name, value)


@pytest.fixture
def access():
    """Reads tensors of the CPU, as the agent reads those of a device."""
    import torch
    from vramtrack_agent.tensors import Access, guard

    with guard(torch):
        yield Access(torch, "is_cpu")
