"""The contract of a learner for tables: it fits rows, gives raw scores, and writes itself into a graph."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError, Registry, Work
from lepton.core.imports import lean_import
from lepton.data.steps import Block, Ordinal, Step, Tensors
from lepton.training.spaces import Dimension

__all__ = ["LEARNERS", "Doubles", "Problem", "Rows", "TableLearner", "learners_for"]

Doubles = NDArray[np.float64]

LEARNERS = Registry(
    "learners",
    {
        "baseline": "lepton.training.learners.baseline:Baseline",
        "linear": "lepton.training.learners.linear:Linear",
        "lightgbm": "lepton.training.learners.lightgbm:LightGBM",
        "forest": "lepton.training.learners.forest:RandomForest",
        "xgboost": "lepton.training.learners.xgboost:XGBoost",
        "catboost": "lepton.training.learners.catboost:CatBoost",
        "network": "lepton.training.learners.network:Network",
        "boosting": "lepton.training.learners.boosting:Boosting",
        "naive-bayes": "lepton.training.learners.naive_bayes:NaiveBayes",
        "rules": "lepton.training.learners.rules:Rules",
        "neighbours": "lepton.training.learners.neighbours:Neighbours",
    },
)
"""Learners by name, in the order in which they are tried; third parties use the group `lepton.learners`."""


@dataclass(frozen=True)
class Problem:
    """What is to be learned; the same for every learner and fold.

    Attributes:
        task: `regression`, `binary` or `multiclass`.
        num_classes: C, or 0 for regression.
        num_rows: rows that training has in all.
        dates: number columns that hold dates, as microseconds since 1970 UTC.
        categories: string columns of categories.
        many_valued: those of `categories` that have many values.
        texts: string columns of free text, as codec `characters/1` gives them.
        class_weights: how much rows of each class count in learning [C]; () where all count alike.
        costs: of calling a row of one class (row) another (column); () where the most probable class is called.
        monotone: number columns with 1 where raw scores must not fall as they grow, -1 where they must not rise.
        learners: names of those that are asked for, beside the baseline; () for all that are offered.
        keep_rows: whether a model may hold rows of the table.
        quantiles: shares of the quantiles that are learned, rising; () for other tasks.
        coverage: share of rows whose truth intervals or sets are to hold; None for neither.
    """

    task: str
    num_classes: int
    num_rows: int
    dates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    many_valued: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()
    costs: tuple[tuple[float, ...], ...] = ()
    monotone: tuple[tuple[str, int], ...] = ()
    learners: tuple[str, ...] = ()
    keep_rows: bool = False
    quantiles: tuple[float, ...] = ()
    coverage: float | None = None

    @property
    def num_scores(self) -> int:
        """Columns of a raw score: one for each class of `multiclass`, each label, each quantile; else one."""
        if self.task == "quantile":
            return len(self.quantiles)
        return self.num_classes if self.task in {"multiclass", "multilabel"} else 1


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to score.

    Attributes:
        block: N rows of features.
        target: numbers [N], class numbers from 0 [N], or 1 for each label that holds [N, L].
        weight: weights of at least 0 [N], or None for equal ones.
        queries: query of each row, for rankings [N].
    """

    block: Block
    target: Doubles
    weight: Doubles | None = None
    queries: NDArray[np.int64] | None = None

    @property
    def query_sizes(self) -> NDArray[np.int64] | None:
        """How many rows each query has, in the order of the rows, where those of a query stand together."""
        if self.queries is None:
            return None
        starts = np.flatnonzero(np.diff(self.queries, prepend=-1))
        return np.diff(np.append(starts, len(self.queries)))

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """The rows at the given positions."""
        weight = None if self.weight is None else self.weight[rows]
        queries = None if self.queries is None else self.queries[rows]
        return Rows(self.block.take(rows), self.target[rows], weight, queries)

    def drawn(self, limit: int, seed: int) -> Rows:
        """At most `limit` of the rows, drawn by `seed`, in their order."""
        if self.block.num_rows <= limit:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(self.block.num_rows, limit, replace=False)))

    def to_learn(self, problem: Problem) -> Rows:
        """The rows as learning counts them: their weights times those of their classes."""
        if not problem.class_weights:
            return self
        weight = np.array(problem.class_weights)[self.target.astype(np.int64)]
        return Rows(self.block, self.target, weight if self.weight is None else weight * self.weight)


def learners_for(problem: Problem) -> tuple[type[TableLearner], ...]:
    """The learners that can do what is asked, in the order in which they are tried."""
    asked = dict.fromkeys(("baseline", *problem.learners)) if problem.learners else {}
    learners: list[type[TableLearner]] = [LEARNERS.load(name) for name in asked or LEARNERS.names()]
    return tuple(learner for learner in learners if (asked or learner.offered()) and learner.suits(problem))


