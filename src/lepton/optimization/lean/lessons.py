"""What a smaller model of a table learns from: what stands before its scores, and what the original says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind, Work
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.forests import forests_in
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.optimization.lean.rows import Rows

__all__ = ["TASKS", "Lesson", "Link", "bare_lesson", "has_no_lesson", "lesson_of", "source_of", "told_rows"]

Doubles = NDArray[np.float64]

TASKS = frozenset({"regression", "binary", "multiclass", "quantile", "multilabel", "ranking"})

_FEWEST_ROWS, _MOST_ROWS = 40, 40_000
_MADE_A_ROW = 3
_WIDEST = 600
_SWAPPED = 0.3  # of the columns of a made row come from another row
_NEAR = 0.01  # of the rows, by score, from which that other row is taken
_MADE_WEIGHT = 0.5
_HELD_EVERY = 5  # rows
_FLATTEST = 0.02  # least curvature of a probability that counts
_EXACT = 1e-6
_CLASSES = frozenset({"binary", "multiclass", "multilabel"})


@dataclass(frozen=True, slots=True)
class Link:
    """How answers follow from raw scores.

    Attributes:
        task: of the model.
        known: whether the truth is, in a form that scores can be moved towards.
        temperature: what scores of classes are divided by before they are probabilities.
        slope: of the line from scores to numbers.
        start: of that line.
    """

    task: str
    known: bool = False
    temperature: float = 1.0
    slope: float = 1.0
    start: float = 0.0

    @classmethod
    def of(cls, answers: Answers, raw: Doubles, *, labelled: bool) -> Link:
        """What the answers of the original show."""
        if answers.task == "regression":
            slope, start = _line(raw[:, 0], answers.predicted)
            return cls("regression", labelled and slope != 0.0, slope=slope, start=start)
        temperature = _temperature(answers, raw) if answers.task in _CLASSES else 0.0
        return cls(answers.task, labelled and temperature > 0.0, temperature=temperature or 1.0)

    def curvature(self, scores: Doubles) -> Doubles:
        """How fast probabilities change with their scores [N, S]; 1 for numbers."""
        if self.task not in _CLASSES:
            return np.ones_like(scores)
        shares = _probabilities(self.task, scores / self.temperature)
        return np.asarray(np.maximum(shares * (1.0 - shares), _FLATTEST))

    def rest(self, answers: Answers, raw: Doubles, curvature: Doubles) -> Doubles:
        """From scores to the truth [N, S]: for classes one step of Newton's method, so that least squares serve all."""
        if not self.known:
            return np.zeros_like(raw)
        if self.task == "regression":
            return np.asarray(((answers.y - self.start) / self.slope)[:, None] - raw)
        shares = _probabilities(self.task, raw / self.temperature)
        return np.asarray(self.temperature * (_indicators(answers, raw.shape[1]) - shares) / curvature)


