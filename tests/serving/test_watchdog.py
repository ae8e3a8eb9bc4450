"""Runs that are ended."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import open_model
from lepton.core import LeptonError
from lepton.serving.watchdog import Watchdog
from tests.serving.models import write_scaled


def test_a_run_is_ended_and_the_next_is_not(tmp_path: Path) -> None:
    predictor = open_model(write_scaled(tmp_path / "slow.lepton", 1.0, layers=400, width=64))
    tensors = {"numbers": np.zeros((200_000, 64))}  # many seconds, in many nodes
    watchdog = Watchdog()
    with watchdog.watching(time.monotonic() + 3600.0), watchdog.watching(time.monotonic() + 0.05) as options:
        with pytest.raises(LeptonError):
            predictor.run(tensors, options=options)
        assert options.terminate
    assert not watchdog.stuck
    with watchdog.watching(time.monotonic() + 3600.0) as options:
        assert len(predictor.run({"numbers": np.zeros((1, 64))}, options=options)["prediction"]) == 1
    watchdog.close()


def test_a_run_that_cannot_be_ended_is_told() -> None:
    watchdog = Watchdog()
    with watchdog.watching(time.monotonic() - 3600.0) as options:
        assert watchdog.stuck
        watchdog.close()
        assert options.terminate
    assert not watchdog.stuck
