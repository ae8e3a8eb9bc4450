"""The contract of cleaning steps, as one check that the tests of every step call with examples.

    def test_contract():
        check_step(Fill("n", "median"), {"n": [1.0, None, 3.0], "other": ["a", "b", None]})

A step of a third party is checked the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
import yaml

from lepton.bundle import GraphBuilder
from lepton.bundle.encoding import TextEncoder
from lepton.core import DataError, ErrorCode, Kind, LeptonError, Schema, Work
from lepton.data import read
from lepton.data.convert import polars_type
from lepton.data.recipes import BoundRowStep, BoundStep, BoundTableStep, Recipe, RecipeStep, RunContext
from lepton.data.steps import Tensors
from lepton.store.documents import parse_yaml

__all__ = ["bound_on", "check_step", "graph_of", "table_of"]

MEMORY = 10_000_000
_NUMBERS = (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME)


def table_of(columns: Mapping[str, Any] | pl.DataFrame, kinds: Mapping[str, str] | None = None) -> Any:
    """A table of these columns; texts are categories unless `kinds` says more."""
    frame = pl.DataFrame(columns) if not isinstance(columns, pl.DataFrame) else columns
    texts = {name: "category" for name, dtype in frame.schema.items() if dtype in (pl.String, pl.Null)}
    return read(frame, kinds={**texts, **(kinds or {})})


def bound_on(step: RecipeStep, table: Any, tables: Mapping[str, Any] | None = None, parts: int = 1) -> BoundStep:
    """The step with what it learned from the table, cut in `parts` that are merged; by way of JSON."""
    return step.bind(table.schema, _learned(step, table, tables, parts))


def _learned(step: RecipeStep, table: Any, tables: Mapping[str, Any] | None, parts: int) -> dict[str, Any]:
    frame = table.frame()
    learner = step.learner(table.schema, MEMORY)
    found = step.from_tables(tables or {})
    if learner is not None:
        size = max(-(-frame.height // parts), 1)
        for start in range(0, frame.height, size):
            other = step.learner(table.schema, MEMORY)
            assert other is not None
            other.update(frame[start : start + size].select(other.columns))
            learner.merge(other)
        found = {**found, **learner.finish()}
    found = json.loads(json.dumps(found, allow_nan=False))
    assert isinstance(found, dict)
    return found


def check_step(
    step: RecipeStep,
    columns: Mapping[str, Any] | pl.DataFrame,
    *,
    kinds: Mapping[str, str] | None = None,
    unseen: Mapping[str, Any] | pl.DataFrame | None = None,
    graph: bool = True,
    tables: Mapping[str, Any] | None = None,
    tolerance: float = 1e-12,
    all_missing: bool = True,
    scratch: Path | None = None,
) -> BoundStep:
    """Hold a step to the contract on a small table.

    Args:
        step: as it is written.
        columns: rows to learn from, a few at least.
        kinds: of columns, where they are not plain.
        unseen: further rows of the same columns, to treat only.
        graph: whether a row step has a graph form, or a codec in its place (then False).
        tables: for joins.
        tolerance: relative difference that the graph may have.
        all_missing: whether to try the step on columns of missing values alone.
        scratch: a folder; needed for table steps.

    Returns:
        The step as it was bound.
    """
    table = table_of(columns, kinds)
    _check_written(step)
    bound = bound_on(step, table, tables)
    _same_learning(_learned(step, table, tables, 1), _learned(step, table, tables, 3))
    frames = [table.frame()]
    if unseen is not None:
        frames.append(_like(unseen, table.schema))
    if isinstance(bound, BoundRowStep):
        for frame in frames:
            _check_rows(bound, frame)
            if graph:
                _check_graph(bound, frame, tolerance)
            elif not any(bound.raw(column) for column in bound.before):
                _check_refusal(bound)
    else:
        assert isinstance(bound, BoundTableStep)
        assert scratch is not None, "table steps need scratch=tmp_path"
        _check_table(bound, frames[0], tables or {}, scratch)
    _check_empty(step, table, tables, scratch, all_missing)
    return bound


def _check_written(step: RecipeStep) -> None:
    """The step reads the same from YAML, by the recipe's method, and has a line of documentation."""
    written = Recipe((step,)).to_dict()
    text = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
    assert Recipe.from_dict(parse_yaml(text.encode(), "recipe.yaml")).steps == (step,), text
    assert (type(step).__doc__ or "").splitlines()[0].strip().endswith(".")
    parameters = written["steps"][0]
    assert Recipe().step(step.name, **(parameters[step.name] if isinstance(parameters, dict) else {})).steps == (step,)


