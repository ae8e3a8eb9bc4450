"""The contract of cleaning steps: written once, learned from rows, bound to columns, applied to pieces of any table.

A `RecipeStep` is what a person writes: parameters alone. A `Learner` sees the rows, in parts that may be merged, and
gives values that fit in JSON. `bind` joins the two with the columns of a table: a `BoundRowStep` treats each row by
itself and may have a graph form, so that models take raw rows; a `BoundTableStep` looks at many rows and acts when data
is prepared only (contract 5).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, LeptonError, Registry, Schema, UsageError, Work
from lepton.data.parameters import adapt_fields, given_fields, made_of
from lepton.data.steps import Tensors

__all__ = [
    "RECIPE_STEPS",
    "Applied",
    "BoundRowStep",
    "BoundStep",
    "BoundTableStep",
    "Frames",
    "Learner",
    "OnError",
    "OwnRows",
    "RecipeStep",
    "RunContext",
    "Scope",
    "chosen_columns",
    "step_of",
]

_STEPS = "lepton.data.recipes.steps."
RECIPE_STEPS = Registry(
    "recipe_steps",
    {
        "select": _STEPS + "columns:Select",
        "drop": _STEPS + "columns:Drop",
        "rename": _STEPS + "columns:Rename",
        "cast": _STEPS + "columns:Cast",
        "drop_duplicates": _STEPS + "duplicates:DropDuplicates",
        "derive": _STEPS + "derive:Derive",
        "filter": _STEPS + "derive:Filter",
        "sort": _STEPS + "rows:Sort",
        "shuffle": _STEPS + "rows:Shuffle",
        "sample": _STEPS + "rows:Sample",
        "balance": _STEPS + "rows:Balance",
        "split": _STEPS + "rows:Split",
        "near_duplicates": _STEPS + "near_duplicates:NearDuplicates",
        "aggregate": _STEPS + "groups:Aggregate",
        "window": _STEPS + "groups:Window",
        "join": _STEPS + "tables:Join",
        "union": _STEPS + "tables:Union",
        "parse_dates": _STEPS + "parsing:ParseDates",
        "parse_numbers": _STEPS + "parsing:ParseNumbers",
        "parse_booleans": _STEPS + "parsing:ParseBooleans",
        "trim": _STEPS + "texts:Trim",
        "change_case": _STEPS + "texts:ChangeCase",
        "normalise_unicode": _STEPS + "texts:NormaliseUnicode",
        "repair_mojibake": _STEPS + "texts:RepairMojibake",
        "replace": _STEPS + "texts:Replace",
        "extract": _STEPS + "texts:Extract",
        "merge_spellings": _STEPS + "categories:MergeSpellings",
        "merge_rare": _STEPS + "categories:MergeRare",
        "map_values": _STEPS + "categories:MapValues",
        "fill": _STEPS + "missing:Fill",
        "fill_model": _STEPS + "fill_model:FillModel",
        "fill_forward": _STEPS + "fill_along:FillForward",
        "fill_backward": _STEPS + "fill_along:FillBackward",
        "flag_missing": _STEPS + "missing:FlagMissing",
        "drop_missing": _STEPS + "missing:DropMissing",
        "mark_missing": _STEPS + "missing:MarkMissing",
        "outliers": _STEPS + "outliers:Outliers",
        "require": _STEPS + "require:Require",
        "drop_outliers": _STEPS + "far_rows:DropOutliers",
        "flag_outliers": _STEPS + "far_rows:FlagOutliers",
        "clip": _STEPS + "outliers:Clip",
        "standardise": _STEPS + "scaling:Standardise",
        "min_max": _STEPS + "scaling:MinMax",
        "robust_scale": _STEPS + "scaling:RobustScale",
        "log": _STEPS + "transforms:Log",
        "yeo_johnson": _STEPS + "transforms:YeoJohnson",
        "quantile_transform": _STEPS + "transforms:QuantileTransform",
        "one_hot": _STEPS + "encoding:OneHot",
        "ordinal": _STEPS + "encoding:Ordinal",
        "text_features": _STEPS + "text_features:TextFeatures",
        "hash_encode": _STEPS + "encoding:HashEncode",
        "target_encode": _STEPS + "target_encoding:TargetEncode",
        "mask": _STEPS + "personal:Mask",
        "pseudonymise": _STEPS + "personal:Pseudonymise",
        "generalise": _STEPS + "personal:Generalise",
    },
)
"""Every cleaning step by name; third parties add theirs through the entry-point group `lepton.recipe_steps`."""


Frames = Callable[[], Iterator[pl.DataFrame]]


class Scope(StrEnum):
    """What a step looks at."""

    ROW = "row"
    TABLE = "table"


class OnError(StrEnum):
    """What becomes of a cell that a step cannot treat.

    An error; a null with a mark beside it; a null alone, which is counted; or the row goes.
    """

    FAIL = "fail"
    FLAG = "flag"
    MISSING = "missing"
    DROP = "drop"

    @property
    def is_lenient(self) -> bool:
        """Whether such a cell is taken as missing, by models too."""
        return self in (OnError.FLAG, OnError.MISSING)


@dataclass(frozen=True)
class RunContext:
    """What a table step may use.

    Attributes:
        work: cancel, progress, seed.
        scratch: a folder for spill files, emptied afterwards.
        memory: bytes that the rows it holds may take.
        tables: other tables by name, for joins.
        count: takes frames before and after, and the columns whose cells the step may have changed in them.
    """

    work: Work
    scratch: Path
    memory: int
    tables: Mapping[str, Any] = field(default_factory=dict)
    count: Callable[[pl.DataFrame, pl.DataFrame, tuple[str, ...]], None] = lambda before, after, columns: None


@dataclass(frozen=True)
class Applied:
    """What a row step makes of a frame.

    Attributes:
        frame: as many rows as came, in their order.
        bad: column → Boolean mask [N] of the cells that the step could not treat; they are null in `frame`.
    """

    frame: pl.DataFrame
    bad: Mapping[str, pl.Series] = field(default_factory=dict)


OwnRows = Callable[[], Callable[[pl.DataFrame], Applied]]
"""Starts a pass over the rows that were learned from, in their order; what it gives treats them, piece by piece."""


class Learner(ABC):
    """Learns from rows, part by part; learners of parts merge to that of the whole.

    Attributes:
        columns: what it needs to see.
    """

    columns: tuple[str, ...]

    @abstractmethod
    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what another one has seen, after the own rows."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """What was learned, ready for JSON."""

    def own_rows(self, bound: BoundStep) -> OwnRows | None:
        """For steps that treat the rows that they learned from otherwise than new ones: how. It is asked last."""
        return None


class RecipeStep(ABC):
    """One step as it is written: a frozen dataclass whose fields are the parameters, in Python and in YAML.

    Attributes:
        name: the word in recipes and the name of the method of `Recipe`.
        scope: whether each row is treated by itself.
        keeps_columns: whether the schema after the step is that before it: only values of `reads` change.
        hides: whether the values that come in are private: no report shows them as examples.
    """

    name: ClassVar[str]
    scope: ClassVar[Scope]
    keeps_columns: ClassVar[bool] = False
    hides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Texts stand for lists of one, lists become tuples; what does not fit its field is refused."""
        adapt_fields(self, self.name, ErrorCode.BAD_RECIPE)

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """Columns that the step looks at, for steps that learn: by default those named in `columns`, else all."""
        return getattr(self, "columns", ()) or schema.names

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """What learns the values that the step needs; None where there are none.

        Args:
            schema: of the rows.
            memory: bytes that it may hold; beyond, it keeps a sketch and says so in what it learned.
        """
        return None

    def from_tables(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        """What the step must know of other tables to be bound, ready for JSON; it is kept with what was learned.

        Args:
            tables: data sets by name.

        Raises:
            UsageError: a table that the step names was not given.
        """
        return {}

    @abstractmethod
    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on columns.

        Raises:
            DataError: a column is not there or of a kind that the step cannot treat; the message names both.
        """

    def params(self) -> dict[str, Any]:
        """The parameters that are not at their default, ready for JSON and YAML."""
        return given_fields(self)


@dataclass(frozen=True)
class BoundStep(ABC):
    """A step on the columns of a table, with what it learned.

    Attributes:
        before: the columns that come in.
    """

    before: Schema

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The columns that come out."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Columns that it looks at."""

    @property
    @abstractmethod
    def writes(self) -> tuple[str, ...]:
        """Columns that it changes or adds."""


class BoundRowStep(BoundStep):
    """A step that treats each row by itself."""

    @property
    def fallible(self) -> tuple[str, ...]:
        """Columns that may have cells that the step cannot treat."""
        return ()

    def needs(self, wanted: set[str]) -> set[str]:
        """Columns that must come in so that those `wanted` come out."""
        if not wanted & set(self.writes):
            return wanted
        return wanted - (set(self.writes) - set(self.before.names)) | set(self.reads)

    @abstractmethod
    def apply(self, frame: pl.DataFrame) -> Applied:
        """The rule on rows, vectorised; other columns pass through."""

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """The same rule as nodes of a graph, for those of its columns that are in the tensors.

        Raises:
            DataError: there is no such form; the message names the alternative.
        """
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"the step {type(self).__name__} has no form that a model file can hold",
            fix="clean the table first and train on the result without its recipe: table.without_recipe()",
        )

    @property
    def codecs(self) -> Mapping[str, str]:
        """For steps whose graph form reads texts that a codec has spelt out: raw column → codec."""
        return {}

    def raw(self, column: ColumnRecord) -> ColumnRecord | None:
        """For steps that a codec does in bundles: what the raw column must declare so that it does the same."""
        return None


