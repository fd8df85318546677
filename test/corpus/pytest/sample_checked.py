"""Run by test_package.py with the pytest plugin (not by the suite itself)."""

import pytest
import torch

KEPT = []


@pytest.fixture
def weights():
    return torch.zeros(4 << 20, dtype=torch.uint8, device="cuda")


@pytest.mark.vramtrack(limit="8 MiB")
def test_within(weights):
    total = torch.zeros(2 << 20, dtype=torch.uint8, device="cuda")
    assert total.numel() == 2 << 20


@pytest.mark.vramtrack(limit="8 MiB")
def test_over_its_limit():
    torch.zeros(9 << 20, dtype=torch.uint8, device="cuda")


@pytest.mark.vramtrack(no_leaks=True)
def test_leaks():
    KEPT.append(torch.zeros(3 << 20, dtype=torch.uint8, device="cuda"))


@pytest.mark.vramtrack(no_leaks=False)
def test_may_leave_something():
    KEPT.append(torch.zeros(1 << 20, dtype=torch.uint8, device="cuda"))


@pytest.mark.vramtrack
def test_workspaces_and_cycles_are_no_leak():
    class Node:
        pass

    node = Node()
    node.self, node.tensor = node, torch.ones(64, 64, device="cuda")
    node.tensor @ node.tensor


@pytest.mark.vramtrack
def test_fails_for_its_own_reason():
    kept = torch.zeros(1 << 20, device="cuda")
    assert kept is None


def test_unmarked():
    KEPT.append(torch.zeros(1 << 20, dtype=torch.uint8, device="cuda"))


@pytest.fixture
def model():
    return torch.nn.Linear(512, 512).cuda()


@pytest.fixture
def lent():
    own = torch.nn.Linear(512, 512).cuda()
    yield own


@pytest.fixture(scope="module")
def shared():
    return torch.nn.Linear(512, 512).cuda()


@pytest.mark.vramtrack
def test_gradients_end_with_their_fixture(model, lent):
    lent(model(torch.ones(8, 512, device="cuda"))).sum().backward()


@pytest.mark.vramtrack
def test_gradients_of_the_module_stay(shared):
    shared(torch.ones(8, 512, device="cuda")).sum().backward()
