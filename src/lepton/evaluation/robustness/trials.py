"""Spoiling rows and asking again: a table whole, files some at a time, so that no more are held than a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import Work
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.robustness.asking import Replies, ask, joined
from lepton.evaluation.robustness.base import Perturbation, draws
from lepton.evaluation.robustness.gradients import ATTACKS, EPSILONS, Gradients, attacked
from lepton.evaluation.robustness.sounds import of_length
from lepton.evaluation.robustness.tables import Facts, TablePerturbation, numbers_of

__all__ = ["EachBatch", "Trial", "differing", "in_shape", "spoilt_files", "spoilt_table", "without"]

_PART_BYTES = 2**26  # of decoded files that are spoilt at once
_FORMAT = {"picture": (0.0, 255.0), "sound": (-1.0, 1.0)}


@dataclass(frozen=True)
class Trial:
    """One perturbation at one strength.

    Attributes:
        name: of the perturbation.
        strength: 1 to 5.
        replies: what the model answered to the spoilt rows.
        changed: how many rows were changed at all.
    """

    name: str
    strength: int
    replies: Replies
    changed: int


def differing(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    """Which rows differ in any column of `before` [N]; columns of numbers may have become floats."""
    if not before.width:
        return pl.Series("differs", [False] * before.height, dtype=pl.Boolean)
    kinds = after.select(before.columns).schema
    numbers = [name for name, dtype in before.schema.items() if dtype.is_numeric() and kinds[name].is_numeric()]
    first, second = numbers_of(before, numbers), numbers_of(after, numbers)
    apart = ((first != second) & ~(np.isnan(first) & np.isnan(second))).any(axis=1)
    own = set(numbers)
    for name, dtype in before.schema.items():
        if name not in own:
            apart |= after[name].cast(dtype, strict=False).ne_missing(before[name]).to_numpy()
    return pl.Series("differs", apart)


def spoilt_table(
    predictor: Predictor,
    answers: Answers,
    rows: pl.DataFrame,
    facts: Facts,
    perturbations: Sequence[TablePerturbation],
    strengths: Sequence[int],
    *,
    attacks: Sequence[str] = (),
    gradients: Gradients | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Iterator[Trial]:
    """Each perturbation at each strength, until the time is over."""
    work = Work.of(work)
    total, done = (len(perturbations) + len(attacks)) * len(strengths), 0
    for each in perturbations:
        columns = each.columns(facts)
        for strength in strengths:
            if done and work.stopped:
                return
            changed = each.change(rows, columns, strength, facts, draws(seed, each.name))
            yield Trial(each.name, strength, ask(predictor, changed, answers), int(differing(rows, changed).sum()))
            done += 1
            work.report(done, total, "trials", note=each.name)
    if not attacks or gradients is None:
        return
    tensors = predictor.tensors(rows)
    spreads = np.array([facts.spreads.get(c.name, 0.0) * (c.name in facts.numbers) for c in predictor.inputs.numbers])
    for name in attacks:
        for strength in strengths:
            if done and work.stopped:
                return
            epsilon = EPSILONS["table"][strength - 1] * spreads
            generator = draws(seed, name)
            moved = attacked(name, tensors["numbers"], answers.y, gradients, epsilon, generator=generator)
            apart = int((~np.isclose(moved, tensors["numbers"], rtol=0, atol=0, equal_nan=True)).any(axis=1).sum())
            yield Trial(name, strength, ask(predictor, {**tensors, "numbers": moved}, answers), apart)
            done += 1
            work.report(done, total, "trials", note=name)


class _Enough(Exception):
    """Ends a pass over files."""


class EachBatch(list[dict[str, NDArray[Any]]]):
    """Where `gather` leaves the tensors of each batch: hands them on, and keeps the last alone.

    Args:
        take: called with the tensors and the place of their first row; gives False to end the pass.
    """

    def __init__(self, take: Any) -> None:
        super().__init__()
        self._take = take
        self._start = 0

    def append(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Hand one batch on."""
        self[:] = [tensors]
        if not self._take(tensors, self._start):
            raise _Enough
        self._start += len(next(iter(tensors.values())))

    def over(self, predictor: Predictor, dataset: Dataset, **options: Any) -> None:
        """Go through the files of a dataset again."""
        try:
            gather(predictor, dataset, tensors=self, **options)
        except _Enough:
            return


