"""The contract of a row step: learned once, then the same rule in numpy or Polars and in a graph.

A step sees a table as the graph does (contract 2): one double matrix of numbers and one table of texts. It changes
columns, adds some or takes some away, and never looks at another row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import ErrorCode, Registry, UsageError

__all__ = [
    "STEPS",
    "Block",
    "Numbers",
    "Step",
    "Tensors",
    "apply_steps",
    "concatenated",
    "emit_steps",
    "full_width",
    "gathered",
    "positions",
    "step_from_dict",
    "unique_names",
]

Numbers = NDArray[np.float64]

_ROWS_AT_ONCE = 16_384  # what steps make on their way takes memory for so many rows, and stays in the cache

STEPS = Registry(
    "steps",
    {
        "calendar": "lepton.data.steps.calendar:Calendar",
        "cycles": "lepton.data.steps.cycles:Cycles",
        "ordinal": "lepton.data.steps.categories:Ordinal",
        "one-hot": "lepton.data.steps.categories:OneHot",
        "lookup": "lepton.data.steps.lookup:Lookup",
        "impute": "lepton.data.steps.missing:Impute",
        "missing-indicators": "lepton.data.steps.missing:MissingIndicators",
        "clip": "lepton.data.steps.scaling:Clip",
        "standardise": "lepton.data.steps.scaling:Standardise",
        "products": "lepton.data.steps.products:Products",
        "pairs": "lepton.data.steps.products:Pairs",
        "text-grams": "lepton.data.steps.text:TextGrams",
        "text-length": "lepton.data.steps.text:TextLength",
        "text-topics": "lepton.data.steps.topics:TextTopics",
        "drop-texts": "lepton.data.steps.text:DropTexts",
    },
)
"""Every row step by name; third parties add theirs through the entry-point group `lepton.steps`."""


@dataclass(frozen=True)
class Block:
    """Rows on their way through the steps.

    Attributes:
        numbers: double [N, k]; missing is NaN.
        number_names: the k column names.
        strings: N rows of m String columns without nulls; missing is the empty text.
    """

    numbers: Numbers
    number_names: tuple[str, ...]
    strings: pl.DataFrame

    def __post_init__(self) -> None:
        names = (*self.number_names, *self.strings.columns)
        if self.numbers.ndim != 2 or self.numbers.shape[1] != len(self.number_names) or len(set(names)) != len(names):
            raise UsageError(
                ErrorCode.USAGE,
                f"got a block of shape {self.numbers.shape} with the columns {names[:20]}",
                wanted="one name for each column, all different",
            )

    @property
    def string_names(self) -> tuple[str, ...]:
        """The m names of the text columns."""
        return tuple(self.strings.columns)

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.numbers)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return positions(self.number_names)

    def column(self, name: str) -> Numbers:
        """The values of one number column [N]."""
        return self.numbers[:, self._positions[name]]

    def columns(self, names: Sequence[str]) -> Numbers:
        """The values of number columns [N, len(names)]."""
        return self.numbers[:, [self._positions[name] for name in names]]

    def take(self, rows: NDArray[np.int64]) -> Block:
        """The rows at the given positions."""
        return Block(self.numbers[rows], self.number_names, self.strings[rows] if self.strings.width else self.strings)

    def part(self, first: int, num_rows: int) -> Block:
        """At most so many rows from `first` on, where they are: nothing is copied."""
        return Block(self.numbers[first : first + num_rows], self.number_names, self.strings.slice(first, num_rows))


@dataclass(frozen=True)
class Tensors:
    """Where the columns of a block are in a graph that is being built.

    Attributes:
        numbers: name of the double tensor [N, k], None where there are no number columns.
        number_names: the k column names.
        strings: name of the string tensor [N, m], None where there are no text columns.
        string_names: the m column names.
    """

    numbers: str | None
    number_names: tuple[str, ...]
    strings: str | None
    string_names: tuple[str, ...]


class Step(ABC):
    """One row step. A fitted step is a frozen dataclass whose fields are its whole state, ready for JSON.

    Subclasses are registered in `STEPS` and must appear in the contract test `tests/data/steps/step_contract.py`.
    """

    name: ClassVar[str]
    scope: ClassVar[str] = "row"

    @classmethod
    @abstractmethod
    def fit(cls, block: Block) -> Self:
        """Learn the rule from rows; a subclass may take further keyword arguments, all with defaults."""

    @abstractmethod
    def apply(self, block: Block) -> Block:
        """The rule on rows, vectorised."""

    @abstractmethod
    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """The same rule as nodes of a graph."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `step_from_dict` reads it."""
        return {"step": self.name, **asdict(self)}  # type: ignore[call-overload]  # every step is a dataclass

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Read the fields of the JSON form; lists become tuples again."""
        return cls(**{key: _frozen(value) for key, value in state.items() if key != "step"})


def step_from_dict(state: Mapping[str, Any]) -> Step:
    """The step that `Step.to_dict` wrote."""
    step: Step = STEPS.load(state["step"]).from_dict(state)
    return step


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def apply_steps(steps: Iterable[Step], block: Block) -> Block:
    """All steps, one after the other; on many rows part by part, which gives the same."""
    steps = tuple(steps)
    if not steps or block.num_rows < 2 * _ROWS_AT_ONCE:
        return _applied(steps, block)
    done = _applied(steps, block.part(0, _ROWS_AT_ONCE))
    numbers = np.empty((block.num_rows, done.numbers.shape[1]))
    strings = []
    for first in range(0, block.num_rows, _ROWS_AT_ONCE):
        done = _applied(steps, block.part(first, _ROWS_AT_ONCE)) if first else done
        numbers[first : first + done.num_rows] = done.numbers
        strings.append(done.strings)
    return Block(numbers, done.number_names, pl.concat(strings) if done.strings.width else pl.DataFrame())


def _applied(steps: Iterable[Step], block: Block) -> Block:
    for step in steps:
        block = step.apply(block)
    return block


def emit_steps(steps: Iterable[Step], builder: GraphBuilder, tensors: Tensors) -> Tensors:
    """All steps as nodes, one after the other."""
    for step in steps:
        tensors = step.emit(builder, tensors)
    return tensors


def unique_names(wanted: Iterable[str], taken: Iterable[str]) -> tuple[str, ...]:
    """Names for new columns: as wanted, with primes after those that are already `taken`."""
    seen = set(taken)
    names = []
    for name in wanted:
        while name in seen:
            name += "'"
        seen.add(name)
        names.append(name)
    return tuple(names)


def positions(names: Iterable[str]) -> dict[str, int]:
    """Where each name stands; tables may have thousands of columns."""
    return {name: position for position, name in enumerate(names)}


def full_width(names: Sequence[str], columns: Sequence[str], values: Sequence[float], neutral: float) -> Numbers:
    """A row [1, k] over all number columns: `values` at `columns`, `neutral` elsewhere.

    One operation over the whole matrix is quicker than taking columns out and putting them back, here and in a graph.
    """
    row = np.full((1, len(names)), neutral)
    place = positions(names)
    row[0, [place[column] for column in columns]] = values
    return row


def gathered(builder: GraphBuilder, tensors: Tensors, columns: Sequence[str]) -> str:
    """The named number columns as a tensor [N, len(columns)]."""
    if tensors.numbers is None:
        raise UsageError(ErrorCode.USAGE, f"got a graph without numbers, wanted the columns {tuple(columns)}")
    if tuple(columns) == tensors.number_names:
        return tensors.numbers
    place = positions(tensors.number_names)
    indices = np.array([place[c] for c in columns], dtype=np.int64)
    taken: str = builder.node("Gather", [tensors.numbers, builder.constant(indices)], axis=1)
    return taken


def concatenated(builder: GraphBuilder, parts: Sequence[str | None]) -> str | None:
    """The tensors that are there, side by side."""
    there = [p for p in parts if p is not None]
    if len(there) < 2:
        return there[0] if there else None
    joined: str = builder.node("Concat", there, axis=1)
    return joined
