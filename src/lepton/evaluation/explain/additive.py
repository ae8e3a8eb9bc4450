"""Exact contributions where the graph says how the answer adds up: trees, and products with fixed weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs
from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.background import Rows
from lepton.evaluation.explain.base import Question
from lepton.evaluation.explain.coalitions import Game
from lepton.evaluation.explain.forest import trees_of
from lepton.evaluation.explain.linear import Sum, sums_behind
from lepton.evaluation.explain.nodes import Nodes, Taps
from lepton.evaluation.explain.sampling import in_pairs
from lepton.evaluation.explain.trees import tree_contributions

__all__ = ["Additive", "additive_contributions", "linear_with_products"]

_CELLS = 2**24  # features that are looked at together
_TOLERANCE = 1e-5
_LARGEST_ODDS = 15.0  # log-odds that a probability in double precision still tells
_LEAST_SHARE = 1e-9  # below which a probability does not tell its score
_LEAST_VALUES = 4  # that a line is laid through
_CHECKS = 2
_SAME, _SEVERAL = -1, -2
Integers = NDArray[np.int64]
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Additive:
    """What was found exactly.

    Attributes:
        question: what is explained; its title says whether probabilities, log-odds or scores.
        values: contributions [N, P, K].
        answers: [N, K].
        base: [K].
        method: `trees` or `linear`.
        evaluations: rows that the graph was run for.
    """

    question: Question
    values: Floats
    answers: Floats
    base: Floats
    method: str
    evaluations: int


def linear_with_products(
    predictor: Predictor, questions: Sequence[Question], rows: Rows, most: int, work: Work
) -> Additive | None:
    """Exact contributions to a linear model some of whose features are products of two columns.

    Args:
        predictor: of a table model.
        questions: in the order in which they are preferred; of several labels the last one asks for raw scores.
        rows: to explain, and the background.
        most: rows that the model may be asked for.
        work: cancel.
    """
    bundle = predictor.bundle
    if "training/kind" not in bundle.names or bundle.member("training/kind") != b"linear":
        return None
    question, raw = questions[0], predictor.manifest.inner.get("raw")
    taps: Taps | None = None
    if len(questions) > 1 and raw is not None and _is_score(questions[-1]):
        question, taps = questions[-1], Taps(bundle.graph, [raw])

    def ask(tensors: Tensors) -> Floats:
        return question.ask(tensors) if taps is None else np.asarray(taps.read(tensors)[raw or ""], dtype=np.float64)

    game = Game(rows, ask)
    found = in_pairs(game, most, work)
    if found is None:
        return None
    return Additive(question, found.values, game.answers, game.base, "linear", found.evaluations)


def _is_score(question: Question) -> bool:
    return bool(question.labels) and not question.places


@dataclass(frozen=True, slots=True)
class _Link:
    """The answers as `scores @ weights + start`."""

    question: Question
    weights: Floats
    start: Floats


def additive_contributions(
    predictor: Predictor, questions: Sequence[Question], tensors: Tensors, others: Tensors, work: Work
) -> Additive | None:
    """Contributions of the first of `questions` whose answer is a sum that the graph shows; None where none is.

    Args:
        predictor: of a table model.
        questions: in the order in which they are preferred. One whose `output` is an inner value of the graph asks for
            that value.
        tensors: rows to explain [N].
        others: the background [B].
        work: cancel.
    """
    inputs = predictor.inputs
    if not isinstance(inputs, TableInputs):
        return None
    nodes = Nodes.of(predictor.bundle.graph)
    start = predictor.manifest.inner.get("raw", questions[0].output)
    for value, read in sums_behind(nodes, start):
        found = _explained(predictor, inputs, questions, (value, read), Rows(inputs, tensors, others), work)
        if found is not None:
            return found
    return None


def _explained(
    predictor: Predictor,
    inputs: TableInputs,
    questions: Sequence[Question],
    named: tuple[str, Sum],
    rows: Rows,
    work: Work,
) -> Additive | None:
    value, read = named
    parts = [(trees_of(node), weights) for node, weights in read.trees]
    sources = [*(tree.source for tree, _ in parts if tree is not None), *(name for name, _ in read.products)]
    if any(tree is None for tree, _ in parts):
        return None
    taps = Taps(predictor.bundle.graph, [value, *sources])
    width = max((len(weights) for _, weights in read.products), default=0)
    step = max(1, _CELLS // max(width, len(inputs.names), 1) - rows.num_others)
    link: _Link | None = None
    values, answers, base = [], [], np.zeros(0)
    for first in range(0, rows.num_rows, step):
        work.check()
        block = Rows(inputs, {name: t[first : first + step] for name, t in rows.tensors.items()}, rows.others)
        given = taps.read(block.both())
        scores = np.asarray(given[value], dtype=np.float64).reshape(block.num_rows + block.num_others, -1)
        link = link or _link(questions, block, scores)
        if link is None or not np.isfinite(scores).all():
            return None
        columns = _columns_behind(taps, block, given, sources)
        if columns is None:
            return None
        told = scores @ link.weights + link.start
        base = told[block.num_rows :].mean(axis=0)
        found = _added(parts, read, link.weights, (given, columns), block, work)
        if found is None:
            return None
        lacking = told[: block.num_rows] - base - found.sum(axis=1)
        if np.abs(lacking).max(initial=0) > _TOLERANCE * (1.0 + np.abs(told).max()):
            return None
        # Rounding, in single precision mostly; it goes where it is the smallest share.
        largest = np.abs(found).argmax(axis=1)[:, None]
        np.put_along_axis(found, largest, np.take_along_axis(found, largest, axis=1) + lacking[:, None], axis=1)
        values.append(found)
        answers.append(told[: block.num_rows])
    if link is None:
        return None
    method = "trees" if read.trees else "linear"
    asked = rows.num_rows + rows.num_others
    return Additive(link.question, np.concatenate(values), np.concatenate(answers), base, method, asked)


def _added(
    parts: Sequence[Any], read: Sum, link: Floats, told: tuple[Tensors, Mapping[str, Integers]], rows: Rows, work: Work
) -> Floats | None:
    """Contributions [N, P, K] of all parts of a sum."""
    given, columns = told
    num_rows, num_columns = rows.num_rows, len(rows.names)
    total = np.zeros((num_rows, num_columns, link.shape[1]))
    for trees, weights in parts:
        own = replace(trees, leaf_values=trees.leaf_values @ weights @ link)
        features = given[trees.source]
        found = tree_contributions(
            own, features[:num_rows], features[num_rows:], columns[trees.source], num_columns, work
        )
        if found is None:
            return None
        total += found
    for value, weights in read.products:
        features = np.asarray(given[value], dtype=np.float64)
        moved = features[:num_rows] - features[num_rows:].mean(axis=0)
        column = columns[value]
        order = np.argsort(column, kind="stable")
        order = order[column[order] >= 0]
        if not len(order):
            continue
        starts = np.flatnonzero(np.diff(column[order], prepend=-1))
        for place in range(link.shape[1]):
            effects = moved[:, order] * (weights @ link)[order, place]
            total[:, column[order][starts], place] += np.add.reduceat(effects, starts, axis=1)
    return total


def _link(questions: Sequence[Question], rows: Rows, scores: Floats) -> _Link | None:
    """The first question whose answers are the scores but for a factor and a start."""
    both = rows.both()
    for question in questions:
        if _is_score(question):
            if _become_probabilities(scores, question.ask(both)):
                return _Link(question, np.eye(scores.shape[1]), np.zeros(scores.shape[1]))
            continue
        answers = question.ask(both)
        if (found := _line(question, scores, answers)) is not None:
            return found
    return None


def _become_probabilities(scores: Floats, probabilities: Floats) -> bool:
    """Whether the softmax of the scores, but for a temperature, is the probabilities."""
    if scores.shape != probabilities.shape:
        return False
    kept = np.asarray((probabilities > _LEAST_SHARE).all(axis=1))
    logs = np.log(np.where(kept[:, None], probabilities, 1.0))
    apart, told = (each[kept] - each[kept].mean(axis=1, keepdims=True) for each in (scores, logs))
    line = _through(apart.ravel(), told.ravel(), False) if kept.any() else None
    return line is not None and line[0] > 0


def _line(question: Question, scores: Floats, answers: Floats) -> _Link | None:
    width, num_scores = answers.shape[1], scores.shape[1]
    choices = [np.eye(num_scores)] if width == num_scores else []
    if width == 1 and num_scores > 1:
        choices = [np.eye(num_scores)[:, [place]] for place in question.places if place < num_scores]
        if num_scores == 2:
            choices.append(np.array([[-1.0], [1.0]]) if question.places == (1,) else np.array([[1.0], [-1.0]]))
    for choice in choices:
        chosen = scores @ choice
        slopes, starts = np.zeros(width), np.zeros(width)
        for place in range(width):
            line = _through(chosen[:, place], answers[:, place], question.log_odds)
            if line is None:
                break
            slopes[place], starts[place] = line
        else:
            return _Link(question, choice * slopes, starts)
    return None


def _through(scores: Floats, answers: Floats, log_odds: bool) -> tuple[float, float] | None:
    """Slope and start of the line that all answers lie on; None where they lie on none, or are too few to say."""
    told = np.abs(answers) < _LARGEST_ODDS if log_odds else np.isfinite(answers)
    if not told.any():
        return None
    x, y = scores[told], answers[told]
    if np.ptp(x) == 0 and np.ptp(y) == 0 and told.all():
        return 0.0, float(y[0])
    if len(np.unique(np.round((x - x.min()) / max(float(np.ptp(x)), 1e-300), 9))) < _LEAST_VALUES:
        return None
    low, high = int(x.argmin()), int(x.argmax())
    slope = float((y[high] - y[low]) / (x[high] - x[low]))
    start = float(np.mean(y - slope * x))
    off = float(np.abs(slope * x + start - y).max())
    return (slope, start) if off <= _TOLERANCE * float(np.ptp(y)) else None


def _columns_behind(taps: Taps, rows: Rows, given: Tensors, sources: Sequence[str]) -> dict[str, Integers] | None:
    """The column that each feature comes from, -1 where a feature is the same in all rows; None if one has several.

    Rows in random order are mixed, each with the next: the columns whose number has a certain bit are of the next row.
    A feature of one column then is as in the one row or as in the other, which is that bit of the column's number; so
    the logarithm of the number of columns is how often the graph is asked, and no step before the features need be
    understood. Mixtures by chance check what was found.
    """
    num_columns, both = len(rows.names), rows.both()
    mixing = _Mixing(taps, both, rows)
    found = {name: _Found.of(given[name][mixing.rows], given[name][mixing.nexts]) for name in set(sources)}
    for bit in range(max(1, (num_columns - 1).bit_length())):
        chosen = np.broadcast_to(np.arange(num_columns) >> bit & 1 == 1, (len(mixing.rows), num_columns))
        there, back = mixing.read(chosen), mixing.read(~chosen)
        for name, each in found.items():
            if not each.take(bit, there[name], back[name]):
                return None
    columns = {name: each.columns(num_columns) for name, each in found.items()}
    if any((column == _SEVERAL).any() for column in columns.values()):
        return None
    random = np.random.default_rng(0)
    for _ in range(_CHECKS):
        chosen = random.random((len(mixing.rows), num_columns)) < 0.5
        read = mixing.read(chosen)
        for name, each in found.items():
            own = chosen[:, np.maximum(columns[name], 0)]
            if not _alike(read[name], np.where(own, each.second, each.first)).all():
                return None
    return columns


class _Mixing:
    """Rows and background in random order, each row with its next."""

    def __init__(self, taps: Taps, both: Tensors, rows: Rows) -> None:
        count = rows.num_rows + rows.num_others
        order = np.random.default_rng(0).permutation(count)
        self.rows, self.nexts = order, np.roll(order, -1)
        self._taps, self._both, self._columns = taps, both, rows.columns

    def read(self, chosen: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Values of rows whose columns `chosen` are those of the next."""
        mixed = {
            name: np.where(chosen[:, columns], self._both[name][self.nexts], self._both[name][self.rows])
            for name, columns in self._columns.items()
        }
        return self._taps.read(mixed)


