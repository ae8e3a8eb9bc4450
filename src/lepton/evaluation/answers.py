"""Truth and answers of the rows that are judged: gathered in batches, so that only these columns are ever held."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, TensorInputs, stated_quantiles
from lepton.core import DataError, ErrorCode, Role, SchemaError, UsageError, Work
from lepton.data import Dataset
from lepton.data.media.decoded import decoded_batches, takes_files
from lepton.evaluation.bootstrap import Estimate, intervals, num_resamples
from lepton.evaluation.classification import Floats, Labels, Positions, Score, label_positions
from lepton.evaluation.label_texts import flags_of_texts
from lepton.evaluation.metrics import Metric, check_weight

__all__ = ["Answers", "gather"]

_BESIDE = ("lower", "upper", "set", "quantiles")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered and what was true, for N rows.

    Attributes:
        task: name of the task.
        target: name of the target column.
        labels: the model's labels; empty for numbers.
        y: truth: positions in `labels` int64 [N], or float64 [N]; of several labels 1 for each that holds [N, L].
        predicted: answers in the same form.
        probabilities: float64 [N, C], or None for numbers.
        weight: sample weights [N], or None for equal ones.
        groups: group of each row [N] as numbers from 0, or None.
        columns: the columns that were asked for beside the target, N rows.
        beside: further outputs of the model by name, such as `lower` and `upper` [N], `set` [N, C], `quantiles` [N, Q].
        shares: what the columns of `quantiles` mean.
        num_missing: rows left out because their target is missing or infinite.
        unseen: labels that the model does not know → rows that were left out for it.
    """

    task: str
    target: str
    labels: tuple[str | int, ...]
    y: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: Floats | None
    weight: Floats | None
    groups: Positions | None
    columns: pl.DataFrame
    beside: dict[str, NDArray[Any]] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    num_missing: int = 0
    unseen: dict[str, int] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """Rows that are judged."""
        return len(self.y)

    @property
    def resamples(self) -> int:
        """Resamples behind an interval over these rows."""
        return num_resamples(self.num_rows, len(self.labels))

    @property
    def positions(self) -> Labels:
        """What metrics take beside: positions of labels, shares of quantiles, or the query of each row."""
        if self.task == "ranking" and self.groups is not None:
            queries: list[int] = self.groups.tolist()
            return queries
        return self.shares or range(len(self.labels))

    def score(self, metric: Metric) -> Score:
        """`metric` as a function of weights [B, N]."""
        if metric.needs == "quantiles":
            return metric.over(self.y, self.beside["quantiles"], self.positions)
        if (
            metric.prepare is None and self.labels and self.y.ndim == 1
        ):  # a function from outside sees labels as the user knows them
            names = np.array(self.labels, dtype=object)
            answer = self.probabilities if metric.needs == "probabilities" else names[self.predicted]
            return metric.over(names[self.y], answer, self.labels)
        answer = self.probabilities if metric.needs == "probabilities" else self.predicted
        return metric.over(self.y, answer, self.positions)

    def estimates(self, metrics: Sequence[Metric], *, seed: int = 0, work: Work | None = None) -> dict[str, Estimate]:
        """Each metric with its interval, by name."""
        return intervals(
            {each.name: self.score(each) for each in metrics},
            self.num_rows,
            undefined={each.name: each.undefined for each in metrics},
            weight=self.weight,
            groups=self.groups,
            resamples=self.resamples,
            seed=seed,
            work=work,
        )

    def only(self, rows: NDArray[np.bool_]) -> Answers:
        """The answers of some of the rows, chosen by a mask [N]."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1]
        return Answers(
            self.task,
            self.target,
            self.labels,
            self.y[rows],
            self.predicted[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.weight is None else self.weight[rows],
            groups,
            self.columns.filter(pl.Series(rows)) if self.columns.width else self.columns,
            {name: values[rows] for name, values in self.beside.items()},
            self.shares,
        )


def gather(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    weight: str | None = None,
    columns: Sequence[str] = (),
    tensors: list[dict[str, NDArray[Any]]] | None = None,
    labelled: bool = True,
    work: Work | None = None,
) -> Answers:
    """Answers of `predictor` to the rows of `dataset` that have a target it can be judged by.

    Args:
        predictor: an opened model.
        dataset: rows with the target; it may be larger than memory.
        target: column of the truth; by default the one that the model was trained to predict.
        weight: column of sample weights; by default the one whose role is weight, if there is one.
        columns: further columns to keep.
        tensors: where the graph's inputs are kept, a dict for each batch of rows that is judged.
        labelled: whether there is a target; where not, what the model answers stands for the truth.
        work: told of progress in rows.

    Raises:
        DataError: no target column, no rows, no row with a target, none with a label that the model knows.
        SchemaError: the target is of another kind, or columns that the model needs are missing.
    """
    work = Work.of(work)
    name = _target_name(predictor, dataset, target) if labelled else target or ""
    weight = weight or next((each.name for each in dataset.schema.of_role(Role.WEIGHT)), None)
    group = next((each.name for each in dataset.schema.of_role(Role.GROUP)), None) or _query(predictor, dataset)
    kept = [dataset.schema[each].name for each in (*columns, *filter(None, (weight, group)))]
    inputs = [each.name for each in predictor.manifest.inputs if each.name in dataset.schema]
    gathering = _Gathering(predictor, name, list(dict.fromkeys(kept)), inputs, target is not None, tensors, labelled)
    if takes_files(predictor.inputs):
        return _gathered_files(gathering, dataset, weight, group, work)
    for batch in dataset.batches(columns=list(dict.fromkeys((*inputs, *gathering.truths, *kept)))):
        work.check()
        gathering.add(batch)
        work.report(gathering.num_rows, unit="rows", note="predicting")
    return gathering.finish(weight, group)


def _gathered_files(
    gathering: _Gathering, dataset: Dataset, weight: str | None, group: str | None, work: Work
) -> Answers:
    """The same for a model of pictures or sounds: a file that cannot be read is refused by its name."""
    inputs = gathering.predictor.inputs
    if not isinstance(inputs, TensorInputs):
        raise TypeError("a table has no files")
    for rows in decoded_batches(dataset, inputs, (*gathering.truths, *gathering.kept), work):
        if rows.faults:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"the file {rows.faults[0]} cannot be read",
                wanted="files that the model can answer",
                fix="take it out of the data; lepton data check names all that are damaged",
            )
        gathering.add(rows.frame, rows.arrays)
        work.report(gathering.num_rows, unit="rows", note="predicting")
    return gathering.finish(weight, group)


def _target_name(predictor: Predictor, dataset: Dataset, target: str | None) -> str:
    if predictor.task.name == "forecast":
        raise UsageError(
            ErrorCode.USAGE,
            "got a model for forecasts",
            wanted="a model that answers row by row",
            fix="its leaderboard says how good it was on later windows; compare its predict with what came to pass",
        )
    if not predictor.task.supervised:
        came = f"got a model for {predictor.task.name}"
        raise UsageError(
            ErrorCode.USAGE, came, wanted="a model that predicts a target, which rows can be compared with"
        )
    if predictor.task.several:
        return _label_columns(predictor, dataset, target)
    recorded = predictor.manifest.target
    name = target or (recorded.name if recorded is not None else None)
    if name is None:  # a network that was learned from arrays; a folder of files says what its folders tell
        told = dataset.schema.of_role(Role.TARGET)
        name = told[0].name if len(told) == 1 else None
    if name is None:
        raise UsageError(ErrorCode.USAGE, "the model does not say which column it predicts", fix="give target=")
    if name not in dataset.schema:
        close = difflib.get_close_matches(name, dataset.schema.names, n=1)
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN,
            f"the data has no column {name!r}, which holds the truth to compare with",
            wanted="rows with the target: a model is judged by them",
            fix=f"did you mean target={close[0]!r}?" if close else "name the column with target=",
            details={"columns": list(dataset.schema.names[:50])},
        )
    return name


def _label_columns(predictor: Predictor, dataset: Dataset, target: str | None) -> str:
    """What the columns of several labels are called together; each must be there."""
    labels = predictor.label_names
    if target is not None:
        return dataset.schema[target].name
    if missing := [label for label in labels if label not in dataset.schema]:
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN,
            f"the data has no column {missing[0]!r}, which says in which rows the label holds",
            wanted="a column for each label: " + ", ".join(labels[:10]),
            fix="target= names a column of texts that hold the labels of a row, as in 'red; round'",
            details={"missing": missing[:50]},
        )
    return ", ".join(labels)


def _query(predictor: Predictor, dataset: Dataset) -> str | None:
    """The column of queries of a ranking, by the name that it had in training."""
    if predictor.task.name != "ranking":
        return None
    roles = predictor.manifest.lineage.get("roles")
    known: list[str] = [name for name, role in roles.items() if role == Role.GROUP] if isinstance(roles, dict) else []
    if not known or known[0] not in dataset.schema:
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN,
            "the data does not say which rows are ranked against each other",
            wanted=f"the column {known[0]!r}, the query of each row" if known else "a column with the role group",
            fix="data.with_roles({'NAME': 'group'}) names another one",
        )
    return known[0]


class _Gathering:
    """What has come so far, batch by batch."""

    def __init__(
        self,
        predictor: Predictor,
        target: str,
        kept: list[str],
        inputs: list[str],
        in_texts: bool,
        tensors: list[dict[str, NDArray[Any]]] | None,
        labelled: bool,
    ) -> None:
        self.predictor = predictor
        self.target = target
        self.kept = kept
        self.inputs = inputs
        self.labels: tuple[str | int, ...] = predictor.manifest.labels or ()
        self.several = predictor.task.several
        # Several labels are columns of their own, or stand in the texts of one that is named.
        self.in_texts = self.several and in_texts
        self.truths = predictor.label_names if self.several and not self.in_texts else (target,)
        self.tensors, self.labelled = tensors, labelled
        if not labelled:
            self.truths = ()
        self.num_rows = 0
        self.num_missing = 0
        self.unseen: Counter[str] = Counter()
        self.parts: list[tuple[NDArray[Any], NDArray[Any], Floats | None, pl.DataFrame, dict[str, NDArray[Any]]]] = []

    def add(self, batch: pl.DataFrame, arrays: Sequence[NDArray[Any]] | None = None) -> None:
        """Have the model answer rows; `arrays` stand for what its column of files holds."""
        self.num_rows += batch.height
        y, missing, unseen = self._truth(batch) if self.labelled else _no_truth(batch.height)
        self.num_missing += int(missing.sum())
        judged = ~missing & ~unseen
        if not judged.any():
            return
        rows = batch if judged.all() else batch.filter(pl.Series(judged))
        asked: Any = rows.select(self.inputs)
        if arrays is not None:
            asked = [array for array, own in zip(arrays, judged, strict=True) if own]
        if self.tensors is None:
            given = self.predictor.outputs(asked)
        else:
            self.tensors.append(self.predictor.tensors(asked))
            given = self.predictor.run(self.tensors[-1])
        predicted: NDArray[Any]
        if self.several:
            predicted = np.asarray(given["prediction"], dtype=np.int64)
            probabilities = np.asarray(given["probabilities"], dtype=np.float64)
        elif self.labels:
            predicted = label_positions(given["prediction"], self.labels, "the prediction")
            probabilities = np.asarray(given["probabilities"], dtype=np.float64)
        else:
            numbers = given[self.predictor.task.answer]
            predicted, probabilities = np.asarray(numbers, dtype=np.float64).reshape(rows.height), None
        beside = {name: given[name] for name in _BESIDE if name in given}
        truth = y[judged] if self.labelled else predicted
        self.parts.append((truth, predicted, probabilities, rows.select(self.kept), beside))

    def _truth(self, batch: pl.DataFrame) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
        """Truth of the rows, which of them have none, and which one that the model does not know."""
        if self.several:
            if self.in_texts:
                y = flags_of_texts(batch[self.target].cast(pl.String), self.predictor.label_names)
                return y, np.zeros(len(y), dtype=bool), np.zeros(len(y), dtype=bool)
            y = np.stack([_flags(_present(batch[name])) for name in self.truths], axis=1)
            return y, np.asarray((y < 0).any(axis=1)), np.zeros(len(y), dtype=bool)
        truth = _present(batch[self.target])
        if not self.labels:
            numbers = _numbers(truth, self.target)
            return numbers, ~np.isfinite(numbers), np.zeros(len(numbers), dtype=bool)
        positions = _positions(truth, self.labels)
        missing = truth.is_null().to_numpy()
        unseen = (positions < 0) & ~missing
        if unseen.any():
            self.unseen.update(truth.filter(pl.Series(unseen)).cast(pl.String).to_list())
        return positions, missing, unseen

    def finish(self, weight: str | None, group: str | None) -> Answers:
        if not self.num_rows:
            raise DataError(ErrorCode.EMPTY_DATA, "the data has no rows", wanted="rows with the target")
        if not self.parts:
            raise DataError(ErrorCode.BAD_TARGET, self._why_none(), details={"num_rows": self.num_rows})
        y, predicted, probabilities, columns, beside = zip(*self.parts, strict=True)
        table = pl.concat(columns) if self.kept else pl.DataFrame()
        truth = np.concatenate(y)
        return Answers(
            self.predictor.task.name,
            self.target,
            self.labels,
            truth,
            np.concatenate(predicted),
            np.concatenate(probabilities) if self.labels else None,
            None if weight is None else _weights(table[weight], len(truth)),
            None if group is None else _groups(table[group]),
            table,
            {name: np.concatenate([part[name] for part in beside]) for name in beside[0]},
            stated_quantiles(self.predictor.manifest),
            self.num_missing,
            dict(self.unseen.most_common()),
        )

    def _why_none(self) -> str:
        if not self.unseen:
            return f"the target {self.target!r} is missing in all {self.num_rows:,} rows"
        found = ", ".join(repr(label) for label, _ in self.unseen.most_common(5))
        known = ", ".join(map(repr, self.labels[:10]))
        return f"the target {self.target!r} holds no label that the model knows: found {found}; it knows {known}"


def _no_truth(num_rows: int) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    return np.empty(num_rows), np.zeros(num_rows, dtype=bool), np.zeros(num_rows, dtype=bool)


def _present(truth: pl.Series) -> pl.Series:
    """Texts as training sees them: in NFC, an empty one being missing."""
    if truth.dtype != pl.String:
        return truth
    texts = truth.str.normalize("NFC")
    return texts.set(texts == "", None)


def _positions(truth: pl.Series, labels: tuple[str | int, ...]) -> Positions:
    """Position of each true label, -1 where it is missing or unknown, whatever type the column was read as."""
    names = [str(label) for label in labels]
    if truth.dtype == pl.Boolean:
        names = [{"1": "true", "0": "false"}.get(name, name.lower()) for name in names]
    elif truth.dtype.is_float():  # a missing value turns a column of whole numbers into floats
        whole = truth.cast(pl.Int64, strict=False)
        truth = whole if bool((whole.cast(truth.dtype) == truth).all()) else truth
    text = truth.cast(pl.String)
    found = text.replace_strict(names, list(range(len(names))), default=-1, return_dtype=pl.Int64)
    return found.fill_null(-1).to_numpy().astype(np.int64, copy=False)


def _flags(truth: pl.Series) -> Positions:
    """1 where a label holds, 0 where not, -1 where nobody says."""
    return _positions(truth, ("false", "true") if truth.dtype in (pl.Boolean, pl.String) else (0, 1))


def _numbers(truth: pl.Series, name: str) -> Floats:
    if not (truth.dtype.is_numeric() or truth.dtype == pl.Boolean):
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"the target {name!r} holds {truth.dtype} values, {truth.drop_nulls().head(1).to_list()} among them",
            wanted="numbers, which is what the model predicts",
            fix=f"read the data with kinds={{{name!r}: 'number'}}",
        )
    return truth.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64, copy=False)


def _weights(column: pl.Series, num_rows: int) -> Floats:
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"the weights {column.name!r} are {column.dtype} values",
            wanted="numbers of at least 0",
        )
    return check_weight(column.cast(pl.Float64).fill_null(np.nan).to_numpy(), num_rows)


def _groups(column: pl.Series) -> Positions:
    """Groups numbered from 0; rows without one are a group together."""
    ranks = column.cast(pl.String).fill_null("").rank("dense").to_numpy()
    return np.asarray(ranks, dtype=np.int64) - 1
