"""What a verification measured, part by part, as facts."""

from __future__ import annotations

from typing import Any

from lepton.evaluation.card.described import Reports
from lepton.evaluation.card.facts import Told, mapping_of
from lepton.evaluation.metrics import METRICS

__all__ = ["VERIFICATION", "VERIFY", "measured", "metric_title"]

VERIFICATION = "verification"
VERIFY = "lepton verify MODEL --data ROWS --rules RULES, with the rule "


def measured(reports: Reports, part: str) -> tuple[Told | None, Any]:
    """What a verification measured of one part, and where it says so; None and None where there is none."""
    if VERIFICATION not in reports:
        return None, None
    told = Told(VERIFICATION, reports[VERIFICATION])
    return told, mapping_of(told.report.get("measured")).get(part)


def metric_title(name: str) -> str:
    """A metric as it is shown."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")
