"""What a model file tells of its training: the lineage, which can be made again, and reports, which are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lepton.bundle import machine
from lepton.core import Role, Work
from lepton.data import Dataset
from lepton.evaluation import Metric
from lepton.training.automl import Found
from lepton.training.honesty import doubts_and_errors, importance_of, left_of
from lepton.training.leaderboard import Leaderboard
from lepton.training.options import cost_notes
from lepton.training.portfolio import Chosen, Portfolio
from lepton.training.prepared import PreparedTable
from lepton.training.table_model import versions
from lepton.training.words import in_words

__all__ = ["board_of", "lineage_of", "reports_of"]


def lineage_of(
    dataset: Dataset, fingerprint: str, table: PreparedTable, chosen: Chosen, metric: Metric, work: Work
) -> dict[str, Any]:
    """Where the model comes from: nothing in it is measured or dated, so that it can be made again."""
    return {
        "dataset": {"fingerprint": fingerprint, "num_rows": dataset.num_rows},
        "recipe": None if dataset.lineage is None else dataset.lineage.recipe.to_dict(),
        "table_steps": [] if table.front is None else list(table.front.table_steps),
        "parents": [str(parent["id"]) for parent in dataset.parents(files=False)],
        "seed": work.seed,
        "versions": versions(),
        "roles": {c.name: str(c.role) for c in dataset.schema if c.role is not Role.FEATURE},
        "ignored": list(table.features.ignored),
        "notes": list(table.notes),
        "metric": metric.name,
        "options": {
            "class_weights": list(table.problem.class_weights),
            "costs": [list(row) for row in table.problem.costs],
            "monotone": dict(table.problem.monotone),
            **({} if table.problem.coverage is None else {"coverage": table.problem.coverage}),
            **({"quantiles": list(table.problem.quantiles)} if table.problem.quantiles else {}),
            **({"learners": list(table.problem.learners)} if table.problem.learners else {}),
            **({"keep_rows": True} if table.problem.keep_rows else {}),
        },
        "learner": chosen.learner.name,
        "configuration": dict(chosen.learner.configuration),
    }


def board_of(
    table: PreparedTable, portfolio: Portfolio, chosen: Chosen, before: Sequence[str], after: Sequence[str]
) -> Leaderboard:
    """Every candidate, and all that is to be said: `before` and `after` what the portfolio and the costs say."""
    costs = cost_notes(table, chosen.scored, chosen.answers)
    return Leaderboard(
        portfolio.metric.name,
        portfolio.metric.greater_is_better,
        portfolio.leaderboard_rows(chosen.candidate),
        (*table.notes, *before, *chosen.notes, *costs, *after),
    )


def reports_of(
    dataset: Dataset,
    table: PreparedTable,
    portfolio: Portfolio,
    chosen: Chosen,
    board: Leaderboard,
    found: Found | None,
    limits: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """`reports/training.json` and, after a search, `reports/search.json`.

    What makes the score doubtful is looked for as far as the time goes; what was left out for it is said.
    """
    work = portfolio.work
    search = None if found is None else _search_report(table, portfolio, found)
    honest = doubts_and_errors(dataset, table, portfolio, chosen, search)
    several = table.problem.task == "multilabel"
    training = {
        **board.to_dict(),
        "task": table.problem.task,
        "target": list(table.target.labels or ()) if several else table.target.column.name,
        "num_rows": table.problem.num_rows,
        "num_features": len(table.features.columns),
        "within": work.within,
        "seconds": work.elapsed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": work.resources.cpus,
        "machine": machine(),
        "limits": limits,
        "words": list(in_words(table, chosen)),
        **honest,
    }
    return {"training": training} if search is None else {"training": training, "search": search}


def _search_report(table: PreparedTable, portfolio: Portfolio, found: Found) -> dict[str, Any]:
    closer = found.closer
    seconds = min(found.look_seconds, left_of(portfolio, 1.0))
    shown = importance_of(table, closer.learner, closer.fold, portfolio.metric, seconds, portfolio.work)
    return {**found.report, "importance": shown}
