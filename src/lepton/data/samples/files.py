"""Where the sample tables are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from lepton.core import ErrorCode, UsageError

__all__ = ["SAMPLES", "sample"]

SAMPLES = ("beijing_air",)
"""Names of the sample tables."""


def sample(name: str) -> Path:
    """The file of the sample table `name`.

    >>> sample("beijing_air").name
    'beijing_air.csv'

    Raises:
        UsageError: there is no such sample.
    """
    if name not in SAMPLES:
        raise UsageError(ErrorCode.USAGE, f"got the sample {name!r}", wanted="one of " + ", ".join(SAMPLES))
    return Path(str(files("lepton.data.samples") / f"{name}.csv"))
