"""Rules about pictures and sounds: each is transformed by the amount of the rule, and by amounts up to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import Work, printable
from lepton.data import Dataset
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import Floats
from lepton.evaluation.robustness.asking import Replies, ask
from lepton.evaluation.robustness.base import Perturbation, draws
from lepton.evaluation.robustness.binding import BoundRule
from lepton.evaluation.robustness.metamorphic_result import Example, RuleResult, share_of
from lepton.evaluation.robustness.trials import EachBatch, in_shape

__all__ = ["checked_files"]

_DRAWN = 2


@dataclass
class _Rule:
    """One rule as it goes over the files."""

    bound: BoundRule
    excess: Floats
    changed: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    amounts: Floats
    answers: dict[int, tuple[str | float, str | float]] = field(default_factory=dict)
    reason: str = ""
    searched: int = 0
    num_found: int = 0


def checked_files(
    predictor: Predictor,
    dataset: Dataset,
    answers: Answers,
    bound: Sequence[BoundRule],
    *,
    most: int,
    seed: int = 0,
    work: Work | None = None,
) -> list[RuleResult]:
    """Every rule over every file, in one pass, until the time is over.

    Args:
        predictor: the model.
        dataset: with the column of files.
        answers: of the model to them.
        bound: the rules.
        most: how many examples of each are kept.
        seed: of the amounts that are drawn between nothing and that of the rule.
        work: cancel, progress and time.
    """
    work = Work.of(work)
    num_rows = answers.num_rows
    none = np.zeros(num_rows, dtype=bool)
    rules = [_Rule(each, np.full(num_rows, -np.inf), none.copy(), none.copy(), np.zeros(num_rows)) for each in bound]
    done = [0]

    def take(tensors: Mapping[str, NDArray[Any]], start: int) -> bool:
        ((name, arrays),) = tensors.items()
        for number, rule in enumerate(rules, 1):
            _check(rule, number, predictor, answers, name, arrays, start, seed)
        done[0] += len(arrays)
        work.report(done[0], num_rows, "files", note="checking rules")
        return not work.stopped

    EachBatch(take).over(predictor, dataset, labelled=False)
    note = f"There was time for {done[0]:,} of {num_rows:,} files." if done[0] < num_rows else ""
    return [_result(rule, answers, most, note) for rule in rules]


def _check(
    rule: _Rule,
    number: int,
    predictor: Predictor,
    answers: Answers,
    name: str,
    arrays: NDArray[Any],
    start: int,
    seed: int,
) -> None:
    each = rule.bound.changes[0].perturbation
    if each is None:
        raise TypeError("a rule of files transforms them")
    rows = slice(start, start + len(arrays))
    probabilities = None if answers.probabilities is None else answers.probabilities[rows]
    before = Replies(answers.predicted[rows], probabilities, {}, np.ones(len(arrays), dtype=bool))
    for way, amounts in enumerate(_amounts(each, rule.bound.changes[0].amount, number, start, len(arrays), seed)):
        made = [
            each.change(array, float(amount), draws(seed, each.name, number, start + row, way))
            for row, (array, amount) in enumerate(zip(arrays, amounts, strict=True))
        ]
        apart = np.array([not np.array_equal(a, b) for a, b in zip(arrays, made, strict=True)], dtype=bool)
        after = ask(predictor, {name: in_shape(made, arrays)}, answers)
        excess = np.where(apart & after.answered, rule.bound.expects.excess(before, after), -np.inf)
        rule.changed[rows] |= apart
        rule.refused[rows] |= apart & ~after.answered
        rule.reason = rule.reason or after.reason
        if way >= _fixed(each):
            rule.searched += int(apart.sum())
            rule.num_found += int((excess > 0).sum())
        for row in np.flatnonzero(excess > rule.excess[rows]).tolist():
            rule.excess[start + row], rule.amounts[start + row] = excess[row], amounts[row]
            if excess[row] > 0:
                shown = rule.bound.expects.shown
                rule.answers[start + row] = (shown(before, row), shown(after, row))


def _fixed(each: Perturbation) -> int:
    return 2 if each.signed else 1


def _amounts(each: Perturbation, amount: float, number: int, start: int, num_rows: int, seed: int) -> list[Floats]:
    """The amount of the rule, the other way where there is one, and drawn ones between nothing and it."""
    whole = np.full(num_rows, amount)
    ways = [whole, -whole] if each.signed else [whole]
    generator = draws(seed, each.name, number, start)
    drawn = _DRAWN if each.signed else 0  # only of these is 0 no change, and less of it less
    return [*ways, *(amount * generator.uniform(-1, 1, num_rows) for _ in range(drawn))]


def _result(rule: _Rule, answers: Answers, most: int, note: str) -> RuleResult:
    fits = rule.bound.fits(answers.columns).to_numpy() if rule.bound.condition is not None else None
    own = rule.changed if fits is None else rule.changed & fits
    excess = np.where(own, rule.excess, -np.inf)
    checked = int((own & ~rule.refused).sum())
    num_broken, num_refused = int((excess > 0).sum()), int((own & rule.refused).sum())
    notes = [note] if note else []
    if num_refused and rule.reason:
        notes.append(f"Why it refused: {printable(rule.reason, 200)}.")
    worst = [int(place) for place in np.argsort(-excess, kind="stable")[:most] if excess[place] > 0]
    transform = rule.bound.rule.transform.split()[0]
    examples = tuple(
        Example(
            place,
            {name: str(value) for name, value in answers.columns[place].to_dicts()[0].items() if value is not None}
            if answers.columns.width
            else {},
            {transform: float(rule.amounts[place])},
            rule.answers[place],
            float(excess[place]),
        )
        for place in worst
    )
    return RuleResult(
        rule.bound.rule,
        checked,
        num_broken,
        share_of(num_broken, checked),
        examples,
        rule.searched,
        rule.num_found,
        num_refused,
        " ".join(notes),
    )
