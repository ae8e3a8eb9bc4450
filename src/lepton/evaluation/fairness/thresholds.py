"""A threshold for each group: chosen on one half of the rows, judged on the other.

Source: Hardt, Price & Srebro, "Equality of opportunity in supervised learning" (2016), section 3, with one threshold a
group and no coin: the paper equalises true and false positive rates together by answering some people at random, which
is not done here. It is an explicit step with a record; the model file stays as it is and answers as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import DataError, ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate, difference, intervals
from lepton.evaluation.classification import Floats, Positions, mean_of
from lepton.evaluation.fairness.fairness import Asked, asked_of, fairness
from lepton.evaluation.fairness.groups import LEAST_ROWS, Parts, parts_by, unknown_column
from lepton.evaluation.fairness.result import LAW, title_of
from lepton.evaluation.threshold import Costs, best_threshold, cost_matrix
from lepton.report import plain_table, show_number

__all__ = ["GroupThresholds", "choose_thresholds", "thresholds_of"]

AIMS = ("equal_opportunity", "selection_rate", "cost")
_RATES = 200
_FEW_NUMBERS = 8
_MOST_GROUPS = 50
_SHOWN = (
    "selection_rate_difference",
    "equal_opportunity_difference",
    "equalised_odds_difference",
    "predictive_parity_difference",
)


@dataclass(frozen=True, slots=True)
class GroupThresholds:
    """Thresholds by group, what they gain and what they cost; made by `choose_thresholds`.

    Attributes:
        column: the protected column.
        favourable: the label that is given from the threshold on.
        aim: what was made alike: `equal_opportunity`, `selection_rate`, or `cost` for nothing but each group's cost.
        common: threshold for groups that have none of their own: the cheapest for all together.
        thresholds: group → threshold of the probability of the favourable label.
        edges: where numbers are cut into groups; None where groups are values.
        before: measures with the common threshold, on the rows that were not chosen by.
        after: the same with a threshold for each group.
        cost_before: mean cost of a row with the common threshold, on the same rows.
        cost_after: the same with a threshold for each group.
        cost_change: what a row costs more, paired.
        num_rows: rows that it was chosen on, and judged on.
        notes: what limits it.
    """

    column: str
    favourable: str | int
    aim: str
    common: float
    thresholds: dict[str, float]
    edges: tuple[float, ...] | None
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    cost_before: Estimate
    cost_after: Estimate
    cost_change: Estimate
    num_rows: tuple[int, int]
    notes: tuple[str, ...] = ()

    def favours(self, probability: Any, column: pl.Series) -> NDArray[np.bool_]:
        """Whether each row is answered favourably [N].

        Args:
            probability: of the favourable label [N].
            column: the protected column of the same rows.
        """
        given = np.asarray(probability, dtype=np.float64)
        if given.shape != (len(column),):
            came = f"got {given.size} probabilities for {len(column)} rows"
            raise UsageError(ErrorCode.USAGE, came, wanted="one a row")
        limit = np.full(len(column), self.common)
        for name, rows in _parts(column, self.edges, tuple(self.thresholds)):
            limit[rows] = self.thresholds.get(name, self.common)
        favoured: NDArray[np.bool_] = given >= limit
        return favoured

    def answers(self, predictor: Predictor, rows: pl.DataFrame) -> pl.DataFrame:
        """What the model answers with these thresholds: `prediction` and `threshold`, one row a row.

        Args:
            predictor: the model that they were chosen for.
            rows: with its columns, and the protected one, which it need not take.
        """
        if self.column not in rows.columns:
            raise unknown_column(self.column, rows.columns, taken=True)
        labels = list(predictor.labels or ())
        if self.favourable not in labels or len(labels) != 2:
            raise UsageError(ErrorCode.USAGE, "got another model", wanted=f"a model with the label {self.favourable!r}")
        inputs = [each.name for each in predictor.manifest.inputs if each.name in rows.columns]
        place = labels.index(self.favourable)
        probability = np.asarray(predictor.outputs(rows.select(inputs))["probabilities"], dtype=np.float64)[:, place]
        favoured = self.favours(probability, rows[self.column])
        given = [labels[place] if each else labels[1 - place] for each in favoured.tolist()]
        return pl.DataFrame({"prediction": given, "probability": probability})

    def to_dict(self) -> dict[str, Any]:
        """The record, JSON-ready: keep it beside the model."""
        return {
            "kind": "thresholds",
            "source": "Hardt, Price & Srebro 2016",
            "column": self.column,
            "favourable": self.favourable,
            "aim": self.aim,
            "common": self.common,
            "thresholds": dict(self.thresholds),
            "edges": None if self.edges is None else list(self.edges),
            "before": {name: each.to_dict() for name, each in self.before.items()},
            "after": {name: each.to_dict() for name, each in self.after.items()},
            "cost_before": self.cost_before.to_dict(),
            "cost_after": self.cost_after.to_dict(),
            "cost_change": self.cost_change.to_dict(),
            "num_rows": {"chosen": self.num_rows[0], "judged": self.num_rows[1]},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        head = f"{str(self.favourable)!r} from these probabilities on, by {printable(self.column)!r}; "
        head += f"chosen on {self.num_rows[0]:,} rows, judged on {self.num_rows[1]:,} others."
        rows = [(name, show_number(each)) for name, each in self.thresholds.items()]
        told = [(title_of(name), str(self.before[name]), str(self.after[name])) for name in self.before]
        told += [("mean cost of a row", str(self.cost_before), str(self.cost_after))]
        lines = [head, "", plain_table(("group", "threshold"), [*rows, ("others", show_number(self.common))]), ""]
        lines.append(plain_table(("on other rows", "one threshold", "one for each group"), told))
        return "\n".join([*lines, "", f"It costs {self.cost_change} more a row.", *self.notes])


def choose_thresholds(
    answers: Answers,
    column: str,
    *,
    aim: str = "equal_opportunity",
    costs: Costs | None = None,
    favourable: Any = None,
    edges: Sequence[float] | None = None,
    within: int = LEAST_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> GroupThresholds:
    """A threshold for each group, so that groups fare alike at the least cost.

    Half of the rows are chosen by, the other half says what it gains and costs, against the one threshold that is
    cheapest for all. Nothing is changed by it: apply what comes out with `favours` or `answers`.

    Args:
        answers: of `gather`, with the protected column among its `columns`; of a model with two labels.
        column: the protected column.
        aim: `equal_opportunity` (the same share of those who are favourable in truth), `selection_rate` (the same
            share of all), or `cost` (what is cheapest in each group by itself).
        costs: of mistakes, as of `Costs`, where positive means favourable; by default each costs 1.
        favourable: the label that is good for people; by default the second.
        edges: rising places to cut a column of numbers at; by default its quartiles.
        within: least rows of a group, in each half; smaller ones get the common threshold.
        seed: of the halves and the bootstrap.
        work: cancel and progress.

    Raises:
        DataError: no such column; fewer than two groups with rows enough.
        UsageError: a model without two labels; another aim; costs that cannot be meant.
    """
    work = Work.of(work)
    if aim not in AIMS:
        odds = "equalised odds need answers given at random (Hardt et al. 2016), which are not made"
        fix = odds if "odds" in str(aim) else ""
        raise UsageError(ErrorCode.USAGE, f"got aim={aim!r}", wanted="one of " + ", ".join(AIMS), fix=fix)
    if answers.task != "binary" or answers.probabilities is None:
        raise UsageError(ErrorCode.USAGE, f"got a model for {answers.task}", wanted="a model with two labels")
    if column not in answers.columns.columns:
        raise unknown_column(column, answers.columns.columns, taken=False)
    matrix = cost_matrix({"false_positive": 1.0, "false_negative": 1.0} if costs is None else costs)
    values = answers.columns[column]
    cuts = _cuts(values, edges)
    chosen = _half(answers, seed)
    learn, judge = answers.only(chosen), answers.only(~chosen)
    asked = asked_of(learn, favourable)
    parts = _parts(values, cuts)
    large = [(n, r[chosen]) for n, r in parts if min(int(r[chosen].sum()), int(r[~chosen].sum())) >= within]
    if len(large) < 2:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"{len(large)} groups of {printable(column)!r} have {within} rows in each half of the data",
            wanted="at least two, or nothing can be compared",
        )
    probability = _probability(asked)
    weight = np.ones(learn.num_rows) if learn.weight is None else learn.weight
    true = asked.true.astype(np.int64)
    common = best_threshold(true, probability, matrix, weight)
    options = [_Group(true[rows], probability[rows], weight[rows], matrix) for _, rows in large]
    found = dict(zip([name for name, _ in large], _chosen(options, aim), strict=True))
    label = learn.labels[1] if asked.favourable is None else asked.favourable
    rule = _Rule(column, cuts, label, aim, common, found)
    return _judged(judge, rule, matrix, int(chosen.sum()), within, seed, work)


def thresholds_of(
    predictor: Predictor, dataset: Dataset, column: str, *, target: str | None = None, **options: Any
) -> GroupThresholds:
    """`choose_thresholds` by the answers of a model to rows that it was not trained on.

    Args:
        predictor: an opened model with two labels.
        dataset: rows with the target and the protected column.
        column: the protected column, which the model need not take.
        target: column of the truth; by default the one that the model was trained to predict.
        options: as of `choose_thresholds`.

    Raises:
        DataError: no such column, or too few rows.
        UsageError: options that cannot be meant.
    """
    if column not in dataset.schema:
        taken = [each.name for each in predictor.manifest.inputs]
        raise unknown_column(column, dataset.schema.names, taken=column in taken)
    answers = gather(predictor, dataset, target=target, columns=[column], work=options.get("work"))
    return choose_thresholds(answers, column, **options)


@dataclass(frozen=True)
class _Rule:
    """What was chosen."""

    column: str
    cuts: tuple[float, ...] | None
    favourable: str | int
    aim: str
    common: float
    thresholds: dict[str, float]


class _Group:
    """Every threshold that a group could have, with what comes of it."""

    def __init__(self, true: Positions, probability: Floats, weight: Floats, matrix: Floats) -> None:
        order = np.argsort(-probability, kind="stable")
        falling, mass = probability[order], weight[order]
        ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
        favoured = np.cumsum(mass)[ends]
        hits = np.cumsum(mass * true[order])[ends]
        change = np.cumsum(mass * (matrix[true[order], 1] - matrix[true[order], 0]))[ends]
        below = np.append(falling[1:], 0.0)[ends]
        self.threshold = np.append(np.nextafter(1.0, 2.0), (falling[ends] + below) / 2)
        self.threshold[-1] = 0.0
        self.cost = np.append(0.0, change)
        self.rates = {
            "selection_rate": np.append(0.0, favoured) / max(weight.sum(), 1e-300),
            "equal_opportunity": np.append(0.0, hits) / max(float(weight @ true), 1e-300),
        }
        self.has_true = bool((weight * true).any())

    def cheapest(self) -> int:
        return int(np.argmin(self.cost))

    def nearest(self, aim: str, rates: Floats) -> NDArray[np.int64]:
        """The place whose rate is nearest to each of some rates; the rates never fall."""
        own = self.rates[aim]
        after = np.clip(np.searchsorted(own, rates), 1, len(own) - 1)
        closer = np.abs(own[after - 1] - rates) <= np.abs(own[after] - rates)
        return np.where(closer, after - 1, after)


def _chosen(groups: Sequence[_Group], aim: str) -> list[float]:
    """The threshold of each group: of all common rates the one that costs least."""
    if aim == "cost":
        return [float(each.threshold[each.cheapest()]) for each in groups]
    if aim == "equal_opportunity" and not all(each.has_true for each in groups):
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            "a group has no row that is favourable in truth",
            wanted="such rows in every group, so that shares of them can be alike",
        )
    rates = np.linspace(0.0, 1.0, _RATES + 1)
    places = [each.nearest(aim, rates) for each in groups]
    total = np.sum([each.cost[place] for each, place in zip(groups, places, strict=True)], axis=0)
    best = int(np.argmin(total))
    return [float(each.threshold[place[best]]) for each, place in zip(groups, places, strict=True)]


def _judged(
    judge: Answers, rule: _Rule, matrix: Floats, num_chosen: int, within: int, seed: int, work: Work
) -> GroupThresholds:
    """What the thresholds gain and cost on rows that they were not chosen by."""
    asked = asked_of(judge, rule.favourable)
    probability, true = _probability(asked), asked.true.astype(np.int64)
    limit = np.full(judge.num_rows, rule.common)
    small: list[str] = []
    for name, rows in _parts(judge.columns[rule.column], rule.cuts):
        limit[rows] = rule.thresholds.get(name, rule.common)
        if name not in rule.thresholds:
            small.append(name)
    said = []
    if small:
        few = ", ".join(printable(repr(name), 60) for name in small[:5])
        said.append(f"{len(small):,} groups have too few rows for a threshold of their own, such as {few}.")
    calls = {"before": probability >= rule.common, "after": probability >= limit}
    place = list(judge.labels).index(rule.favourable)
    measures = {
        when: _measures(judge, np.where(call, place, 1 - place), rule, within, seed, work)
        for when, call in calls.items()
    }
    cost: dict[str, Callable[[Floats], Floats]] = {
        when: mean_of(matrix[true, call.astype(np.int64)]) for when, call in calls.items()
    }
    cost["change"] = difference(cost["after"], cost["before"])
    found = intervals(cost, judge.num_rows, weight=judge.weight, groups=judge.groups, seed=seed, work=work)
    return GroupThresholds(
        rule.column,
        rule.favourable,
        rule.aim,
        rule.common,
        rule.thresholds,
        rule.cuts,
        measures["before"],
        measures["after"],
        found["before"],
        found["after"],
        found["change"],
        (num_chosen, judge.num_rows),
        (*said, "The model file does not hold these thresholds: it answers as before.", LAW),
    )


def _measures(judge: Answers, predicted: Any, rule: _Rule, within: int, seed: int, work: Work) -> dict[str, Estimate]:
    called = replace(judge, predicted=predicted, probabilities=None)
    edges: Mapping[str, Sequence[float]] | None = None if rule.cuts is None else {rule.column: rule.cuts}
    found = fairness(
        called, [rule.column], favourable=rule.favourable, within=within, edges=edges, seed=seed, work=work
    )
    return {name: found.columns[rule.column].measures[name] for name in _SHOWN}


def _probability(asked: Asked) -> Floats:
    if asked.probability is None or not np.isfinite(asked.probability).all():
        raise DataError(ErrorCode.BAD_VALUE, "the model gives no probabilities, or some that are not finite")
    return asked.probability


def _half(answers: Answers, seed: int) -> NDArray[np.bool_]:
    """The rows to choose by: half of them, or of their groups."""
    generator = np.random.default_rng([seed, 3])
    if answers.groups is None:
        mask = np.zeros(answers.num_rows, dtype=bool)
        mask[generator.permutation(answers.num_rows)[: answers.num_rows // 2]] = True
        return mask
    num_groups = int(answers.groups.max()) + 1
    kept = generator.permutation(num_groups)[: num_groups // 2]
    return np.isin(answers.groups, kept)


def _cuts(values: pl.Series, edges: Sequence[float] | None) -> tuple[float, ...] | None:
    """Where numbers are cut, fixed once, so that other rows fall into the same groups; None for other columns."""
    if edges is not None:
        return tuple(float(each) for each in edges)
    if not values.dtype.is_numeric():
        return None
    numbers = values.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    there = np.unique(numbers)
    if len(there) > _FEW_NUMBERS:
        there = np.unique(np.quantile(numbers, [0.0, 0.25, 0.5, 0.75], method="higher"))
    return tuple(float(each) for each in there[1:]) or (float(there[0]) if len(there) else 0.0,)


def _parts(column: pl.Series, cuts: tuple[float, ...] | None, names: Sequence[str] = ()) -> Parts:
    """Groups by ranges, or by the exact text of a value; rows without a value are in none."""
    if cuts is not None:
        return [(name, rows) for name, rows in parts_by(column, cuts) if name != "missing"]
    texts = column.cast(pl.String).alias("value")
    frequent = texts.drop_nulls().value_counts(sort=True, name="rows").sort("rows", "value", descending=[True, False])
    wanted = names or frequent["value"].head(_MOST_GROUPS).to_list()
    return [(name, (texts == name).fill_null(False).to_numpy()) for name in wanted]