class BoundTableStep(BoundStep):
    """A step that looks at many rows; it acts when data is prepared, never on the rows that a model is asked about.

    Attributes:
        only_filters: whether it gives rows of the frames, hidden columns included, in their order, so that errors of
            later steps still name the row.
    """

    only_filters: ClassVar[bool] = False

    @abstractmethod
    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The rows after the step, in frames of bounded size, in an order that does not depend on the frames.

        Args:
            frames: gives all rows from the start, each time it is called; a second time costs as much as the first.
            context: what may be used.
        """


def chosen_columns(
    schema: Schema, columns: Sequence[str], kinds: Sequence[Kind], step: str, *, default: Sequence[Kind] | None = None
) -> tuple[str, ...]:
    """The named columns, which must be of those kinds; without names every column of the `default` kinds.

    Raises:
        DataError: a column is not there, or of another kind.
    """
    if not columns:
        wanted = kinds if default is None else default
        return tuple(column.name for column in schema if column.kind in wanted)
    for name in columns:
        if schema[name].kind not in kinds:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"{step}: column {name!r} is of kind {schema[name].kind}",
                wanted=" or ".join(kinds),
                details={"step": step, "column": name},
            )
    return tuple(schema[name].name for name in columns)


def step_of(name: str, params: Mapping[str, Any], where: str) -> RecipeStep:
    """The step `name` with parameters from a file or a call.

    Args:
        name: registered name.
        params: field → value.
        where: such as `step 3`, for messages.

    Raises:
        UsageError: there is no such step or parameter, or a value does not fit.
    """
    try:
        step: RecipeStep = made_of(RECIPE_STEPS.load(name), name, params, ErrorCode.BAD_RECIPE)
        return step
    except LeptonError as error:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{where}: {error.came}", wanted=error.wanted, fix=error.fix) from None
