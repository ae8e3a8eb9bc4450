"""Which columns a model does not simply add up: Friedman's H of pairs, and what of it chance would give.

Source: Friedman & Popescu, "Predictive learning via rule ensembles" (2008), section 8.1. Two things are done otherwise.
The square of a noisy mean is too large; here products of different rows stand in its place, which have no such bias.
And H is a share, which is large wherever both columns do next to nothing: pairs are told in the order of how far they
move the answer, in its own unit, and H stands beside that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import Interrupted, Work
from lepton.data import Dataset
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.sample import Sample, needs_rows, sample_of
from lepton.evaluation.explain.strengths import strengths_of
from lepton.report import Block, Page, Table, Text, bars, plain_table, show_number, show_share

__all__ = ["MAX_ROWS", "Interaction", "Interactions", "interactions", "interactions_of", "pair_strength"]

MAX_ROWS = 300
_OTHERS = 20
_COLUMNS = 6
_DRAWS = 200
_ROUNDING = 1e-6
"""Share of the largest answer that single precision may add or take in a difference of four answers."""
_LEAST_SHARE = 0.01
"""Share of the answers' spread below which an interaction is not told as one."""


@dataclass(frozen=True)
class Interaction:
    """What two columns do together beyond the sum of what each does.

    Attributes:
        columns: the two.
        strength: spread (standard deviation) of that part, in the unit of the answer, with its 95 % interval.
        chance: what the strength would be at most, 19 times of 20, if it were 0 and rows were drawn.
        share: H², the part of the variance of their joint effect that it makes up; None where they have none.
        told: whether it is above chance, rounding and a hundredth of the spread of the answers.
    """

    columns: tuple[str, str]
    strength: Estimate
    chance: float
    share: float | None
    told: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        named = {"columns": list(self.columns), "told": self.told, "chance": self.chance, "share": self.share}
        return {**named, **self.strength.to_dict()}


@dataclass(frozen=True)
class Interactions:
    """Pairs of columns, the strongest interaction first; made by `interactions`.

    Attributes:
        model: its name.
        title: what the numbers are.
        pairs: each pair that was looked at.
        num_rows: rows whose values were set, each in 20 of the others.
        spread: standard deviation of the model's answers.
        left_out: pairs that there was no time for.
    """

    model: str
    title: str
    pairs: tuple[Interaction, ...]
    num_rows: int
    spread: float
    left_out: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "title": self.title,
            "pairs": [each.to_dict() for each in self.pairs],
            "num_rows": self.num_rows,
            "spread": self.spread,
            "left_out": [list(pair) for pair in self.left_out],
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        head = f"How far pairs of columns move {self.title} beyond the sum of both (it spreads by "
        lines = [f"{head}{show_number(self.spread)}), from {self.num_rows:,} rows:", ""]
        lines.append(plain_table(("columns", "moves it by", "95 % interval", "by chance", "H²", ""), self._rows()))
        return "\n".join([*lines, "", *self.notes()])

    def page(self) -> Page:
        """A page with the strengths drawn."""
        page = Page(f"What {self.model} does not add up", subtitle=self.title)
        return page.section("Pairs of columns", *self.blocks())

    def blocks(self) -> list[Block]:
        """What stands on its page, for a page of more."""
        drawn = [each for each in self.pairs if each.strength.value is not None]
        ends = np.array([[e.strength.value, e.strength.lower, e.strength.upper] for e in drawn], dtype=np.float64)
        ends = ends.reshape(-1, 3)
        figure = bars(
            [" × ".join(each.columns) for each in drawn],
            ends[:, 0],
            title="How far a pair moves the answer beyond the sum of both",
            lower=ends[:, 1],
            upper=ends[:, 2],
        )
        note = Text("\n".join(self.notes()), tone="note")
        if not self.pairs:
            return [note]
        heads = ("columns", "moves it by", "95 % interval", "by chance", "H²", "")
        return [figure, Table(heads, self._rows()), note]

    def _repr_html_(self) -> str:
        return self.page().html()

    def _rows(self) -> list[tuple[str, str, str, str, str, str]]:
        return [
            (
                " × ".join(each.columns),
                show_number(each.strength.value),
                each.strength.interval,
                show_number(each.chance),
                show_share(each.share),
                "" if each.told else "none shown",
            )
            for each in self.pairs
        ]

    def notes(self) -> list[str]:
        """What limits this."""
        notes = ["It is the model that is asked: an interaction that it made up from noise in training is one of its."]
        if not self.pairs:
            notes = ["There are no two columns whose values differ."]
        if self.left_out:
            notes.append(f"There was no time for {len(self.left_out):,} more pairs.")
        return notes


