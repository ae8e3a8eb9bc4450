"""What makes a score doubtful: leaks, identifiers, drift, unlike folds, unlike groups, too few rows.

Each check says what was seen and what to do about it. None of them proves anything: they are thresholds on things
that were measured, far enough out that chance is no explanation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.core import ColumnRecord, Kind
from lepton.evaluation import Estimate
from lepton.report import show_number
from lepton.training.base import Doubles
from lepton.training.honesty.alone import bins_of, skill_of, surely_above
from lepton.training.honesty.judged import Judged

__all__ = ["Doubt", "doubts_of", "order_doubt", "too_few"]

_LEAK_SKILL = 0.98
_IDENTIFIER_SKILL = 0.05
_MOVED_SKILL = 0.25
_LEAST_ROWS = 100
_LEAST_FOLD = 30
_TIME_BLOCKS = 4
_BLOCK_RATIO = 1.2  # of the loss of the latest rows over that of the others
_BLOCK_ERRORS = 4.0  # standard errors
_FOLD_RATIO = 1.25
_RARE = 3.29  # normal quantile: one of two thousand
_GROUP_SHARE = 0.2  # of what the target varies by that lies between groups
_GROUP_F = 3.0
_ORDER_SHARE = 0.15  # of the gain over the baseline that may be lost on rows from elsewhere
_SHOWN = 5


@dataclass(frozen=True)
class Doubt:
    """One thing that makes the score doubtful.

    Attributes:
        what: stable word: `leakage`, `identifier`, `drift`, `moved`, `folds`, `groups`, `order`, `too-few`,
            `calibration`.
        evidence: what was seen.
        fix: what to do.
    """

    what: str
    evidence: str
    fix: str

    def to_dict(self) -> dict[str, str]:
        """JSON form."""
        return {"what": self.what, "evidence": self.evidence, "fix": self.fix}


def doubts_of(judged: Judged, seconds: float = np.inf) -> tuple[list[Doubt], str]:
    """Everything that scored rows and their columns show.

    Args:
        judged: the rows.
        seconds: that looking at single columns may take; the others are left out.

    Returns:
        The doubts, and what was left out, or "".
    """
    if judged.num_rows < _LEAST_ROWS:
        return [], f"fewer than {_LEAST_ROWS} rows were scored: too few to look for leaks and drift"
    found = [*_folds(judged), *_groups(judged), *_drift(judged)]
    target = judged.target
    late = None if judged.order is None else _late(judged.order)
    moved: list[tuple[str, float]] = []
    end = time.monotonic() + seconds
    columns = (*judged.identifiers, *judged.columns)
    for number, column in enumerate(columns):
        if time.monotonic() >= end:
            left = f"{len(columns) - number} of {len(columns)} columns"
            return found + list(_moved(moved)), f"there was no time to look at {left} by themselves"
        values = judged.frame[column.name]
        if column in judged.identifiers or _counts_rows(values, column):
            found += _identifier(judged, column, target)
            continue
        if column.kind is Kind.TEXT:
            continue
        codes = bins_of(values, column, classes=None if judged.labels is None else target).codes
        found += _leak(column, skill_of(codes, target, judged.seed))
        if late is not None and column.kind is not Kind.DATETIME and column.name != judged.time:
            moved.append((column.name, skill_of(codes, late, judged.seed)))
    return found + list(_moved(moved)), ""


# --- single columns -------------------------------------------------------------------------------------------


def _leak(column: ColumnRecord, skill: float) -> Iterator[Doubt]:
    if skill >= _LEAK_SKILL:
        yield Doubt(
            "leakage",
            f"{column.name!r} alone tells the target almost perfectly: it takes away {skill:.1%} of the squared error",
            f"leave it out (--ignore {column.name}) unless it is known before the target is",
        )


def _counts_rows(values: pl.Series, column: ColumnRecord) -> bool:
    """Whether whole numbers look like the numbers of rows: each once, and few are left out."""
    if column.kind is not Kind.NUMBER or values.null_count() or not len(values):
        return False
    numbers = values.cast(pl.Float64).to_numpy()
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        return False
    spread = numbers.max() - numbers.min() + 1
    return len(np.unique(numbers)) == len(numbers) and spread <= 3.0 * len(numbers)


def _identifier(judged: Judged, column: ColumnRecord, target: Doubles) -> Iterator[Doubt]:
    places = judged.frame[column.name].rank("ordinal").cast(pl.Float64)
    record = ColumnRecord(column.name, Kind.NUMBER, "float64")
    num_bins = max(2, min(32, judged.num_rows // 20))
    skill = skill_of(bins_of(places, record, num_bins, tails=False).codes, target, judged.seed)
    if skill <= surely_above(_IDENTIFIER_SKILL, judged.num_rows, num_bins):
        return
    learned = column not in judged.identifiers
    evidence = f"{column.name!r} names rows, and its order takes away {skill:.1%} of the target's squared error"
    yield Doubt(
        "identifier",
        evidence if learned else f"{evidence}; the model does not look at it",
        f"leave it out (--ignore {column.name}): new rows have numbers that were never seen"
        if learned
        else "rows were stored in an order that goes with the target: make sure that new rows come from the same"
        " sources, and give --time or --group where they follow each other",
    )


# --- folds, time, groups --------------------------------------------------------------------------------------


def _folds(judged: Judged) -> Iterator[Doubt]:
    """Whether folds differ more than rows that are dealt to them by chance would make them."""
    losses, fold = judged.losses, judged.fold
    numbers = np.unique(fold)
    parts = [losses[fold == number] for number in numbers]
    if judged.order is not None or len(parts) < 2 or min(map(len, parts)) < _LEAST_FOLD:
        return
    means = np.array([part.mean() for part in parts])
    errors = np.array([part.var(ddof=1) / len(part) for part in parts])
    if not (errors > 0.0).all():
        return
    middle = np.average(means, weights=1.0 / errors)
    if ((means - middle) ** 2 / errors).sum() <= _chi_square(len(parts) - 1) or means.max() < _FOLD_RATIO * means.min():
        return
    told = ", ".join(show_number(float(mean)) for mean in means)
    grouped = judged.groups is not None
    yield Doubt(
        "folds",
        f"the folds differ much more than chance makes them: mean loss {told}",
        "the score depends on which groups are asked about: expect the worst of these of new ones, and add groups"
        if grouped
        else "rows are not alike: look for rows that belong together (--group) or follow each other (--time)",
    )


def _chi_square(freedom: int) -> float:
    """Its quantile beyond which one of two thousand lies, by Wilson and Hilferty (1931)."""
    part = 2.0 / (9.0 * freedom)
    return float(freedom * (1.0 - part + _RARE * np.sqrt(part)) ** 3)


def _late(order: Doubles) -> Doubles:
    """Whether each row is of the later half [N, 1]."""
    late: Doubles = (order > np.median(order)).astype(np.float64).reshape(-1, 1)
    return late


def _drift(judged: Judged) -> Iterator[Doubt]:
    """Whether the latest rows are answered worse, although more was known before them."""
    if judged.order is None or judged.num_rows < _TIME_BLOCKS * _LEAST_FOLD:
        return
    blocks = np.array_split(judged.losses[np.argsort(judged.order, kind="stable")], _TIME_BLOCKS)
    last, before = blocks[-1], np.concatenate(blocks[:-1])
    error = np.sqrt(last.var() / len(last) + before.var() / len(before))
    if last.mean() < _BLOCK_RATIO * before.mean() or last.mean() - before.mean() < _BLOCK_ERRORS * error:
        return
    told = ", ".join(show_number(float(block.mean())) for block in blocks)
    yield Doubt(
        "drift",
        f"answers get worse in time: mean loss of four blocks of rows, one after the other: {told}",
        "expect of new rows the loss of the latest block or more; train again often, or on recent rows only",
    )


def _moved(skills: list[tuple[str, float]]) -> Iterator[Doubt]:
    moved = sorted((pair for pair in skills if pair[1] >= _MOVED_SKILL), key=lambda pair: -pair[1])
    if moved:
        told = ", ".join(f"{name} ({skill:.0%})" for name, skill in moved[:_SHOWN])
        more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        yield Doubt(
            "moved",
            f"columns tell early rows from late ones: {told}{more}",
            "new rows will hold values that were never seen: leave such columns out, or give their changes",
        )


def _groups(judged: Judged) -> Iterator[Doubt]:
    """Whether the target lies at other places in other groups."""
    if judged.groups is None:
        return
    groups = np.unique(judged.groups, return_inverse=True)[1]
    count = np.bincount(groups).astype(np.float64)
    if len(count) < 2 or judged.num_rows < 2 * len(count):
        return
    target = judged.target
    between = within = 0.0
    for column in target.T:
        means = np.bincount(groups, weights=column) / count
        between += float(count @ (means - column.mean()) ** 2)
        within += float(((column - means[groups]) ** 2).sum())
    if within <= 0.0:
        return
    freedom = len(count) - 1, judged.num_rows - len(count)
    ratio = (between / freedom[0]) / (within / freedom[1])
    share = 1.0 - (within / freedom[1]) / ((between + within) / (judged.num_rows - 1))
    if ratio < _GROUP_F or share < _GROUP_SHARE:
        return
    mean = np.bincount(groups, weights=judged.losses) / count
    low, high = np.quantile(mean, [0.1, 0.9])
    yield Doubt(
        "groups",
        f"{share:.0%} of what the target varies by lies between the {len(count):,} groups;"
        f" the mean loss of a group is {show_number(float(low))} to {show_number(float(high))} for eight of ten",
        "a new group may be unlike all of these: add groups rather than rows of the same groups",
    )


# --- what was measured elsewhere ------------------------------------------------------------------------------


def order_doubt(found: Mapping[str, Any]) -> list[Doubt]:
    """What a closer look says of rows that stand together in the table.

    Args:
        found: `order` of `closer` in `reports/search.json`.
    """
    gap, gain = found.get("gap", {}), found.get("gain", {})
    if None in (gap.get("value"), gap.get("lower"), gain.get("value")) or gain["value"] <= 0.0:
        return []
    share = gap["value"] / gain["value"]
    if gap["lower"] <= 0.0 or share < _ORDER_SHARE:
        return []
    mixed, apart = found["mixed"]["value"], found["in_order"]["value"]
    return [
        Doubt(
            "order",
            f"rows that stand near each other in the table are alike: learned from mixed rows a model scores"
            f" {mixed:.5g}, learned from rows that stand elsewhere {apart:.5g}, {min(share, 9.99):.0%} of its gain"
            " over the baseline",
            "where new rows come from elsewhere or later, expect the second figure; say what belongs together with"
            " --group or what follows with --time",
        )
    ]


def too_few(gain: Estimate, metric: str) -> list[Doubt]:
    """Whether the gain over the baseline is smaller than its own interval.

    Args:
        gain: of the chosen model over the baseline on the same rows, above 0 where it is better.
        metric: name of what was gained.
    """
    if gain.value is None or gain.lower is None or gain.upper is None:
        return []
    if gain.value > gain.upper - gain.lower:
        return []
    told = f"{metric} is better than that of a model that looks at no column by {gain.value:.4g}"
    unsure = " (it may be no better)" if gain.lower <= 0.0 else ""
    return [
        Doubt(
            "too-few",
            f"{told}, with a 95 % interval of {gain.lower:.4g} to {gain.upper:.4g}: the interval is wider than the"
            f" gain{unsure}",
            "add rows, or columns that tell more, before the score is relied on",
        )
    ]