def _same_learning(whole: Any, parts: Any) -> None:
    """What was learned in parts is what was learned at once, but for the last digits of sums."""
    if isinstance(whole, Mapping):
        assert list(whole) == list(parts)
        for key in whole:
            _same_learning(whole[key], parts[key])
    elif isinstance(whole, Sequence) and not isinstance(whole, str):
        assert len(whole) == len(parts)
        for one, other in zip(whole, parts, strict=True):
            _same_learning(one, other)
    elif isinstance(whole, float):
        assert parts == pytest.approx(whole, rel=1e-9, abs=1e-12)
    else:
        assert whole == parts


def _like(columns: Mapping[str, Any] | pl.DataFrame, schema: Schema) -> pl.DataFrame:
    frame = pl.DataFrame(columns, strict=False) if not isinstance(columns, pl.DataFrame) else columns
    return frame.select(pl.col(column.name).cast(polars_type(column)) for column in schema)


def _check_frame(frame: pl.DataFrame, schema: Schema) -> None:
    assert frame.columns == list(schema.names)
    for column in schema:
        assert frame[column.name].dtype == polars_type(column), (column, frame[column.name].dtype)
        if frame[column.name].dtype.is_float():
            assert not frame[column.name].is_nan().any(), f"{column.name} holds NaN; missing is null"


def _check_rows(bound: BoundRowStep, frame: pl.DataFrame) -> None:
    """As many rows in their order, row by row the same; only `writes` change, only `reads` matter."""
    applied = bound.apply(frame)
    after = applied.frame
    _check_frame(after, bound.schema)
    assert after.height == frame.height
    assert set(applied.bad) <= set(bound.fallible)
    for name, mask in applied.bad.items():
        assert mask.dtype == pl.Boolean
        assert len(mask) == frame.height
        if name in after.columns:
            assert after[name].filter(mask).is_null().all(), "a cell that could not be treated is null"
    for name in set(frame.columns) & set(after.columns) - set(bound.writes):
        assert after[name].equals(frame[name], null_equal=True), f"{name} changed and is not among writes"
    assert {name for name in after.columns if name not in frame.columns} <= set(bound.writes)
    rows = [bound.apply(frame[start : start + 1]).frame for start in range(frame.height)]
    if rows:
        assert pl.concat(rows).equals(after, null_equal=True), "a row's answer depends on its neighbours"
    blind = frame.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in frame.schema.items() if name not in bound.reads
    )
    kept = [name for name in bound.writes if name in after.columns]
    assert bound.apply(blind).frame.select(kept).equals(after.select(kept), null_equal=True), "reads is not true"


def graph_of(bound: BoundRowStep, frame: pl.DataFrame) -> dict[str, Any]:
    """Column → values that the step's graph form gives for a frame: doubles with NaN, or texts where "" is missing."""
    numbers = [column.name for column in bound.before if column.kind in _NUMBERS]
    strings = [column.name for column in bound.before if column.kind not in _NUMBERS]
    builder = GraphBuilder()
    tensors = bound.emit(
        builder,
        Tensors(
            builder.input("numbers", "double", ["N", len(numbers)]) if numbers else None,
            tuple(numbers),
            builder.input("strings", "string", ["N", len(strings)]) if strings else None,
            tuple(strings),
        ),
    )
    outputs = []
    if tensors.numbers is not None:
        builder.output("out_numbers", tensors.numbers, "double", ["N", len(tensors.number_names)])
        outputs.append(("out_numbers", tensors.number_names))
    if tensors.strings is not None:
        builder.output("out_strings", tensors.strings, "string", ["N", len(tensors.string_names)])
        outputs.append(("out_strings", tensors.string_names))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(builder.finish(), options, providers=["CPUExecutionProvider"])
    spelt = {n: TextEncoder(bound.before[n], codec=codec).series(frame[n]) for n, codec in bound.codecs.items()}
    frame = frame.with_columns(**spelt)
    physical = [frame[name].to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in numbers]
    feeds = {
        "numbers": np.stack(physical, axis=1) if numbers else None,
        "strings": frame.select(pl.col(strings).fill_null("")).to_numpy().astype(object) if strings else None,
    }
    answers = session.run(
        [name for name, _ in outputs], {given.name: feeds[given.name] for given in session.get_inputs()}
    )
    return {
        column: answer[:, place]
        for (_, names), answer in zip(outputs, answers, strict=True)
        for place, column in enumerate(names)
    }