def interactions(
    predictor: Predictor,
    dataset: Dataset,
    *,
    columns: Sequence[str] | None = None,
    label: Any = None,
    log_odds: bool = False,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> Interactions:
    """How far pairs of columns move a model's answer beyond the sum of what each of them does.

    Args:
        predictor: an opened model of tables.
        dataset: rows to ask it about; no target is needed.
        columns: whose pairs to look at; by default the six that move the answers most.
        label: the one label whose probability is meant.
        log_odds: look at log-odds, in which a logistic model has no interactions; probabilities always have some.
        max_rows: rows whose values are set in 20 of the others each.
        seed: of the draws.
        work: cancel and progress; when its time is over, the pairs that are left are left out.

    Raises:
        UsageError: a model without a number, or without a table.
        DataError: fewer than ten rows, or a column that the model does not take.
    """
    sample = sample_of(predictor, dataset, label=label, log_odds=log_odds, seed=seed, work=work)
    names = list(columns) if columns is not None else strengths_of(sample, most=_COLUMNS, seed=seed).strongest(_COLUMNS)
    return interactions_of(sample, names, max_rows=max_rows, seed=seed)


def interactions_of(sample: Sample, names: Sequence[str], *, max_rows: int = MAX_ROWS, seed: int = 0) -> Interactions:
    """`interactions` for rows that are packed already."""
    needs_rows(sample, 10, "interactions")
    for name in names:
        sample.record(name)
    wanted = list(combinations([name for name in names if _differs(sample.cells(name))], 2))
    rows = sample.draw(max_rows, seed, 3)
    singles: dict[str, Floats] = {}
    pairs: list[Interaction] = []
    for pair in wanted:
        try:
            pairs.append(pair_strength(rows, *pair, spread=_spread(sample), singles=singles, seed=seed))
        except Interrupted:
            if not pairs:
                raise
            break
        sample.work.report(len(pairs), len(wanted), "pairs", note="interactions")
    left_out = tuple(wanted[len(pairs) :])
    pairs.sort(key=lambda each: (each.told, each.strength.value or 0.0), reverse=True)
    return Interactions(
        sample.question.predictor.manifest.name,
        sample.question.title,
        tuple(pairs),
        rows.num_rows,
        _spread(sample),
        left_out,
    )


def pair_strength(
    rows: Sample,
    first: str,
    second: str,
    *,
    spread: float,
    singles: dict[str, Floats] | None = None,
    seed: int = 0,
) -> Interaction:
    """What two columns do together: the values that they have in each of M rows, set in 20 of the others.

    Args:
        rows: the M rows.
        first: a column.
        second: another.
        spread: of the model's answers.
        singles: keeps the answers with one column set, for the next pair.
        seed: of the draws.
    """
    singles = {} if singles is None else singles
    others = _others(rows.num_rows, seed)
    for name in (first, second):
        if name not in singles:
            singles[name] = _answers_at(rows, others, name)
    joint = _answers_at(rows, others, first, second)
    beyond = joint - singles[first] - singles[second] + rows.answers[others]  # [place, row, K]
    mass = rows.mass / rows.mass.mean()
    beyond, both = (_centred(each, others, mass) for each in (beyond, joint - rows.answers[others]))
    generator = np.random.default_rng([seed, 4])
    counts = generator.multinomial(len(mass), np.full(len(mass), 1 / len(mass)), _DRAWS)
    drawn = _unbiased(beyond, others, np.vstack([mass, mass * counts]))
    squares = [float(drawn[0]), *np.quantile(drawn[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()]
    limit = _by_chance(beyond, others, mass, generator)
    total = float(_unbiased(both, others, mass[None, :])[0])
    if not np.isfinite([*squares, limit, total]).all():
        undefined = Estimate(None, reason="the model answers no finite number")
        return Interaction((first, second), undefined, 0.0, None, False)
    value, lower, upper, chance = (float(np.sqrt(max(each, 0.0))) for each in (*squares, limit))
    rounding = _ROUNDING * float(np.abs(joint).max())
    if upper <= rounding:
        value = lower = upper = chance = 0.0
    told = value > max(chance, rounding, _LEAST_SHARE * spread)
    share = min(value**2 / total, 1.0) if total > (_ROUNDING * spread) ** 2 else None
    return Interaction((first, second), Estimate(value, lower, upper), chance, share, bool(told))


def _centred(values: Floats, others: Positions, mass: Floats) -> Floats:
    """[M, R, K] less their mean."""
    return np.asarray(values - np.average(values, axis=(0, 1), weights=mass[:, None] * mass[others]))


def _others(size: int, seed: int) -> Positions:
    """For each row 20 others, each of which has the same number of turns [M, 20]: rows so many steps further on."""
    steps = np.random.default_rng([seed, 10]).permutation(np.arange(1, size))[:_OTHERS]
    return np.asarray((np.arange(size)[:, None] + steps[None, :]) % size)


def _by_chance(beyond: Floats, others: Positions, mass: Floats, generator: np.random.Generator) -> float:
    """What 95 % of draws stay below if the mean over all rows were 0: rows less their mean, with random signs."""
    each = beyond.shape[1]
    rest = (beyond - beyond.mean(axis=1, keepdims=True)) * np.sqrt(each / max(each - 1, 1))
    signs = generator.choice([-1.0, 1.0], (_DRAWS, len(mass)))
    return float(np.quantile(_unbiased(rest, others, np.broadcast_to(mass, signs.shape), signs), CONFIDENCE))


def _unbiased(beyond: Floats, others: Positions, weights: Floats, signs: Floats | None = None) -> Floats:
    """The mean over places of the squared mean over rows, from products of different rows, [D].

    Args:
        beyond: what two columns do at each place in each of its rows [M, R, K].
        others: which rows those are [M, R].
        weights: of places and rows, D sets of them [D, M].
        signs: what a row says is turned by, D sets of them [D, M].
    """
    found = np.zeros(len(weights))
    for turn, weight in enumerate(weights):
        held = weight[others]
        turned = held if signs is None else held * signs[turn][others]
        sums = np.square(np.einsum("mr,mrk->mk", turned, beyond)).sum(axis=1)
        own = np.einsum("mr,mr->m", np.square(held), np.square(beyond).sum(axis=2))
        pairs = np.square(held.sum(axis=1)) - np.square(held).sum(axis=1)
        there = weight * (pairs > 0)
        total = there.sum()
        if total > 0:
            found[turn] = there @ ((sums - own) / np.maximum(pairs, np.finfo(float).tiny)) / total
    return found


def _answers_at(rows: Sample, others: Positions, *names: str) -> Floats:
    """Answers with the columns set to the values of each place, in each of its rows [M, R, K]."""
    given = {name: np.repeat(rows.cells(name), others.shape[1]) for name in names}
    return rows.ask(others.ravel(), given).reshape(*others.shape, -1)


def _spread(sample: Sample) -> float:
    mean = np.average(sample.answers, axis=0, weights=sample.mass)
    return float(np.sqrt(np.average(np.square(sample.answers - mean), axis=0, weights=sample.mass).sum()))


def _differs(cells: NDArray[Any]) -> bool:
    if cells.dtype == object:
        return bool((cells != cells[0]).any())
    return len(np.unique(cells)) > 1
