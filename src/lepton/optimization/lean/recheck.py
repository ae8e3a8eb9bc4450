"""The claims of a compression, measured again on rows that somebody else brings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton.bundle import Predictor, bundle_size, machine, measure_latency
from lepton.core import ErrorCode, UsageError, Work
from lepton.data import Dataset
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.data import Arrays, Wish, gathered, metric_for, parts_among
from lepton.optimization.lean.proof import loss_of, parts_lost
from lepton.optimization.lean.report import REPORT
from lepton.report import plain_table, show_number

__all__ = ["Claim", "Recheck", "recheck"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One budget, measured again.

    Attributes:
        name: of the budget.
        limit: what it allows.
        measured: now; None where it could not be.
        interval: 95 %, of losses.
        broken: whether it is broken: the interval lies wholly above the limit, or the size or time is more.
        note: what is to be known about it.
    """

    name: str
    limit: float
    measured: float | None
    interval: tuple[float, float] | None
    broken: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Recheck:
    """What came of it.

    Attributes:
        num_rows: rows that were judged.
        claims: one for each budget of the compression.
        notes: about the rows.
    """

    num_rows: int
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the budgets that are broken."""
        return tuple(each.name for each in self.claims if each.broken)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        claims = [
            {
                "name": each.name,
                "limit": each.limit,
                "measured": each.measured,
                "interval": None if each.interval is None else [e if math.isfinite(e) else None for e in each.interval],
                "broken": each.broken,
                "note": each.note,
            }
            for each in self.claims
        ]
        return {"num_rows": self.num_rows, "claims": claims, "broken": list(self.broken), "notes": list(self.notes)}

    def text(self) -> str:
        """A table for a terminal."""
        rows = [
            (
                each.name,
                show_number(each.limit),
                show_number(each.measured),
                "" if each.interval is None else " to ".join(map(show_number, each.interval)),
                "broken" if each.broken else "holds",
                each.note,
            )
            for each in self.claims
        ]
        columns = ("budget", "limit", "measured", "95 % interval", "verdict", "")
        return f"{self.num_rows:,} rows\n\n{plain_table(columns, rows)}"


def recheck(
    lean: Predictor, data: Dataset | Arrays, *, original: Predictor | None = None, work: Work | None = None
) -> Recheck:
    """Measure again what the report `compression` of a model claims.

    Args:
        lean: the model.
        data: rows, as fresh as may be.
        original: what it was made of: losses are then paired on the same rows. Without it they are told against what
            the original reached on the rows of the proof, which takes many more rows to say anything.
        work: cancel and seed.

    Raises:
        UsageError: the model holds no compression; the original is another one, or is needed and not there.
        DataError, SchemaError: rows that cannot be used.
    """
    work = Work.of(work)
    told = _told(lean, original)
    limits = {str(each["name"]): float(each["limit"]) for each in told["verdicts"]}
    segments = tuple(told.get("segments", ()))
    wish = Wish(told["metric"], told.get("target"), told.get("weight"), segments)
    reference = lean if original is None else original
    rows, sample, notes = gathered(reference, data, wish, work)
    if original is None and not rows.labelled:
        raise UsageError(
            ErrorCode.USAGE, "the rows have no target, and the original is not there", fix="give original= (--original)"
        )
    metric = metric_for(reference, told["metric"] if rows.labelled else None, rows.labelled)
    claims = []
    answers = rows.judged(lean)
    if "max_loss" in limits:
        if original is None:
            claims.append(_unpaired(answers, metric, told, limits["max_loss"], work))
        else:
            loss = loss_of(rows.answers, answers, metric, seed=work.seed)
            broken = loss.value is None or loss.interval[0] > limits["max_loss"]
            claims.append(Claim("max_loss", limits["max_loss"], loss.value, loss.interval, broken))
    if "max_loss_any_segment" in limits and original is not None:
        limit = limits["max_loss_any_segment"]
        parts = parts_lost(rows.answers, answers, metric, parts_among(rows, segments))
        worst = max(parts, key=lambda each: each.loss.value or 0.0)
        broken = any(each.loss.interval[0] > limit for each in parts)
        note = f"worst: {worst.column} {worst.value}"
        claims.append(Claim("max_loss_any_segment", limit, worst.loss.value, worst.loss.interval, broken, note))
    if "max_size" in limits:
        size = bundle_size(lean.bundle.path)
        claims.append(Claim("max_size", limits["max_size"], size, None, size > limits["max_size"]))
    if "max_latency" in limits:
        p99 = measure_latency(lean, sample, work=work).p99
        same = dict(told["machine"]).get("cpu") == machine()["cpu"]
        note = "" if same else "another machine than the one that was claimed for"
        claims.append(
            Claim("max_latency", limits["max_latency"], p99, None, same and p99 > limits["max_latency"], note)
        )
    return Recheck(len(rows), tuple(claims), notes)


def _told(lean: Predictor, original: Predictor | None) -> Mapping[str, Any]:
    told = lean.bundle.reports.get(REPORT)
    if told is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"the model '{lean.manifest.name}' holds no report of a compression",
            wanted="a model that lepton compress has made",
        )
    if original is not None and original.model_id != told["original"]["model_id"]:
        raise UsageError(
            ErrorCode.USAGE,
            f"got the original {original.model_id[:12]}",
            wanted=f"the model {told['original']['model_id'][:12]}, of which this one was made",
        )
    return told


def _unpaired(answers: Answers, metric: Any, told: Mapping[str, Any], limit: float, work: Work) -> Claim:
    """The loss against what the original reached on other rows: both are unsure."""
    now = answers.estimates([metric], seed=work.seed, work=work)[metric.name]
    before = told["loss"]["original"]
    note = "against the original on the rows of the proof; --original compares on these rows"
    if now.value is None or now.lower is None or now.upper is None or before is None:
        return Claim("max_loss", limit, None, None, True, note)
    value = before - now.value if metric.greater_is_better else now.value - before
    half = (now.upper - now.lower) / 2 * math.sqrt(1 + answers.num_rows / told["loss"]["num_rows"])
    if told["loss"]["relative"]:
        value, half = value / abs(before), half / abs(before)
    return Claim("max_loss", limit, value, (value - half, value + half), value - half > limit, note)