def _indicators(answers: Answers, width: int) -> Doubles:
    """1 where a class or label is true [N, S]."""
    truth = answers.y if answers.y.ndim == 2 else np.eye(len(answers.labels))[answers.y][:, -width:]
    return np.asarray(truth, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned: raw scores of rows, by least squares with `weight`.

    Attributes:
        source: the value of the graph that `features` are.
        features: in double precision [N, F]; rows that came stand before rows that were made.
        said: what the original says [N, S].
        rest: how far the truth is from that, where it is known, else 0 [N, S].
        weight: how much each of them counts [N, S].
        answers: of the original to the rows that came.
        link: how probabilities or numbers follow from the scores of the rows that came.
        dtype: of the raw scores in the graph.
    """

    source: str
    features: Doubles
    said: Doubles
    rest: Doubles
    weight: Doubles
    answers: Answers
    link: Link
    dtype: Any

    @property
    def held(self) -> NDArray[np.bool_]:
        """Rows that say which of several fits is best [N]: some of those that came."""
        held = np.zeros(len(self.features), dtype=bool)
        held[: self.answers.num_rows : _HELD_EVERY] = True
        return held

    def target(self, share: float) -> Doubles:
        """What is between the original and the truth [N, S]."""
        return self.said + share * self.rest

    def loss(self, scores: Doubles) -> float:
        """How bad scores of the rows held are, by the truth where it is known and is a number or a class.

        Args:
            scores: [rows held, S].
        """
        held = self.held
        if not self.link.known:
            return float((self.weight[held] * (scores - self.said[held]) ** 2).mean())
        if self.link.task == "regression":
            return float((self.weight[held] * (scores - self.target(1.0)[held]) ** 2).mean())
        truth = _indicators(self.answers, scores.shape[1])[::_HELD_EVERY]
        shares = np.clip(_probabilities(self.link.task, scores / self.link.temperature), _EXACT, 1.0 - _EXACT)
        if self.link.task == "multiclass":
            return float(-np.log((shares * truth).sum(axis=1)).mean())
        return float(-np.log(np.where(truth == 1.0, shares, 1.0 - shares)).mean())


def has_no_lesson(subject: Subject, draft: Draft) -> str | None:
    """Why no other model can be taught what this one says; None where it can."""
    manifest = draft.manifest
    if manifest.task not in TASKS:
        return f"models of the task {manifest.task!r} give no raw scores to learn"
    if "raw" not in manifest.inner or "raw" not in subject.original.manifest.inner:
        return "the graph does not say where its raw scores are (inner point `raw`)"
    if not set(subject.learn.tensors) <= {"numbers", "strings"}:
        return "it is no model of a table"
    options = manifest.lineage.get("options")
    if isinstance(options, dict) and options.get("monotone"):
        return "the model keeps directions that were asked for, and another one would not"
    if len(subject.learn) < _FEWEST_ROWS:
        return f"{len(subject.learn)} rows are too few to teach another model; it takes {_FEWEST_ROWS}"
    return None


def source_of(draft: Draft) -> str | None:
    """The value of the graph that trees can be taught on.

    That is what most of its trees look at, or else the inner point `features`, or the numbers where there is nothing
    else; None where texts are all there is.
    """
    counts: dict[str, int] = {}
    for found in forests_in(parse(draft.graph)):
        counts[found.source] = counts.get(found.source, 0) + len(found.forest.features)
    if counts:
        return max(counts, key=lambda name: counts[name])
    if any(column.kind is Kind.TEXT for column in draft.manifest.inputs):
        return None
    numeric = all(column.kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME) for column in draft.manifest.inputs)
    return draft.manifest.inner.get("features", "numbers" if numeric else None)


def lesson_of(subject: Subject, draft: Draft, work: Work) -> Lesson:
    """Rows of `learn`, and rows made of pairs of them where they are few, with what the original says of them.

    Raises:
        DataError: the features are too many, or the scores no matrix.
    """
    source = source_of(draft)
    if source is None:
        raise _unfit("there are no features that trees could look at")
    generator = np.random.default_rng(work.seed_for("lesson"))
    rows = subject.learn
    if len(rows) > _MOST_ROWS:
        rows = rows.take(np.sort(generator.choice(len(rows), _MOST_ROWS, replace=False)))
    features, said = _features(draft, source, rows.tensors), _said(subject, rows.tensors)
    lesson = _told(subject, rows, source, features, said)
    num_made = min(_MADE_A_ROW * len(rows), _MOST_ROWS - len(rows)) if len(rows) > 1 else 0
    if num_made <= 0:
        return lesson
    work.check()
    # Of rows that are not held back: the original has learned them all, and would tell about those.
    seen = ~lesson.held
    tensors = {name: tensor[seen] for name, tensor in rows.tensors.items()}
    made = _made(tensors, said[seen, int(generator.integers(said.shape[1]))], num_made, generator)
    told = _said(subject, made)
    return replace(
        lesson,
        features=np.concatenate([features, _features(draft, source, made)]),
        said=np.concatenate([said, told]),
        rest=np.concatenate([lesson.rest, np.zeros_like(told)]),
        weight=np.concatenate([lesson.weight, _MADE_WEIGHT * lesson.link.curvature(told)]),
    )


def told_rows(subject: Subject, most: int, work: Work) -> tuple[dict[str, NDArray[Any]], Doubles]:
    """Rows of `learn`, and rows made of pairs of them, as tensors; and how much each counts [N].

    Args:
        subject: whose original is asked.
        most: rows in all.
        work: its seed.
    """
    generator = np.random.default_rng(work.seed_for("lesson"))
    rows = subject.learn
    if len(rows) > most:
        rows = rows.take(np.sort(generator.choice(len(rows), most, replace=False)))
    lesson = bare_lesson(subject, rows)
    tensors, weight = dict(rows.tensors), lesson.weight.mean(axis=1)
    num_made = min(_MADE_A_ROW * len(rows), most - len(rows)) if len(rows) > 1 else 0
    if num_made > 0:
        score = lesson.said[:, int(generator.integers(lesson.said.shape[1]))]
        made = _made(tensors, score, num_made, generator)
        curvature = lesson.link.curvature(_said(subject, made)).mean(axis=1)
        tensors = {name: np.concatenate([tensor, made[name]]) for name, tensor in tensors.items()}
        weight = np.concatenate([weight, _MADE_WEIGHT * curvature])
    return tensors, weight


def bare_lesson(subject: Subject, rows: Rows) -> Lesson:
    """What the original says of rows, without features: for steps that have theirs in another form."""
    return _told(subject, rows, "", np.empty((len(rows), 0)), _said(subject, rows.tensors))


def _told(subject: Subject, rows: Rows, source: str, features: Doubles, said: Doubles) -> Lesson:
    link = Link.of(rows.answers, said, labelled=rows.labelled)
    weight = link.curvature(said)
    rest = link.rest(rows.answers, said, weight)
    if rows.answers.weight is not None:
        weight = weight * (rows.answers.weight / rows.answers.weight.mean())[:, None]
    return Lesson(source, features, said, rest, weight, rows.answers, link, _dtype(subject, rows.tensors))


def _unfit(came: str) -> DataError:
    return DataError(ErrorCode.NO_GRAPH_FORM, came, fix="another step may have something to do")


def _dtype(subject: Subject, tensors: Any) -> Any:
    raw = subject.original.manifest.inner["raw"]
    first = {name: tensor[:1] for name, tensor in tensors.items()}
    return values_inside(subject.original.graph, [raw], first)[raw].dtype


def _features(draft: Draft, source: str, tensors: Any) -> Doubles:
    features = tensors[source] if source in tensors else values_inside(draft.graph, [source], tensors)[source]
    if features.ndim != 2 or features.shape[1] > _WIDEST or features.dtype.kind not in "fiub":
        raise _unfit(f"the features are of shape {list(features.shape[1:])} and type {features.dtype}")
    return np.asarray(features, dtype=np.float64)


def _said(subject: Subject, tensors: Any) -> Doubles:
    """Raw scores by the original [N, S]."""
    name = subject.original.manifest.inner["raw"]
    raw = values_inside(subject.original.graph, [name], tensors)[name]
    if raw.ndim != 2 or not np.isfinite(raw).all():
        raise _unfit("the raw scores of the rows are no matrix of finite numbers")
    return raw.astype(np.float64)


def _made(tensors: Any, score: Doubles, count: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Rows of which some columns are from a row of a similar score."""
    order = np.argsort(score, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    reach = max(2, int(_NEAR * len(order)))
    one = generator.integers(0, len(order), count)
    far = generator.integers(-reach, reach + 1, count)
    other = order[np.clip(rank[one] + far, 0, len(order) - 1)]
    made = {}
    for name, tensor in tensors.items():
        swapped = generator.random((count, tensor.shape[1])) < _SWAPPED
        made[name] = np.where(swapped, tensor[other], tensor[one])
    return made


def _probabilities(task: str, scores: Doubles) -> Doubles:
    with np.errstate(over="ignore"):
        if task != "multiclass":
            return np.asarray(1.0 / (1.0 + np.exp(-scores)))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _line(raw: Doubles, predicted: Doubles) -> tuple[float, float]:
    """Slope and start of the line from scores to predictions; (0, 0) where they are on none."""
    spread = raw.std()
    if spread == 0.0:
        return 0.0, 0.0
    slope = float(((raw - raw.mean()) * (predicted - predicted.mean())).mean() / spread**2)
    start = float(predicted.mean() - slope * raw.mean())
    off = np.abs(slope * raw + start - predicted).max()
    return (slope, start) if slope and off <= _EXACT * np.abs(predicted).max() else (0.0, 0.0)


def _temperature(answers: Answers, raw: Doubles) -> float:
    """What scores are divided by before they are probabilities; 0 where that is not what becomes of them."""
    given = answers.probabilities
    if given is None:
        return 0.0
    # Where a probability is neither 0 nor 1 to many digits, its score can be told from it.
    inner = (given > _EXACT) & (given < 1.0 - _EXACT)
    logs = np.log(np.where(inner, given, 0.5))
    if answers.task == "multiclass":
        whole = inner.all(axis=1)
        scores, told = (each[whole] - each[whole].mean(axis=1, keepdims=True) for each in (raw, logs))
    else:
        inner = inner[:, -raw.shape[1] :]
        odds = logs - np.log(np.where(given < 1.0, 1.0 - given, 0.5))
        scores, told = raw[inner], odds[:, -raw.shape[1] :][inner]
    total = float((scores * told).sum())
    if total <= 0.0:
        return 0.0
    temperature = float((scores**2).sum()) / total
    off = np.abs(told * temperature - scores).max()
    return temperature if off <= 1e-3 * max(1.0, float(np.abs(scores).max())) else 0.0