def _check_graph(bound: BoundRowStep, frame: pl.DataFrame, tolerance: float) -> None:
    """The graph gives what `apply` gives, for every column that is left."""
    after = bound.apply(frame).frame
    found = graph_of(bound, frame)
    assert set(bound.schema.names) <= set(found), "the graph lacks a column"
    for column in bound.schema:
        ours, theirs = after[column.name], found[column.name]
        if column.kind in _NUMBERS:
            expected = ours.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
            np.testing.assert_allclose(theirs, expected, rtol=tolerance, atol=0.0, equal_nan=True, err_msg=column.name)
        else:
            assert theirs.tolist() == ours.fill_null("").to_list(), column.name


def _check_refusal(bound: BoundRowStep) -> None:
    with pytest.raises(DataError) as caught:
        graph_of(bound, pl.DataFrame(schema={column.name: polars_type(column) for column in bound.before}))
    assert caught.value.code is ErrorCode.NO_GRAPH_FORM
    assert caught.value.fix


def _context(scratch: Path, tables: Mapping[str, Any], memory: int = MEMORY) -> RunContext:
    return RunContext(Work(seed=0), scratch, memory, tables)


def _check_table(bound: BoundTableStep, frame: pl.DataFrame, tables: Mapping[str, Any], scratch: Path) -> None:
    """The rows do not depend on how the frames were cut or on how much memory there was."""
    made: list[pl.DataFrame] = []
    for size, memory in ((frame.height or 1, MEMORY), (1, MEMORY), (2, 1_000)):
        folder = scratch / f"scratch-{len(made)}-{id(bound)}"
        folder.mkdir()
        frames = list(
            bound.run(lambda size=size: frame.iter_slices(size), _context(folder, tables, memory))  # type: ignore[misc]
        )
        for each in frames:
            _check_frame(each, bound.schema)
        empty = pl.DataFrame(schema={column.name: polars_type(column) for column in bound.schema})
        made.append(pl.concat([empty, *frames]))
    assert made[1].equals(made[0], null_equal=True)
    assert made[2].equals(made[0], null_equal=True)


def _check_empty(
    step: RecipeStep, table: Any, tables: Mapping[str, Any] | None, scratch: Path | None, all_missing: bool
) -> None:
    """No rows, and columns without any value: an answer, or an error of ours that says so."""
    none = table.frame()[:0]
    missing = (
        none
        if not all_missing
        else table.frame().select(pl.lit(None, dtype=d).alias(n) for n, d in none.schema.items())
    )
    for frame in (none, missing):
        try:
            learner = step.learner(table.schema, MEMORY)
            found = step.from_tables(tables or {})
            if learner is not None:
                learner.update(frame.select(learner.columns))
                found = {**found, **json.loads(json.dumps(learner.finish(), allow_nan=False))}
            bound = step.bind(table.schema, found)
        except LeptonError:
            continue
        if isinstance(bound, BoundRowStep):
            _check_rows(bound, frame)
        elif isinstance(bound, BoundTableStep) and scratch is not None:
            folder = scratch / f"empty-{frame.height}-{id(bound)}"
            folder.mkdir()
            for each in bound.run(lambda frame=frame: iter([frame]), _context(folder, tables or {})):  # type: ignore[misc]
                _check_frame(each, bound.schema)
