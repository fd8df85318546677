"""CUDA used in odd ways (test/corpus/doors/unusual.cpp): refused frees, overlapping registrations, partial unmaps,
contexts destroyed from elsewhere. Nothing that the program sees changes, and what is live is what the driver says."""

import re
import subprocess

import pytest

from test_hooks import PROGRAMS, sim_environment
from test_hooks_clients import NO_LOSSES, kinds, traced_equals_books

# Mode -> the kinds of what is live at its end.
MODES = {
    "refused": {"device": 1},
    "registered": {"host_pinned": 1, "registered": 1},
    "shapes": {"array": 8, "device": 3},
    "pools": {"pool": 5},
    "mappings": {"vmm": 6},
    "contexts": {"device": 2, "pool": 1},
    "reset_under_threads": {"device": 1},
    "captured": {"graph": 1, "pool": 1},
}


@pytest.mark.parametrize("mode", MODES)
def test_unchanged_and_exact(mode, tmp_path):
    command = [str(PROGRAMS / "door_unusual"), mode]
    # There the program frees what a reset has freed before and another thread may have been given since: such frees
    # are counted as losses, whose number is the scheduler's.
    losses = {} if mode == "reset_under_threads" else NO_LOSSES
    recorded, output = traced_equals_books(None, tmp_path, command, losses=losses, with_output=True)
    plain = subprocess.run(
        command, env=sim_environment(tmp_path, trace=False), capture_output=True, text=True, timeout=120
    )
    assert plain.returncode == 0, plain.stderr

    def without_addresses(text):
        return re.sub(r"0x[0-9a-f]+", "0x", text)

    assert without_addresses(output) == without_addresses(plain.stdout)
    live = kinds(recorded)
    assert {kind: live.count(kind) for kind in live} == MODES[mode]
