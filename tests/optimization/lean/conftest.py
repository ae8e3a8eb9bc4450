"""The model with dead weight, its steps, and short measurements."""

import pytest

from lepton.optimization.lean import loop, proving, registry
from tests.optimization.lean.ballast import STEPS, Cut, write_heavy


@pytest.fixture(scope="session")
def heavy(tmp_path_factory):
    """The model file; no test changes it."""
    return write_heavy(tmp_path_factory.mktemp("heavy") / "heavy.lepton")


@pytest.fixture
def made_steps(monkeypatch):
    """Steps of the tests alone, and what they were asked to do."""
    monkeypatch.setattr(registry, "STEPS", STEPS)
    monkeypatch.setattr(proving, "_CALLS", 30)
    monkeypatch.setattr(loop, "_BLOCK_SECONDS", 0.001)
    Cut.applied.clear()
    return Cut.applied
