"""What a forecaster's model file says of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lepton.bundle import Manifest, OutputRecord, machine
from lepton.core import Role, Schema, Work
from lepton.data import Baseline, Dataset
from lepton.training.forecast.backtest import Plan
from lepton.training.forecast.candidates import Search
from lepton.training.forecast.panel import Panel
from lepton.training.leaderboard import Leaderboard
from lepton.training.table_model import versions

__all__ = ["asset_of", "manifest_of", "report_of", "statistics_of"]

_STATISTICS_ROWS = 100_000


def asset_of(panel: Panel, plan: Plan, coverage: float) -> bytes:
    """What packing rows needs beside the columns: `assets/forecast.json`."""
    told = {"coverage": coverage, "frequency": panel.frequency.to_dict(), "season": plan.season}
    return json.dumps(told, sort_keys=True).encode()


def manifest_of(dataset: Dataset, panel: Panel, search: Search, best: str, name: str, work: Work) -> Manifest:
    """The manifest; nothing in it is measured."""
    inputs, plan = panel.inputs, search.plan
    used = set(inputs.names)
    return Manifest(
        name=name,
        task="forecast",
        inputs=inputs.columns,
        outputs=tuple(OutputRecord(each, "double", ("N", plan.horizon)) for each in ("lower", "upper", "forecast")),
        target=inputs.target,
        lineage={
            "dataset": {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows},
            "recipe": None if dataset.lineage is None else dataset.lineage.recipe.to_dict(),
            "table_steps": [],
            "parents": [str(parent["id"]) for parent in dataset.parents(files=False)],
            "seed": work.seed,
            "versions": versions(),
            "roles": {c.name: str(c.role) for c in inputs.columns if c.role is not Role.FEATURE},
            "ignored": [c.name for c in dataset.schema if c.name not in used],
            "notes": list(panel.notes),
            "metric": search.metric,
            "learner": search.candidates[best].learner,
            "configuration": {"label": search.candidates[best].label},
        },
    )


def statistics_of(dataset: Dataset, panel: Panel) -> Baseline:
    """Statistics of times, target and covariates, by which drift is seen later."""
    columns = tuple(replace(c, role=Role.FEATURE) for c in panel.inputs.columns if c.role is not Role.GROUP)
    frame = dataset.frame().select([column.name for column in columns])
    return Baseline.of(frame.gather_every(-(-frame.height // _STATISTICS_ROWS)), Schema(columns), {})


def report_of(
    board: Leaderboard, panel: Panel, plan: Plan, honest: dict[str, Any], coverage: float, work: Work
) -> dict[str, Any]:
    """`reports/training.json`."""
    return {
        **board.to_dict(),
        "task": "forecast",
        "target": panel.inputs.target.name,
        "num_series": len(panel.series),
        "num_rows": sum(map(len, panel.series)),
        "num_features": len(panel.inputs.covariates),
        "horizon": plan.horizon,
        "season": plan.season,
        "frequency": panel.frequency.text,
        "coverage": coverage,
        "later": honest,
        "within": work.within,
        "seconds": work.elapsed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": work.resources.cpus,
        "machine": machine(),
    }
