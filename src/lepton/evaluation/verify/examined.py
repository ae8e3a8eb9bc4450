"""What the rules look at: a model, the rows it is judged on, and all that was found of them, each once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl

from lepton.bundle import Predictor, TensorInputs
from lepton.core import ColumnRecord, Interrupted, Kind, LeptonError, Role, Work
from lepton.data import Dataset
from lepton.data.statistics import Baseline, ColumnStatistics
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate, difference, intervals, once
from lepton.evaluation.metrics import METRICS, metrics_of
from lepton.evaluation.verify.base import Rule, Unknown

__all__ = ["Examined"]

T = TypeVar("T")
_MEMBERS = ("inputs.json", "outputs.json")
_NO_DATA = "no data was given"
_GAIN = "gain in "
_MANY_ROWS, _FEW_RESAMPLES = 20_000, 200
"""Beyond so many rows intervals are narrow, and 200 resamples place their ends well enough to judge a rule by."""


class Examined:
    """A model and its data. The model answers the rows once, whatever many rules ask about the answers.

    Args:
        predictor: an opened model.
        dataset: rows that it was not trained on; None where only the file is judged.
        rules: what will be asked, so that one pass gathers all of it.
        target: column of the truth; by default the one of training.
        training: rows that it was trained on, or None.
        seed: of all that is drawn.
        work: cancel and progress.

    Attributes:
        rules: what will be asked.
        given_target: column of the truth, where it was named.
        parts: what the report tells of each measurement, by name: `metrics`, `slices`, `fairness`, and so on.
        unseen: category column → values of these rows that training had not seen, once they are answered.
    """

    def __init__(
        self,
        predictor: Predictor,
        dataset: Dataset | None,
        rules: Sequence[Rule] = (),
        *,
        target: str | None = None,
        training: Dataset | None = None,
        seed: int = 0,
        work: Work | None = None,
    ) -> None:
        self.predictor = predictor
        self.data = dataset
        self.training_data = training
        self.seed, self.work = seed, Work.of(work)
        self.parts: dict[str, Any] = {}
        self.rules = tuple(rules)
        self.given_target = target
        self.unseen: dict[str, int] = {}
        self._found: dict[Any, Any] = {}

    # --- what is given -------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """Name of the model's task."""
        return self.predictor.task.name

    @property
    def dataset(self) -> Dataset:
        """The rows; `Unknown` without."""
        if self.data is None:
            raise Unknown(_NO_DATA)
        return self.data

    @property
    def training(self) -> Dataset:
        """The rows of training; `Unknown` without."""
        if self.training_data is None:
            raise Unknown("the rows of the training were not given")
        return self.training_data

    @property
    def inputs(self) -> tuple[ColumnRecord, ...]:
        """Input columns of a model of tables; none of one of files."""
        return () if isinstance(self.predictor.inputs, TensorInputs) else self.predictor.manifest.inputs

    @cached_property
    def target(self) -> str | None:
        """Name of the column of truth, if one is known; of several labels None."""
        recorded = self.predictor.manifest.target
        if self.given_target or recorded is not None:
            return self.given_target or (None if recorded is None else recorded.name)
        told = () if self.data is None else self.data.schema.of_role(Role.TARGET)
        return told[0].name if len(told) == 1 else None

    @cached_property
    def no_truth(self) -> str:
        """Why the rows cannot be compared with what is true, or ""."""
        if self.data is None:
            return _NO_DATA
        if self.task == "forecast" or not self.predictor.task.supervised or self.task == "tensor":
            return f"a model for {self.task} has no truth, row by row"
        names = self.data.schema.names
        if self.target is None and not self.predictor.task.several:
            return "the model does not say which column it predicts, and the data has no column of that role"
        wanted: tuple[str, ...] = () if self.target is None else (self.target,)
        if self.predictor.task.several and self.given_target is None:
            wanted = self.predictor.label_names
        lacking = [name for name in wanted if name not in names]
        return f"the data has no column {lacking[0]!r}, which holds the truth" if lacking else ""

    @cached_property
    def fingerprint(self) -> str:
        """Of the rows; `Unknown` without."""
        return self.dataset.fingerprint()

    @property
    def described_data(self) -> dict[str, Any] | None:
        """What the report tells of the rows; None without."""
        if self.data is None:
            return None
        starts: list[tuple[int, str, int]] = []
        next(self.data.select(self.data.schema.names[:1]).numbered("\0row", starts), None)
        return {"name": starts[0][1] if starts else "", "fingerprint": self.fingerprint, "num_rows": self.data.num_rows}

    @property
    def learned_rows(self) -> int | None:
        """Rows that the model learned from, as its lineage says."""
        told = self.predictor.manifest.lineage.get("dataset")
        rows = told.get("num_rows") if isinstance(told, Mapping) else None
        return rows if isinstance(rows, int) and not isinstance(rows, bool) and rows > 0 else None

    # --- what is found, once -------------------------------------------------------------------------------------

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, kept under `key`: asked again it is there; `Unknown` is kept as well."""
        if key not in self._found:
            try:
                self._found[key] = make()
            except Unknown as error:
                self._found[key] = error
        found: Any = self._found[key]
        if isinstance(found, Unknown):
            raise Unknown(str(found))
        kept: T = found
        return kept

    def told(self, part: str, value: Any) -> None:
        """Have the report tell of a measurement: a mapping is merged into what is told of that part already."""
        earlier = self.parts.get(part)
        self.parts[part] = {**earlier, **value} if isinstance(earlier, dict) and isinstance(value, dict) else value

    @property
    def answers(self) -> Answers:
        """Truth and answers of the rows; `Unknown` where there is no truth."""
        if self.no_truth:
            raise Unknown(self.no_truth)
        return self.rows

    @property
    def rows(self) -> Answers:
        """The answers, with truth or without, and beside them every column that a rule asks for."""
        return self.once("rows", self._gather)

    def _gather(self) -> Answers:
        dataset = self.dataset
        if self.task == "forecast":
            raise Unknown("a model of forecasts does not answer row by row")
        names = [name for rule in self.rules for name in rule.columns()]
        if any(rule.wants_inputs for rule in self.rules):
            names += [column.name for column in self.inputs]
        there = frozenset(dataset.schema.names)
        columns = [name for name in dict.fromkeys(names) if name in there]
        labelled = not self.no_truth
        asked = copy.copy(self.predictor)
        asked.unseen = self.unseen  # those of these rows alone
        return gather(
            asked,
            dataset,
            target=self.given_target if labelled else None,
            columns=columns,
            labelled=labelled,
            work=self.work,
        )

    @property
    def frame(self) -> pl.DataFrame:
        """The input columns of the rows; `Unknown` of a model of files."""
        rows = self.rows.columns
        there = frozenset(rows.columns)
        names = [column.name for column in self.inputs if column.name in there]
        if not names:
            raise Unknown("the model takes no table")
        return rows.select(names)

    def inputs_of(self, dataset: Dataset) -> list[str]:
        """Names of the input columns that a table has."""
        there = frozenset(dataset.schema.names)
        return [column.name for column in self.inputs if column.name in there]

    @property
    def num_rows(self) -> int:
        """Rows of the data, with those that have no truth."""
        rows = self.rows
        return rows.num_rows + rows.num_missing + sum(rows.unseen.values())

    def estimate(self, metric: str) -> Estimate:
        """A metric with its interval."""
        return self.once("metrics", self._estimates)[metric]

    def gain(self, metric: str) -> Estimate:
        """How much better the model is in a metric than the best answer that ignores the inputs, paired."""
        return self.once("metrics", self._estimates)[_GAIN + metric]

    def _estimates(self) -> dict[str, Estimate]:
        """All metrics, and the gains that are asked for, over the same resamples: drawing them is what takes time."""
        answers = self.answers
        asked = [METRICS[name] for rule in self.rules for name in rule.metrics(self.task)]
        wanted = {each.name: each for each in (*metrics_of(self.task), *asked)}
        scores = {name: once(answers.score(each)) for name, each in wanted.items()}
        undefined = {name: each.undefined for name, each in wanted.items()}
        for name in dict.fromkeys(name for rule in self.rules for name in rule.gains(self.task)):
            model, constant = scores[name], self.constant.score(wanted[name])
            better = wanted[name].greater_is_better
            scores[_GAIN + name] = difference(model, constant) if better else difference(constant, model)
            undefined[_GAIN + name] = wanted[name].undefined
        found = intervals(
            scores,
            answers.num_rows,
            undefined=undefined,
            weight=answers.weight,
            groups=answers.groups,
            resamples=answers.resamples if answers.num_rows <= _MANY_ROWS else _FEW_RESAMPLES,
            seed=self.seed,
            work=self.work,
        )
        self.told("metrics", {name: each.to_dict() for name, each in found.items() if name in wanted})
        return found

    @property
    def constant(self) -> Answers:
        """The same rows, answered by the best answer that ignores the inputs."""
        return self.once("constant", lambda: _constant(self.answers))

    # --- what the file carries -----------------------------------------------------------------------------------

    @property
    def baseline(self) -> dict[str, ColumnStatistics]:
        """Statistics of the training rows, by column; `Unknown` where the file has none."""
        return self.once("baseline", self._baseline)

    def _baseline(self) -> dict[str, ColumnStatistics]:
        bundle = self.predictor.bundle
        if any(f"baseline/{name}" not in bundle.names for name in _MEMBERS):
            raise Unknown("the model file holds no statistics of its training")
        found = Baseline.from_members({name: bundle.member(f"baseline/{name}") for name in _MEMBERS})
        return {column.name: column for column in found.inputs if column.rows}

    @property
    def statistics(self) -> dict[str, tuple[ColumnStatistics, ColumnStatistics]]:
        """For each input column that can be compared: its statistics in training, and in these rows."""
        return self.once("statistics", self._statistics)

    def _statistics(self) -> dict[str, tuple[ColumnStatistics, ColumnStatistics]]:
        before, frame = self.baseline, self.frame
        there = frozenset(frame.columns)
        pairs = {}
        for column in self.inputs:
            self.work.check()
            known = before.get(column.name)
            if known is None or known.kind is not column.kind or column.name not in there:
                continue
            if column.kind is Kind.IDENTIFIER or (known.numbers is None and known.frequent is None):
                continue
            now = ColumnStatistics(column.name, column.kind)
            now.update(frame[column.name])
            pairs[column.name] = (known, now)
        if not pairs:
            raise Unknown("the model file holds no statistics of the columns of these rows")
        return pairs

    def report(self, name: str) -> Mapping[str, Any]:
        """A report of the model file; `Unknown` without."""
        found = self.predictor.bundle.reports.get(name)
        if found is None:
            raise Unknown(f"the model file has no report {name!r}")
        return found

    def asked(self, make: Callable[[], T]) -> T:
        """What `make` gives; an error about the data or the model means that nothing can be known of it."""
        try:
            return make()
        except Interrupted:
            raise
        except LeptonError as error:
            raise Unknown(str(error)) from None


def _constant(answers: Answers) -> Answers:
    """The rows with the answer of a model that looks at no column."""
    weight = np.ones(answers.num_rows) if answers.weight is None else answers.weight
    if answers.y.ndim == 2:
        shares = np.average(answers.y, axis=0, weights=weight)
        told = np.tile((shares >= 0.5).astype(np.int64), (answers.num_rows, 1))
        return replace(answers, predicted=told, probabilities=np.tile(shares, (answers.num_rows, 1)))
    if answers.task == "ranking":
        return replace(answers, predicted=np.zeros(answers.num_rows))
    if answers.labels:
        shares = np.bincount(answers.y, weights=weight, minlength=len(answers.labels)) / weight.sum()
        told = np.full(answers.num_rows, int(shares.argmax()))
        return replace(answers, predicted=told, probabilities=np.tile(shares, (answers.num_rows, 1)))
    beside = answers.beside
    if answers.shares:
        quantiles = np.tile(np.quantile(answers.y, answers.shares), (answers.num_rows, 1))
        beside = {**beside, "quantiles": quantiles}
    mean = float(np.average(answers.y, weights=weight))
    return replace(answers, predicted=np.full(answers.num_rows, mean), beside=beside)
