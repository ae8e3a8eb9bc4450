"""Rows that are not in the data and break a rule: hill climbing from the rows that come nearest to it.

Every made row lies inside the ranges of the data: its numbers between the least and the greatest that occur, its other
cells values that occur. That such a combination can occur at all, nobody says. The search is a (1 + λ) evolution
strategy of many points at once (Beyer & Schwefel, "Evolution strategies: a comprehensive introduction", 2002), begun
anew from the data where it gets stuck.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.robustness.asking import Replies, ask
from lepton.evaluation.robustness.checking import Checker
from lepton.evaluation.robustness.metamorphic_result import Example

__all__ = ["Found", "searched"]

_POINTS = 32
_CHILDREN = 4
_COLUMNS = 8  # that are touched in a round, of wide tables
_PATIENCE = 5  # rounds without progress after which a point begins anew
_TOUCHED = 0.4  # share of these columns that a child differs in
_SMALLEST_STEP = 2.0  # in powers of ten below the spread


@dataclass
class Found:
    """What a search found.

    Attributes:
        searched: rows that were made and asked.
        num_found: how many break the rule.
        examples: the worst of them.
    """

    searched: int = 0
    num_found: int = 0
    examples: list[Example] = field(default_factory=list)


def searched(
    checker: Checker,
    rows: pl.DataFrame,
    excess: Floats,
    budget: int,
    *,
    most: int = 5,
    seed: np.random.Generator,
    work: Work | None = None,
) -> Found:
    """Look for rows that break a rule around those of the data that come nearest to it.

    Args:
        checker: the rule at work.
        rows: of the data, which the rule is about.
        excess: how near each comes [N], as `Checked.excess`.
        budget: how many rows may be made.
        most: how many examples are kept.
        seed: of every draw.
        work: when its time is over, the search ends.
    """
    work = Work.of(work)
    found = Found()
    points = _beginning(excess, seed)
    if not len(points):
        return found
    population, values = rows[points], excess[points].copy()
    stuck = np.zeros(len(points), dtype=np.int64)
    while found.searched < budget and not work.stopped:
        parents = np.repeat(np.arange(len(values)), _CHILDREN)[: budget - found.searched]
        children = _mutated(population[parents], rows, checker.inputs, seed)
        found.searched += children.height
        scores = _scores(checker, children, found, most, seed)
        best = np.full(len(values), -np.inf)
        np.maximum.at(best, parents, scores)
        better = best > values
        places = np.array(
            [_first(parents, scores, point, best[point]) for point in np.flatnonzero(better).tolist()], np.int64
        )
        population = _exchanged(population, np.flatnonzero(better), children, places)
        values = np.where(better, best, values)
        stuck = np.where(better, 0, stuck + 1)
        anew = np.flatnonzero(stuck >= _PATIENCE)
        if len(anew):
            drawn = seed.integers(rows.height, size=len(anew))
            population = _exchanged(population, anew, rows, drawn)
            values[anew], stuck[anew] = excess[drawn], 0
    return found


def _beginning(excess: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """The nearest rows, and as many drawn ones."""
    told = np.flatnonzero(np.isfinite(excess))
    if not len(told):
        return told.astype(np.int64)
    nearest = told[np.argsort(-excess[told], kind="stable")][: _POINTS // 2]
    drawn = generator.choice(told, size=min(_POINTS // 2, len(told)), replace=False)
    return np.concatenate([nearest, drawn]).astype(np.int64)


def _first(parents: NDArray[np.int64], scores: Floats, point: int, best: float) -> int:
    return int(np.flatnonzero((parents == point) & (scores == best))[0])


def _exchanged(
    population: pl.DataFrame, points: NDArray[np.int64], others: pl.DataFrame, places: NDArray[np.int64]
) -> pl.DataFrame:
    """The population with some of its rows taken from others."""
    if not len(points):
        return population
    order = np.arange(population.height)
    order[points] = population.height + np.arange(len(points))
    return pl.concat([population, others[places]])[order]


def _mutated(
    children: pl.DataFrame, rows: pl.DataFrame, inputs: list[str], generator: np.random.Generator
) -> pl.DataFrame:
    """Some cells of each row as another row of the data has them, or a step aside within the range."""
    touched = [inputs[place] for place in generator.permutation(len(inputs))[:_COLUMNS]]
    share = max(_TOUCHED, 1 / len(touched))
    out = []
    for name in touched:
        column = children[name]
        hit = generator.random(children.height) < share
        donors = rows[name].gather(generator.integers(rows.height, size=children.height))
        if column.dtype.is_numeric():
            donors = _stepped(column, donors, rows[name], generator)
        out.append(donors.zip_with(pl.Series(hit), column).rename(name))
    return children.with_columns(out)


def _stepped(column: pl.Series, donors: pl.Series, of_data: pl.Series, generator: np.random.Generator) -> pl.Series:
    """Half of the numbers from other rows, half a step of any size aside."""
    known = of_data.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    known = known[np.isfinite(known)]
    if not len(known):
        return donors
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    sizes = known.std() * 10.0 ** generator.uniform(-_SMALLEST_STEP, 0.0, len(values))
    steps = np.clip(values + sizes * generator.standard_normal(len(values)), known.min(), known.max())
    if column.dtype.is_integer() or bool((known == np.rint(known)).all()):
        steps = np.rint(steps)
    aside = pl.Series(steps).fill_nan(None).cast(column.dtype)
    return aside.zip_with(pl.Series(generator.random(len(values)) < 0.5), donors)


def _scores(
    checker: Checker, children: pl.DataFrame, found: Found, most: int, generator: np.random.Generator
) -> Floats:
    """How near each made row comes; those that break the rule are counted, the worst kept."""
    scores = np.full(children.height, -np.inf)
    fits = np.flatnonzero(checker.bound.fits(children).to_numpy())
    if not len(fits):
        return scores
    own = children[fits]
    before: Replies = ask(checker.predictor, own.select(checker.inputs), checker.like)
    checked = checker.check(own, before, generator, variants=1)
    scores[fits] = checked.excess
    found.num_found += int((checked.excess > 0).sum())
    made = [checker.example(checked, place, None) for place in checked.worst(most)]
    known = {str(each.before): each for each in sorted([*found.examples, *made], key=lambda each: each.excess)}
    found.examples = sorted(known.values(), key=lambda each: -each.excess)[:most]
    return scores
