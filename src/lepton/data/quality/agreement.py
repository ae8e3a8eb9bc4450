"""How far annotators agree, and the labels that they most likely mean.

Sources: Cohen 1960, "A Coefficient of Agreement for Nominal Scales", and 1968 with weights; Fleiss 1971, "Measuring
Nominal Scale Agreement among Many Raters"; Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; Dawid and
Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError, Work
from lepton.data.dataset import Dataset
from lepton.report import plain_table, show_number, show_share

__all__ = [
    "Agreement",
    "Consensus",
    "PairAgreement",
    "cohen_kappa",
    "consensus_labels",
    "fleiss_kappa",
    "krippendorff_alpha",
    "measure_agreement",
]

Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]

_MOST_PAIRED = 45
_MOST_CLASSES = 1_000
_MOST_ROUNDS = 1_000
_SETTLED = 1e-7
_LEAST = 1e-12
"""The least probability of a mistake: what was never seen is not impossible."""


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators.

    Attributes:
        one: an annotator.
        other: another.
        items: that both labelled.
        agreed: share of them with equal labels.
        kappa: Cohen's kappa; None where both gave one label only.
    """

    one: str
    other: str
    items: int
    agreed: float
    kappa: float | None


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree: 1 is always, 0 as often as chance, below 0 less.

    Attributes:
        items: with labels of two annotators or more.
        annotators: how many there are.
        labels: how many labels these items have.
        level: what the labels are to alpha: `nominal`, `ordinal`, `interval` or `ratio`.
        alpha: Krippendorff's, over all annotators and items, whoever labelled what; None where there is one label only.
        kappa: Fleiss', where items may have different numbers of labels; None likewise.
        pairs: of annotators with items in common, the least agreeing first; of the 45 with the most labels.
    """

    items: int
    annotators: int
    labels: int
    level: str
    alpha: float | None
    kappa: float | None
    pairs: tuple[PairAgreement, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "items": self.items,
            "annotators": self.annotators,
            "labels": self.labels,
            "level": self.level,
            "alpha": self.alpha,
            "kappa": self.kappa,
            "pairs": [vars(each) for each in self.pairs],
        }

    def text(self) -> str:
        """Lines and a table for a terminal."""
        lines = [
            f"{self.annotators:,} annotators, {self.items:,} items with several labels",
            f"Krippendorff's alpha ({self.level}): {_shown(self.alpha)}",
            f"Fleiss' kappa: {_shown(self.kappa)}",
        ]
        rows = [(e.one, e.other, f"{e.items:,}", show_share(e.agreed), _shown(e.kappa)) for e in self.pairs[:50]]
        table = plain_table(("annotator", "and", "items", "agreed", "Cohen's kappa"), rows)
        return "\n".join(lines) + ("\n\n" + table if rows else "")

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Consensus:
    """The label that each item most likely has, by how reliable its annotators are.

    Attributes:
        items: as they are in the table, in the order in which they first come.
        labels: most likely label of each.
        classes: all labels, in order.
        probabilities: of the classes [items, classes].
        prevalence: share of each class among the items.
        confusion: annotator → probability of what is given (column) where a class is true (row) [classes, classes].
        counts: annotator → labels given.
        likelihood: logarithm, of all labels under what was estimated.
        rounds: of the estimation.
    """

    items: tuple[Any, ...]
    labels: tuple[Any, ...]
    classes: tuple[Any, ...]
    probabilities: Doubles
    prevalence: Doubles
    confusion: Mapping[str, Doubles]
    counts: Mapping[str, int]
    likelihood: float
    rounds: int

    def frame(self) -> pl.DataFrame:
        """One row for each item: item, label, probability."""
        sure = self.probabilities.max(axis=1) if self.items else np.zeros(0)
        return pl.DataFrame({"item": list(self.items), "label": list(self.labels), "probability": sure})

    def annotators(self) -> pl.DataFrame:
        """One row for each annotator: annotator, labels given, accuracy; the least accurate first."""
        accuracy = [float(self.prevalence @ np.diag(matrix)) for matrix in self.confusion.values()]
        table = {"annotator": list(self.confusion), "labels": list(self.counts.values()), "accuracy": accuracy}
        return pl.DataFrame(table).sort("accuracy", "annotator")

    def __repr__(self) -> str:
        return f"Consensus of {len(self.confusion)} annotators on {len(self.items):,} items\n{self.annotators()}"


def measure_agreement(
    dataset: Dataset, *, item: str, annotator: str, label: str, level: Level = "nominal", work: Work | None = None
) -> Agreement:
    """How far annotators agree, from a table with one row for each label that somebody gave.

    Of several labels that one annotator gave one item, the first counts. Rows with a missing value are left out.

    Args:
        dataset: the labels.
        item: column that says what was labelled.
        annotator: column that says by whom.
        label: column of labels; numbers unless the level is `nominal`.
        level: what a difference between labels means, for alpha.
        work: stops it.

    Raises:
        DataError: a column is not there, the labels are no numbers, or no item has labels of two annotators.
    """
    given = _Given.of(dataset, item, annotator, label, repeats=False)
    if level != "nominal" and not all(isinstance(value, int | float) for value in given.classes):
        raise DataError(
            ErrorCode.WRONG_KIND, f"the labels in {label!r} are no numbers", wanted=f"numbers, for level={level!r}"
        )
    counts = given.by_item()
    several = counts.sum(axis=1) >= 2
    if not several.any():
        raise DataError(
            ErrorCode.TOO_FEW_ROWS, "no item has labels of two annotators", wanted="one row for each item and annotator"
        )
    counts = counts[several]
    pairs = sorted(given.pairs(Work.of(work)), key=lambda each: (each.agreed, each.one, each.other))
    return Agreement(
        int(several.sum()),
        len(given.annotators),
        int(counts.sum()),
        level,
        krippendorff_alpha(counts, given.classes if level != "nominal" else None, level=level),
        fleiss_kappa(counts),
        tuple(pairs),
    )


def cohen_kappa(
    one: Positions, other: Positions, *, weights: Literal["none", "linear", "quadratic"] = "none"
) -> float | None:
    """Agreement of two annotators beyond chance (Cohen 1960; with weights 1968); None where only one label was given.

    Args:
        one: label of each item, numbered from 0 in their order [N].
        other: the same of the other annotator [N].
        weights: how bad a difference is: all alike, or by its size or its square.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.ndim != 1 or not len(one) or min(one.min(), other.min()) < 0:
        came = f"got labels of shapes {one.shape} and {other.shape}"
        raise UsageError(ErrorCode.USAGE, came, wanted="[N] and [N], numbers from 0, at least one item")
    number = int(max(one.max(), other.max())) + 1
    table = np.bincount(one * number + other, minlength=number**2).reshape(number, number) / len(one)
    apart = np.abs(np.subtract.outer(np.arange(number), np.arange(number))).astype(np.float64)
    cost = {"none": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    expected = float((cost * np.outer(table.sum(axis=1), table.sum(axis=0))).sum())
    return None if expected <= 0 else 1 - float((cost * table).sum()) / expected


def fleiss_kappa(counts: Positions) -> float | None:
    """Agreement of many annotators beyond chance; None where only one label was given.

    Items may have different numbers of labels, of two or more; where they have the same, it is Fleiss' of 1971.

    Args:
        counts: how often each item was given each label [N, C].
    """
    given = _counted(counts)
    totals = given.sum(axis=1)
    agreed = ((given**2).sum(axis=1) - totals) / (totals * (totals - 1))
    expected = float(((given.sum(axis=0) / given.sum()) ** 2).sum())
    return None if expected >= 1 else (float(agreed.mean()) - expected) / (1 - expected)


def krippendorff_alpha(
    counts: Positions, values: Sequence[float] | None = None, *, level: Level = "nominal"
) -> float | None:
    """Agreement of any number of annotators, with missing labels (Krippendorff 2011); None where there is one label.

    Args:
        counts: how often each item was given each label [N, C].
        values: of the labels, rising [C]; needed for `interval` and `ratio`.
        level: what a difference means.
    """
    given = _counted(counts)
    weighted = given / (given.sum(axis=1, keepdims=True) - 1)
    coincidences = weighted.T @ given - np.diag(weighted.sum(axis=0))
    sums = coincidences.sum(axis=1)
    apart = _differences(sums, values, level)
    expected = float((np.outer(sums, sums) * apart).sum())
    return None if expected <= 0 else 1 - float((sums.sum() - 1) * (coincidences * apart).sum()) / expected


def _differences(sums: Doubles, values: Sequence[float] | None, level: str) -> Doubles:
    """Squared differences of the labels [C, C]."""
    if level == "nominal":
        return 1.0 - np.eye(len(sums))
    if level == "ordinal":
        below = np.cumsum(sums)
        middle = below - sums / 2  # the ranks between two labels, half of their own rows left out
        return np.subtract.outer(middle, middle) ** 2
    if values is None or len(values) != len(sums):
        raise UsageError(ErrorCode.USAGE, f"got no values for level={level!r}", wanted="one number for each label")
    numbers = np.asarray(values, dtype=np.float64)
    apart = np.subtract.outer(numbers, numbers)
    if level == "interval":
        return apart**2
    total = np.add.outer(numbers, numbers)
    return (apart / np.where(total == 0, 1.0, total)) ** 2


def _counted(counts: Positions) -> Doubles:
    found = np.asarray(counts, dtype=np.float64)
    if found.ndim != 2 or not len(found) or (found < 0).any() or (found.sum(axis=1) < 2).any():
        raise UsageError(
            ErrorCode.USAGE, f"got counts of shape {found.shape}", wanted="[N, C], at least two labels for each item"
        )
    return found


def consensus_labels(dataset: Dataset, *, item: str, annotator: str, label: str, work: Work | None = None) -> Consensus:
    """The label that each item most likely has, and how each annotator mistakes labels (Dawid and Skene 1979).

    Annotators are taken to err independently of each other, each in the same way on all items of a class. The labels
    are found by expectation and maximisation from the share of the votes. It needs several labels an item, and
    annotators with many labels; a single label is believed as far as its annotator is.

    Args:
        dataset: one row for each label that somebody gave; several by one annotator for one item all count.
        item: column that says what was labelled.
        annotator: column that says by whom.
        label: column of labels.
        work: cancel and progress.

    Raises:
        DataError: a column is not there, or nobody gave labels.
    """
    given = _Given.of(dataset, item, annotator, label, repeats=True)
    work = Work.of(work)
    votes = given.by_item().astype(np.float64)
    truth = votes / votes.sum(axis=1, keepdims=True)
    likelihood = -np.inf
    for rounds in range(1, _MOST_ROUNDS + 1):
        work.check()
        prevalence, confusion = given.estimated(truth)
        truth, now = given.expected(prevalence, confusion)
        work.report(rounds, None, "rounds")
        if now - likelihood <= _SETTLED * max(1.0, abs(now)):
            break
        likelihood = now
    return Consensus(
        tuple(given.items),
        tuple(given.classes[place] for place in truth.argmax(axis=1)),
        tuple(given.classes),
        truth,
        prevalence,
        dict(zip(given.annotators, confusion, strict=True)),
        dict(zip(given.annotators, np.bincount(given.who, minlength=len(given.annotators)).tolist(), strict=True)),
        now,
        rounds,
    )


@dataclass(frozen=True)
class _Given:
    """Labels as numbers: what was labelled, by whom, and how."""

    items: list[Any]
    annotators: list[str]
    classes: list[Any]
    what: Positions
    who: Positions
    how: Positions

    @classmethod
    def of(cls, dataset: Dataset, item: str, annotator: str, label: str, *, repeats: bool) -> _Given:
        names = [dataset.schema[name].name for name in (item, annotator, label)]
        if len(set(names)) < 3:
            raise DataError(ErrorCode.BAD_VALUE, f"got the columns {names}", wanted="three different columns")
        frame = dataset.frame(names).drop_nulls()
        frame.columns = ["what", "who", "how"]
        if not repeats:
            frame = frame.unique(["what", "who"], keep="first", maintain_order=True)
        if not frame.height:
            raise DataError(ErrorCode.TOO_FEW_ROWS, "no row has an item, an annotator and a label")
        classes = frame["how"].unique().sort()
        if len(classes) > _MOST_CLASSES:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"{label!r} has {len(classes):,} different labels",
                wanted=f"at most {_MOST_CLASSES:,}: labels, not free text",
            )
        items = frame["what"].unique(maintain_order=True)
        people = frame["who"].unique().sort()
        places = [
            frame[name].replace_strict(known, list(range(len(known))), return_dtype=pl.Int64).to_numpy()
            for name, known in (("what", items), ("who", people), ("how", classes))
        ]
        return cls(items.to_list(), people.cast(pl.String).to_list(), classes.to_list(), *places)

    def by_item(self) -> Positions:
        """How often each item was given each label [items, classes]."""
        size = len(self.classes)
        counts = np.bincount(self.what * size + self.how, minlength=len(self.items) * size)
        return counts.reshape(-1, size)

    def pairs(self, work: Work) -> list[PairAgreement]:
        """Every two annotators with items in common, of those with the most labels."""
        own: list[dict[int, int]] = [{} for _ in self.annotators]
        for what, who, how in zip(self.what.tolist(), self.who.tolist(), self.how.tolist(), strict=True):
            own[who][what] = how
        found = []
        most = sorted(range(len(own)), key=lambda who: (-len(own[who]), who))[:_MOST_PAIRED]
        for one, other in itertools.combinations(sorted(most), 2):
            work.check()
            both = sorted(own[one].keys() & own[other].keys())
            if both:
                mine = np.array([own[one][what] for what in both])
                theirs = np.array([own[other][what] for what in both])
                kappa = cohen_kappa(mine, theirs)
                agreed = float((mine == theirs).mean())
                found.append(PairAgreement(self.annotators[one], self.annotators[other], len(both), agreed, kappa))
        return found

    def estimated(self, truth: Doubles) -> tuple[Doubles, Doubles]:
        """Prevalence [C] and confusion [annotators, true, given], by how likely each item has each class."""
        size, people = len(self.classes), len(self.annotators)
        place = self.who * size + self.how
        confusion = np.stack(
            [
                np.bincount(place, weights=truth[self.what, true], minlength=people * size).reshape(people, size)
                for true in range(size)
            ],
            axis=1,
        )
        totals = confusion.sum(axis=2, keepdims=True)
        # What an annotator does where a class is true that he never met: nothing is known.
        rates: Doubles = np.where(totals > 0, confusion / np.where(totals > 0, totals, 1.0), 1.0 / size)
        prevalence: Doubles = truth.mean(axis=0)
        return prevalence, rates

    def expected(self, prevalence: Doubles, confusion: Doubles) -> tuple[Doubles, float]:
        """How likely each item has each class [items, C], and the logarithm of the likelihood of all labels."""
        told: Doubles = np.log(np.maximum(confusion, _LEAST))
        size = len(self.classes)
        logs = np.log(np.maximum(prevalence, _LEAST)) + np.stack(
            [
                np.bincount(self.what, weights=told[self.who, true, self.how], minlength=len(self.items))
                for true in range(size)
            ],
            axis=1,
        )
        top = logs.max(axis=1, keepdims=True)
        share = np.exp(logs - top)
        total = share.sum(axis=1, keepdims=True)
        return share / total, float((top + np.log(total)).sum())


def _shown(value: float | None) -> str:
    return "undefined: one label only" if value is None else show_number(value, 3)