@dataclass
class _Files:
    """The trials over files, as they grow batch by batch."""

    predictor: Predictor
    answers: Answers
    kind: str
    perturbations: Sequence[Perturbation]
    strengths: Sequence[int]
    attacks: Sequence[str]
    gradients: Gradients | None
    seed: int
    work: Work
    parts: dict[tuple[str, int], list[Replies]] = field(default_factory=dict)
    changed: dict[tuple[str, int], int] = field(default_factory=dict)
    num_rows: int = 0

    def take(self, tensors: Mapping[str, NDArray[Any]], start: int) -> bool:
        """Spoil one batch in every way; whether there is time for the next."""
        ((name, arrays),) = tensors.items()
        size = max(sum(array.nbytes for array in arrays) // len(arrays), 1)
        step = max(_PART_BYTES // size, 1)
        places = range(0, len(arrays), step)
        return all(self._part(name, arrays[at : at + step], start + at) for at in places)

    def _part(self, name: str, arrays: NDArray[Any], start: int) -> bool:
        wanted: list[Perturbation | str] = [*self.perturbations, *self.attacks]
        jobs = [(each, strength) for each in wanted for strength in self.strengths]
        found: dict[tuple[str, int], tuple[Replies, int]] = {}
        for each, strength in jobs:
            if self.work.stopped and (found or self.num_rows):
                break
            if isinstance(each, Perturbation):
                called = each.name
                spoilt = spoilt_cells(each, arrays, start, each.amounts[strength - 1], self.seed)
            else:
                called, spoilt = each, self._attacked(each, arrays, start, strength)
            moved = sum(not np.array_equal(a, b) for a, b in zip(arrays, spoilt, strict=True))
            found[called, strength] = (ask(self.predictor, {name: spoilt}, self.answers), moved)
        if len(found) < len(jobs) and self.num_rows:
            return False  # part of a batch is none, but of the first
        for key, (replies, moved) in found.items():
            self.parts.setdefault(key, []).append(replies)
            self.changed[key] = self.changed.get(key, 0) + moved
        self.num_rows += len(arrays)
        self.work.report(self.num_rows, self.answers.num_rows, "files", note="spoiling")
        return len(found) == len(jobs)

    def _attacked(self, name: str, arrays: NDArray[Any], start: int, strength: int) -> NDArray[Any]:
        """Rows of one shape together."""
        if self.gradients is None:
            raise TypeError("no gradients")
        lower, upper = _FORMAT[self.kind]
        epsilon = EPSILONS[self.kind][strength - 1] * (upper if self.kind == "picture" else 1.0)
        groups: dict[tuple[int, ...], list[int]] = {}
        for row, array in enumerate(arrays):
            groups.setdefault(array.shape, []).append(row)
        out: list[NDArray[Any]] = [np.empty(0)] * len(arrays)
        for rows in groups.values():
            batch = np.stack([arrays[row] for row in rows]).astype(np.float64)
            truth = self.answers.y[[start + row for row in rows]]
            moved = attacked(
                name,
                batch,
                truth,
                self.gradients,
                epsilon,
                lower=lower,
                upper=upper,
                generator=draws(self.seed, name, start + rows[0]),
            )
            for row, values in zip(rows, moved, strict=True):
                whole = np.rint(values) if arrays[row].dtype.kind == "u" else values
                out[row] = whole.astype(arrays[row].dtype)
        return in_shape(out, arrays)


def spoilt_cells(each: Perturbation, arrays: NDArray[Any], start: int, amount: float, seed: int) -> NDArray[Any]:
    """Each content changed by `amount`, up or down where it may go either way; rows draw for themselves."""
    out = []
    for row, array in enumerate(arrays):
        generator = draws(seed, each.name, start + row)
        sign = float(generator.choice((-1, 1))) if each.signed else 1.0
        out.append(each.change(array, sign * amount, generator))
    return in_shape(out, arrays)


def in_shape(changed: Sequence[NDArray[Any]], like: NDArray[Any]) -> NDArray[Any]:
    """Changed contents as the graph takes them: stacked, or one array each where the model takes any length."""
    if like.dtype != object:
        return np.stack([of_length(each, like.shape[1]) if like.ndim == 2 else each for each in changed])
    out = np.empty(len(changed), dtype=object)
    for row, array in enumerate(changed):
        out[row] = array
    return out


def spoilt_files(
    predictor: Predictor,
    dataset: Dataset,
    answers: Answers,
    kind: str,
    perturbations: Sequence[Perturbation],
    strengths: Sequence[int],
    *,
    attacks: Sequence[str] = (),
    gradients: Gradients | None = None,
    target: str | None = None,
    labelled: bool = True,
    seed: int = 0,
    work: Work | None = None,
) -> tuple[list[Trial], int]:
    """The same for pictures and sounds, and how many of the rows there was time for."""
    files = _Files(
        predictor, answers, kind, perturbations, strengths, attacks, gradients, seed, Work.of(work)
    )  # fmt: skip
    EachBatch(files.take).over(predictor, dataset, target=target, labelled=labelled)
    trials = [
        Trial(name, strength, joined(parts), files.changed[name, strength])
        for (name, strength), parts in files.parts.items()
    ]
    return trials, files.num_rows


def without(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that are no attacks, and those that are."""
    return [name for name in names if name not in ATTACKS], [name for name in names if name in ATTACKS]