class TableLearner(ABC):
    """One way to learn a table, with its own preprocessing; a third party registers it in the group `learners`.

    Raw scores [N, S] are numbers for regression, the log-odds of the second class for `binary`, and one score a class
    for `multiclass`, whose softmax are the probabilities.

    Args:
        problem: what is to be learned.
        configuration: one of `configurations(problem)`, or one that `settled` made of it.
        seed: reaches everything random.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "none"
    """What `training/` of a bundle holds of it: `none`, `linear` or `lightgbm` (contract 4)."""
    library: ClassVar[str] = ""
    """Module of the optional library that it fits with, "" for none."""
    load_seconds: ClassVar[float] = 0.0
    """About how long importing that library takes for the first time."""
    tasks: ClassVar[tuple[str, ...]] = ("regression", "binary", "multiclass")
    """What it can learn."""
    searched_only: ClassVar[bool] = False
    """Whether only the search tries it, and not the small portfolio."""
    keeps_directions: ClassVar[bool] = False
    """Whether it keeps to `Problem.monotone`; others are not tried where there is such a column."""
    asked_only: ClassVar[bool] = False
    """Whether it is tried only where its name is asked for."""
    where_present: ClassVar[bool] = False
    """Whether nobody misses it where its library is not installed."""
    keeps_rows: ClassVar[bool] = False
    """Whether its model holds rows of the table; it is tried only where `Problem.keep_rows` allows that."""
    blends: ClassVar[bool] = True
    """Whether it may be averaged with others; one that is there to be read may not."""

    def __init__(self, problem: Problem, configuration: Mapping[str, Any], seed: int = 0) -> None:
        self.problem = problem
        self.configuration = dict(configuration)
        self.seed = seed
        self.steps: tuple[Step, ...] = ()

    @classmethod
    def offered(cls) -> bool:
        """Whether it is tried without being asked for."""
        if cls.where_present and importlib.util.find_spec(cls.library.partition(".")[0]) is None:
            return False
        return not cls.asked_only

    @classmethod
    def suits(cls, problem: Problem) -> bool:
        """Whether it can do what is asked beside the task."""
        if problem.task not in cls.tasks:
            return False
        return (cls.keeps_directions or not problem.monotone) and (problem.keep_rows or not cls.keeps_rows)

    @classmethod
    @abstractmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """What is worth trying, in order; each has a `label` for people."""

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Where the search looks beyond `configurations`: settings by name; without any it does not look further."""
        return {}

    @classmethod
    def configured(cls, problem: Problem, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration that a point of `space` means; the search gives it its `label`."""
        return dict(values)

    @classmethod
    def load(cls) -> None:
        """Import the library, so that a learner's time is its own.

        Raises:
            MissingExtraError: it is not installed.
        """
        if cls.library:
            try:
                with lean_import(cls.library):
                    importlib.import_module(cls.library)
            except ImportError:
                library = cls.library.partition(".")[0]
                extra = "" if cls.where_present else "train"
                raise MissingExtraError(library, extra, f"The learner {cls.name!r}") from None

    @abstractmethod
    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Learn.

        Args:
            rows: what to learn from.
            valid: rows that decide when to stop early; None for the final fit with settled settings.
            work: threads, and the time that is kept.

        Raises:
            Interrupted: the time was over before there was anything to use.
        """

    @property
    def cut_short(self) -> bool:
        """Whether the time ended the fit before it was done, with something that can be used."""
        return False

    @abstractmethod
    def raw(self, block: Block) -> Doubles:
        """Raw scores [N, S] of rows that have the columns of training."""

    @abstractmethod
    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """Write steps and model, and mark the inner points `features` and `raw`.

        Returns:
            Name of the double tensor [N, S] of raw scores.
        """

    @classmethod
    def settled(cls, configuration: Mapping[str, Any], fitted: Sequence[Self]) -> Mapping[str, Any]:
        """The configuration of the final fit, after the folds have been `fitted`."""
        return configuration

    @classmethod
    def smaller(cls, settled: Mapping[str, Any], share: float) -> Mapping[str, Any] | None:
        """Settings that make about `share` of the model, to which `limited` can cut a fitted one; None without any."""
        return None

    def limited(self, settled: Mapping[str, Any]) -> Self:
        """This fitted learner as `settled` says: what a fold is scored with."""
        return self

    def training_state(self) -> dict[str, bytes]:
        """Members of `training/` that going on with the model needs; beside `kind`."""
        return {}

    @property
    def num_kept_rows(self) -> int:
        """Rows of the table that the model holds."""
        return 0

    def told(self, answers: Callable[[Doubles], Sequence[str]]) -> tuple[str, ...]:
        """The whole model in words, a line each; () where it is not for reading.

        Args:
            answers: raw scores [N, S] → what they mean, in words.
        """
        return ()

    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """The texts of each text column that the model knows."""
        ordinal = [step for step in self.steps if isinstance(step, Ordinal)]
        return {c: values for step in ordinal for c, values in zip(step.columns, step.values, strict=True)}