@dataclass(slots=True)
class _Found:
    """What is known of the features [F] so far."""

    first: NDArray[Any]
    second: NDArray[Any]
    moved: NDArray[np.bool_]
    codes: Integers

    @classmethod
    def of(cls, first: NDArray[Any], second: NDArray[Any]) -> _Found:
        return cls(first, second, ~_alike(first, second), np.zeros(first.shape[1], dtype=np.int64))

    def take(self, bit: int, there: NDArray[Any], back: NDArray[Any]) -> bool:
        """Note one bit of the columns' numbers; whether every feature may still be one of one column."""
        of_next, of_row = _alike(there, self.second), _alike(there, self.first)
        fits = (of_next & _alike(back, self.first)) | (of_row & _alike(back, self.second))
        mine = self.moved & of_next
        bits = mine.any(axis=0)
        agree = (mine | ~self.moved).all(axis=0) | ~bits
        self.codes |= bits.astype(np.int64) << bit
        return bool(fits.all() and agree.all())

    def columns(self, num_columns: int) -> Integers:
        codes = np.where(self.codes < num_columns, self.codes, _SEVERAL)
        return np.where(self.moved.any(axis=0), codes, _SAME)


def _alike(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    same = first == second
    if first.dtype.kind == "f":
        same |= np.isnan(first) & np.isnan(second)
    return np.asarray(same)
