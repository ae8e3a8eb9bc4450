"""What was done about unfairness, kept in the model file: nothing of it is silent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lepton.bundle import add_report, machine, read_bundle
from lepton.core import ErrorCode, UsageError
from lepton.evaluation.fairness.reweighing import Reweighing
from lepton.evaluation.fairness.thresholds import GroupThresholds

__all__ = ["REPORT", "keep_mitigation"]

REPORT = "mitigation"
"""Name of the report in the model file; its card shows it."""
_MOST = 50


def keep_mitigation(path: str | os.PathLike[str], *steps: Reweighing | GroupThresholds) -> None:
    """Add records of what was done to the model file, behind earlier ones; the model stays as it is.

    Args:
        path: the model file that was trained on the reweighed rows, or whose answers the thresholds decide.
        steps: what `reweigh` and `choose_thresholds` gave.

    Raises:
        UsageError: no steps, or more than 50 in all.
        BundleError: the file is not in order.
    """
    earlier = read_bundle(path).reports.get(REPORT, {}).get("steps")
    kept: list[Mapping[str, Any]] = (
        [each for each in earlier if isinstance(each, dict)] if isinstance(earlier, list) else []
    )
    if not steps or len(kept) + len(steps) > _MOST:
        raise UsageError(ErrorCode.USAGE, f"got {len(steps)} steps", wanted=f"1 to {_MOST}, with those in the file")
    report = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "steps": [*kept, *(each.to_dict() for each in steps)],
    }
    add_report(path, REPORT, report)
