"""Membership inference: whether somebody who has a row and the model can tell that it was trained on that row.

The attack of Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting" (2018), calls
rows that are answered well members; its advantage is the share of members that it calls so minus the share of others.
Song & Mittal, "Systematic evaluation of privacy risks of machine learning models" (2021), give each label a threshold
of its own. Where a second model is handed in that has not seen the rows, losses are told relative to its: Watson et
al., "On the importance of difficulty calibration in membership inference attacks" (2022). That few members can be told
for sure matters more than many a little: Carlini et al., "Membership inference attacks from first principles" (2022),
so the share of members is told that is found at 1 % of false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import DataError, ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.metrics import metric as metric_of
from lepton.evaluation.privacy.attack import attacked
from lepton.evaluation.privacy.losses import losses_of, refuse_without_losses
from lepton.report import Facts, Page, Points, Table, Text, bars, lines, plain_table, show_number

__all__ = ["MAX_ROWS", "Membership", "membership"]

MAX_ROWS = 20_000
_WIDE = 0.1


@dataclass(frozen=True)
class Membership:
    """What a model gives away about its training rows; made by `membership`.

    Attributes:
        model: its name.
        attack: the attack that did best on one half of the rows, and is measured on the other.
        advantage: share of members that it calls members minus share of others that it does: 0 is a guess, 1 is sure.
        true_positives_at_1_percent: share of members that it finds where 1 % of the others are taken for members.
        false_positives_at_1_percent: the share of others that it then really took for members.
        attacks: each attack by itself, with its advantage.
        metric: title of the task's metric.
        training_value: the metric on the training rows.
        held_out_value: and on the held-out ones; the gap is what the attack lives on.
        num_training: training rows that were used.
        num_held_out: held-out rows that were.
        num_shared: held-out rows that are training rows too, and were left out.
        curve: shares of false alarms and of members found by the loss alone, rising.
        notes: limits of all this.
    """

    model: str
    attack: str
    advantage: Estimate
    true_positives_at_1_percent: Estimate
    false_positives_at_1_percent: Estimate
    attacks: dict[str, Estimate]
    metric: str
    training_value: Estimate
    held_out_value: Estimate
    num_training: int
    num_held_out: int
    num_shared: int = 0
    curve: tuple[tuple[float, float], ...] = field(default=())
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> bool | None:
        """Whether the attack is better than a guess; None where there are too few rows to say."""
        return None if self.advantage.lower is None else self.advantage.lower > 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "attack": self.attack,
            "leaks": self.leaks,
            "advantage": self.advantage.to_dict(),
            "true_positives_at_1_percent": self.true_positives_at_1_percent.to_dict(),
            "false_positives_at_1_percent": self.false_positives_at_1_percent.to_dict(),
            "attacks": {name: each.to_dict() for name, each in self.attacks.items()},
            "metric": self.metric,
            "training_value": self.training_value.to_dict(),
            "held_out_value": self.held_out_value.to_dict(),
            "num_training": self.num_training,
            "num_held_out": self.num_held_out,
            "num_shared": self.num_shared,
            "curve": [list(point) for point in self.curve],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        rows = f"{self.num_training:,} training rows, {self.num_held_out:,} held out"
        parts = [f"{printable(self.model)}: can its training rows be told from others? {rows}", self._verdict()]
        parts.append(plain_table(("what", "value", "95 % interval"), self._rows()))
        return "\n\n".join([*parts, *(f"Note: {each}" for each in self.notes)])

    def page(self) -> Page:
        """A page with the attacks drawn."""
        page = Page(f"What {self.model} gives away about its training rows", subtitle=self._verdict())
        page.section("Rows", Facts({"training rows": self.num_training, "held-out rows": self.num_held_out}))
        page.section("Attacks", self._bars(), Table(("what", "value", "95 % interval"), self._rows()))
        if self.curve:
            points = np.array(self.curve)
            figure = lines(
                {"loss": (points[:, 0], points[:, 1])},
                title="Members found against false alarms",
                x_label="share of other rows taken for members",
                y_label="share of members found",
                diagonal=True,
            )
            page.section("Thresholds", figure, Text("The line from corner to corner is a guess.", "note"))
        if self.notes:
            page.section("Limits", Points(self.notes))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _verdict(self) -> str:
        if self.advantage.value is None or self.leaks is None:
            return f"Nothing can be said: {self.advantage.reason}."
        if self.leaks:
            return f"Yes, a little or more: advantage {self.advantage}, where 0 is a guess and 1 is sure."
        return f"Not by these attacks: advantage {self.advantage}, where 0 is a guess and 1 is sure."

    def _bars(self) -> Any:
        told = {name: each for name, each in self.attacks.items() if each.value is not None}
        values = [each.value or 0.0 for each in told.values()]
        lower = [value if e.lower is None else e.lower for value, e in zip(values, told.values(), strict=True)]
        upper = [value if e.upper is None else e.upper for value, e in zip(values, told.values(), strict=True)]
        return bars(list(told), values, title="Advantage of each attack", lower=lower, upper=upper)

    def _rows(self) -> list[tuple[str, str, str]]:
        entries = {
            f"advantage ({self.attack})": self.advantage,
            "members found at 1 % of false alarms": self.true_positives_at_1_percent,
            **{f"advantage: {name}": each for name, each in self.attacks.items()},
            f"{self.metric} on training rows": self.training_value,
            f"{self.metric} on held-out rows": self.held_out_value,
        }
        return [(name, show_number(each.value), each.interval) for name, each in entries.items()]


def membership(
    predictor: Predictor,
    training: Dataset,
    held_out: Dataset,
    *,
    target: str | None = None,
    reference: Predictor | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> Membership:
    """How well training rows can be told from others that are like them.

    Thresholds, and which attack does best, are chosen on one half of the rows and measured on the other, and
    so are the intervals.

    Args:
        predictor: an opened model that predicts a target row by row.
        training: rows that it was trained on, with the target.
        held_out: rows like them that it was not trained on; those that are among `training` are left out.
        target: column of the truth; by default the one the model was trained on.
        reference: a model of the same target that has seen neither, for the third attack.
        max_rows: of more rows on a side, so many are drawn.
        seed: of the draws.
        work: cancel and progress.

    Raises:
        UsageError: a model whose rows have no loss; a reference for another target.
        DataError: no target column, or no row to judge by.
    """
    work = Work.of(work)
    refuse_without_losses(predictor)
    if max_rows < 2:
        raise UsageError(ErrorCode.USAGE, f"got max_rows={max_rows}", wanted="at least two rows")
    if reference is not None and (reference.task.name, reference.labels) != (predictor.task.name, predictor.labels):
        raise UsageError(ErrorCode.USAGE, "the reference answers something else", wanted="a model of the same target")
    sides = [_bounded(each, max_rows, seed) for each in (training, held_out)]
    inputs = [c.name for c in predictor.manifest.inputs if all(c.name in each.schema for each in sides)]
    members, others = (gather(predictor, each, target=target, columns=inputs, work=work) for each in sides)
    shared = _shared(members, others)
    num_shared = int(shared.sum())
    if num_shared == others.num_rows:
        raise DataError(
            ErrorCode.BAD_VALUE,
            "every held-out row is a training row too",
            wanted="rows that the model was not trained on",
        )
    others = others.only(~shared) if num_shared else others
    measured = metric_of(predictor.task.metric, predictor.task.name)
    values = [each.estimates([measured], seed=seed)[measured.name] for each in (members, others)]
    scores = {"loss": -np.concatenate([losses_of(members), losses_of(others)])}
    if reference is not None:
        known = [gather(reference, each, target=target, work=work) for each in sides]
        known[1] = known[1].only(~shared) if num_shared else known[1]
        calibrated = scores["loss"] + np.concatenate([losses_of(each) for each in known])
        scores["loss against another model"] = calibrated
    notes = _notes(members, others, num_shared, training, held_out, sides)
    common = {"num_training": members.num_rows, "num_held_out": others.num_rows, "num_shared": num_shared}
    found = attacked(members, others, scores, seed, work)
    attack, advantage, attacks, positives, alarms, curve = found
    if advantage.lower is not None and advantage.upper is not None and advantage.upper - advantage.lower > _WIDE:
        notes.append("The interval is wide: more rows would say more.")
    return Membership(
        predictor.manifest.name,
        attack,
        advantage,
        positives,
        alarms,
        attacks,
        measured.title,
        values[0],
        values[1],
        curve=curve,
        notes=tuple(notes),
        **common,
    )


def _bounded(dataset: Dataset, max_rows: int, seed: int) -> Dataset:
    if dataset.num_rows <= max_rows:
        return dataset
    return dataset.split(max_rows / dataset.num_rows, method="random", seed=seed)[1]


def _shared(members: Answers, others: Answers) -> NDArray[np.bool_]:
    """Which held-out rows have the inputs and the truth of a training row."""

    def keys(answers: Answers) -> set[int] | list[int]:
        plain = [
            pl.col(name).cast(pl.Float64 if t.is_numeric() else pl.String) for name, t in answers.columns.schema.items()
        ]
        frame = answers.columns.select(plain)
        truth = pl.DataFrame({f"{place}\0": column for place, column in enumerate(np.atleast_2d(answers.y.T))})
        hashes: list[int] = pl.concat([frame, truth], how="horizontal").hash_rows(seed=0).to_list()
        return hashes

    known = set(keys(members))
    return np.array([key in known for key in keys(others)], dtype=bool)


def _notes(
    members: Answers, others: Answers, num_shared: int, training: Dataset, held_out: Dataset, sides: list[Dataset]
) -> list[str]:
    notes = []
    if num_shared:
        notes.append(f"{num_shared:,} held-out rows are training rows too, and were left out.")
    if any(side.num_rows < whole.num_rows for side, whole in zip(sides, (training, held_out), strict=True)):
        notes.append(f"Of more rows, {max(side.num_rows for side in sides):,} were drawn on a side.")
    if members.weight is not None or others.weight is not None:
        notes.append("Weights are not used: an attacker has none.")
    notes.append("A better attack, or one that trains models of its own, can find more than these do.")
    return notes
