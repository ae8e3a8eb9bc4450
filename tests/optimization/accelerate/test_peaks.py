"""The peaks of a machine."""

import pytest

from lepton.core import Resources
from lepton.optimization.accelerate import peaks


def test_peaks_are_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "_SIDE", 16)
    monkeypatch.setattr(peaks, "_BYTES", 1 << 10)
    times = iter(range(1_000))
    found = peaks.measure_peaks(Resources(cpus=2), lambda: float(next(times)))  # each call takes a second
    assert found.flops == found.flops_all == 2 * 16**3
    assert found.bandwidth == 2 << 10
    assert found.cache_bandwidth == 2 << 18
    assert found.threads == 2
