"""The row steps of a recipe in front of a model, so that the model takes rows as they came, before the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder, TableInputs
from lepton.bundle.encoding import TextEncoder, numeric_encoder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role
from lepton.data import Dataset
from lepton.data.convert import polars_type
from lepton.data.recipes import BoundRowStep, BoundTableStep, bound_steps
from lepton.data.steps import Tensors
from lepton.data.steps.base import gathered, positions

__all__ = ["Front", "front_of", "graph_inputs"]

_PHYSICAL = {Kind.NUMBER: pl.Float64(), Kind.BOOLEAN: pl.Boolean(), Kind.DATETIME: pl.Int64()}


@dataclass(frozen=True)
class Front:
    """What stands before the columns that a model was trained on.

    Attributes:
        inputs: the columns that rows bring.
        steps: what makes the model's columns of them.
        table_steps: names of the steps that acted in training only.
    """

    inputs: TableInputs
    steps: tuple[BoundRowStep, ...]
    table_steps: tuple[str, ...]

    def rows_before(self, dataset: Dataset, most: int) -> pl.DataFrame:
        """Rows as they came, before the recipe that made `dataset`: at most `most` of them, from all over the table."""
        source: Dataset = dataset if dataset.lineage is None else dataset.lineage.table
        every = -(-source.num_rows // most)
        frame = pl.concat([part.gather_every(every) for part in source.batches(columns=self.inputs.names)])
        return frame.with_columns(_read_texts(frame, self.inputs.columns))

    def emit(self, builder: GraphBuilder, tensors: Tensors, wanted: TableInputs) -> Tensors:
        """The steps as nodes, and the columns in the order that the model wants them."""
        for step in self.steps:
            tensors = step.emit(builder, tensors)
        numbers = tuple(column.name for column in wanted.numbers)
        strings = tuple(column.name for column in wanted.strings)
        texts = tensors.strings
        if texts is not None and strings and strings != tensors.string_names:
            place = positions(tensors.string_names)
            chosen = builder.constant(np.array([place[name] for name in strings], dtype=np.int64))
            texts = builder.node("Gather", [texts, chosen], axis=1)
        return Tensors(
            gathered(builder, tensors, numbers) if numbers else None, numbers, texts if strings else None, strings
        )


def front_of(dataset: Dataset, inputs: TableInputs, target: str) -> Front | None:
    """What makes the columns `inputs` of the rows that `dataset` was made of; None where no recipe made it.

    Raises:
        DataError: a step that is needed has no form that a model file can hold, or makes an input of the target; the
            message names the alternative.
    """
    lineage = dataset.lineage
    if lineage is None:
        return None
    needed = set(inputs.names)
    chosen: list[BoundRowStep] = []
    left_out = []
    for step, bound in reversed(bound_steps(lineage.recipe)):
        if isinstance(bound, BoundTableStep):
            _check_untouched(step.name, bound, needed)
            left_out.append(step.name)
        elif isinstance(bound, BoundRowStep):
            if needed & set(bound.writes):
                chosen.append(bound)
            needed = bound.needs(needed)
            if step.name == "rename":
                (target,) = bound.needs({target})
            _check_unknown(step.name, target, needed)
    raw = lineage.raw
    if lost := [name for name in sorted(needed) if name not in raw]:
        came = f"column {lost[0]!r} of the cleaned table is not made of columns of the rows that came"
        mark = lost[0].endswith(" is bad")
        fix = "leave the mark out of the training, as its role `ignored` does" if mark else ""
        raise DataError(ErrorCode.NO_GRAPH_FORM, came, fix=fix or "train on table.without_recipe()")
    columns = {name: replace(raw[name], role=Role.FEATURE) for name in raw.names if name in needed}
    steps = _with_codecs(tuple(reversed(chosen)), columns)
    texts = {name: codec for name in columns if (codec := inputs.codecs.get(name)) is not None}
    texts.update(_spelt_out(steps, columns, inputs))
    _check_texts(inputs, steps, columns)
    front = Front(TableInputs(tuple(columns.values()), texts), steps, tuple(reversed(left_out)))
    builder = GraphBuilder()  # refuses what has no form before anything is learned
    front.emit(builder, graph_inputs(builder, front.inputs), inputs)
    return front


def _check_unknown(name: str, target: str, needed: set[str]) -> None:
    if target in needed:
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"the step {name} makes an input of the target {target!r}, which is not known when the model is asked",
            fix="leave the column that it makes out of the training, or let the step look at other columns",
        )


def graph_inputs(builder: GraphBuilder, inputs: TableInputs) -> Tensors:
    """The columns that rows bring, as inputs of a graph."""
    numbers, strings = (tuple(column.name for column in each) for each in (inputs.numbers, inputs.strings))
    return Tensors(
        builder.input("numbers", "double", ["N", len(numbers)]) if numbers else None,
        numbers,
        builder.input("strings", "string", ["N", len(strings)]) if strings else None,
        strings,
    )


def _check_untouched(name: str, bound: BoundTableStep, needed: set[str]) -> None:
    if touched := sorted(needed & set(bound.writes)):
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"the step {name} makes column {touched[0]!r} from many rows, and a model sees one at a time",
            fix="leave the column out of the training, or train on table.without_recipe()",
        )


def _with_codecs(steps: Sequence[BoundRowStep], columns: dict[str, ColumnRecord]) -> tuple[BoundRowStep, ...]:
    """Steps without those that a codec does; `columns` then say so."""
    rest: list[BoundRowStep] = []
    touched: set[str] = set()
    for step in steps:
        declared = {name: step.raw(columns[name]) for name in step.writes if name in columns}
        if declared and all(record is not None for record in declared.values()):
            if late := sorted(touched & set(declared)):
                came = f"column {late[0]!r} is read by a codec after another step has changed it"
                raise DataError(ErrorCode.NO_GRAPH_FORM, came, fix="move the step to the front of the recipe")
            columns.update({name: record for name, record in declared.items() if record is not None})
            continue
        touched |= set(step.writes)
        rest.append(step)
    return tuple(rest)


def _spelt_out(
    steps: Sequence[BoundRowStep], columns: Mapping[str, ColumnRecord], inputs: TableInputs
) -> dict[str, str]:
    """The codecs of raw columns that steps read spelt out; such a column can serve nothing else."""
    found: dict[str, str] = {}
    for place, step in enumerate(steps):
        for name, codec in step.codecs.items():
            if name not in columns:
                came = f"the texts {name!r} are spelt out by a codec, which reads columns as they came"
                raise DataError(ErrorCode.NO_GRAPH_FORM, came, fix="rename columns after the step")
            others = {n for other in (*steps[:place], *steps[place + 1 :]) for n in (*other.reads, *other.writes)}
            if name in others or name in inputs.names:
                came = f"the texts {name!r} are spelt out by a codec for one step, and something else takes them too"
                raise DataError(
                    ErrorCode.NO_GRAPH_FORM, came, fix="use the column once, or train on table.without_recipe()"
                )
            found[name] = codec
    return found


def _check_texts(inputs: TableInputs, steps: Sequence[BoundRowStep], columns: dict[str, ColumnRecord]) -> None:
    """Free texts are spelt out by a codec before any step sees them."""
    changed = {name for step in steps for name in step.writes}
    for column in inputs.columns:
        if column.kind is Kind.TEXT and (column.name in changed or column.name not in columns):
            raise DataError(
                ErrorCode.NO_GRAPH_FORM,
                f"the free text {column.name!r} is changed by a step, which a model file cannot hold",
                fix="give the texts as they are, or train on table.without_recipe()",
            )


def _read_texts(frame: pl.DataFrame, columns: Sequence[ColumnRecord]) -> list[pl.Series]:
    """The columns of texts that a codec of the bundle reads, as what it reads in them; null where it cannot."""
    numbers = [
        numeric_encoder(column).readable(frame[column.name]).cast(_PHYSICAL[column.kind]).cast(polars_type(column))
        for column in columns
        if column.kind in _PHYSICAL and frame[column.name].dtype == pl.String
    ]
    tidied = [
        TextEncoder(column).series(frame[column.name]).replace("", None).alias(column.name)
        for column in columns
        if column.tidying and column.kind not in _PHYSICAL
    ]
    return numbers + tidied
