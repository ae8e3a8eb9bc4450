"""What may be said of scans and videos."""

from __future__ import annotations

import pytest

from lepton.core import UsageError
from lepton.data.media.scans.options import FrameOptions


@pytest.mark.parametrize(
    "media",
    [
        {"windows": (1, 2)},
        {"window": 40},
        {"window": (40, 0)},
        {"window": (float("nan"), 1)},
        {"axis": "z"},
        {"rate": 0},
        {"rate": "fast"},
        {"rate": True},
        {"most_frames": 0},
        {"most_frames": 1.5},
        {"most_frames": 10**9},
        {"ids": "short"},
        ["axis"],
    ],
)
def test_what_cannot_be_meant_is_refused(media):
    with pytest.raises(UsageError):
        FrameOptions.of(media)


def test_a_key_is_never_shown():
    with pytest.raises(UsageError) as caught:
        FrameOptions.of({"ids": "secret"})
    assert "secret" not in str(caught.value)
    assert "long enough" not in repr(FrameOptions.of({"ids": "this is long enough"}))


def test_what_is_said_is_taken():
    assert FrameOptions.of({"window": ["40", 400], "axis": "coronal"}).window == (40.0, 400.0)
