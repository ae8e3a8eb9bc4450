"""What would have to be different for a row to get another answer: the nearest rows that are possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, Work
from lepton.data import Dataset

__all__ = ["Counterfactuals", "counterfactuals"]


@dataclass(frozen=True)
class Counterfactuals:
    """Rows near one row that get another answer."""

    model: str


def counterfactuals(
    predictor: Predictor,
    row: Any,
    *,
    wanted: Any = None,
    k: int = 3,
    immutable: Sequence[str] = (),
    ranges: Mapping[str, Any] | None = None,
    max_changes: int | None = None,
    data: Dataset | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Counterfactuals:
    """The nearest rows that get the wanted answer."""
    raise UsageError(ErrorCode.USAGE, f"nothing is searched for '{predictor.manifest.name}' yet")
