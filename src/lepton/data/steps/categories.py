"""Categories as numbers: ordinal codes from one table of values, and one column for each category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.data.steps.base import Block, Step, Tensors, concatenated, gathered, unique_names

__all__ = ["OTHER", "OneHot", "Ordinal"]

OTHER = -1.0
"""The code of a category that was rare in training or never seen."""

_MISSING = -2.0  # stands for NaN inside OneHot, where equality is needed


@dataclass(frozen=True)
class Ordinal(Step):
    """Turns every text column into codes 0, 1, … in the order of the texts; missing is NaN, other texts are -1.

    In a graph this takes two nodes for any number of columns: each text gets its column's number in front, and one
    table holds the codes of all columns.

    Attributes:
        columns: the text columns.
        values: the known texts of each, in the order of their codes.
    """

    name: ClassVar[str] = "ordinal"
    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, block: Block, *, min_count: int = 1, max_categories: int = 1000) -> Self:
        """Learn the texts that stand in at least `min_count` rows, the `max_categories` most frequent of a column."""
        values = []
        for series in block.strings:
            counts = series.filter(series != "").rename("text").value_counts(name="rows")
            counts = counts.filter(pl.col("rows") >= min_count).sort(["rows", "text"], descending=[True, False])
            values.append(tuple(sorted(counts["text"].head(max_categories).to_list())))
        return cls(block.string_names, tuple(values))

    def apply(self, block: Block) -> Block:
        """Put the codes behind the numbers and take the texts away."""
        codes = [
            block.strings[column]
            .replace_strict(
                ["", *known], [np.nan, *map(float, range(len(known)))], default=OTHER, return_dtype=pl.Float64
            )
            .to_numpy()
            for column, known in zip(self.columns, self.values, strict=True)
        ]
        return Block(np.column_stack([block.numbers, *codes]), (*block.number_names, *self.columns), pl.DataFrame())

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`StringConcat` with the column's number, then one `LabelEncoder`."""
        if tensors.strings is None:
            return tensors
        prefixes = [f"{i}:" for i in range(len(self.columns))]
        keys: list[str] = []
        codes: list[float] = []
        for prefix, known in zip(prefixes, self.values, strict=True):
            keys += [prefix, *(prefix + text for text in known)]
            codes += [np.nan, *map(float, range(len(known)))]
        marked = builder.node("StringConcat", [builder.constant([prefixes]), tensors.strings])
        encoded = builder.node(
            "LabelEncoder",
            [marked],
            domain=ML_DOMAIN,
            keys_tensor=np.array(keys, dtype=object),
            values_tensor=np.array(codes),
            default_tensor=np.array([OTHER]),
        )
        numbers = concatenated(builder, [tensors.numbers, encoded])
        return Tensors(numbers, (*tensors.number_names, *self.columns), None, ())


@dataclass(frozen=True)
class OneHot(Step):
    """Replaces columns of codes by one column of 0 and 1 for each code; codes that are not listed give zeros only.

    Attributes:
        columns: the code column of each indicator.
        codes: the code of each indicator; -2 stands for missing.
    """

    name: ClassVar[str] = "one-hot"
    columns: tuple[str, ...]
    codes: tuple[float, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None, max_categories: int = 100) -> Self:
        """Learn the `max_categories` most frequent codes ≥ 0 of each column, and whether it has missing values."""
        chosen: list[tuple[str, float]] = []
        for column in block.number_names if columns is None else columns:
            values = block.column(column)
            codes, counts = np.unique(values[(values >= 0) & np.isfinite(values)], return_counts=True)
            frequent = np.sort(np.argsort(-counts, kind="stable")[:max_categories])
            chosen += [(column, float(code)) for code in codes[frequent]]
            if np.isnan(values).any():
                chosen.append((column, _MISSING))
        return cls(tuple(c for c, _ in chosen), tuple(v for _, v in chosen))

    def apply(self, block: Block) -> Block:
        """Put the indicators behind the other numbers."""
        kept, names = self._layout(block)
        codes = block.columns(self.columns)
        codes = np.where(np.isnan(codes), _MISSING, codes)
        indicators = (codes == np.array(self.codes)).astype(np.float64)
        return Block(np.hstack([block.columns(kept), indicators]), names, block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Gather` the column of each indicator, `Equal` its code."""
        kept, names = self._layout(tensors)
        if not self.columns:
            return tensors
        codes = gathered(builder, tensors, self.columns)
        if _MISSING in self.codes:
            missing = builder.node("IsNaN", [codes])
            codes = builder.node("Where", [missing, builder.constant(_MISSING), codes])
        hits = builder.node("Equal", [codes, builder.constant(np.array([self.codes]))])
        indicators = builder.node("Cast", [hits], to=11)  # onnx.TensorProto.DOUBLE
        rest = gathered(builder, tensors, kept) if kept else None
        return Tensors(concatenated(builder, [rest, indicators]), names, tensors.strings, tensors.string_names)

    def _layout(self, before: Block | Tensors) -> tuple[tuple[str, ...], tuple[str, ...]]:
        replaced = set(self.columns)
        kept = tuple(n for n in before.number_names if n not in replaced)
        wanted = [
            f"{column} is missing" if code == _MISSING else f"{column}={code:g}"
            for column, code in zip(self.columns, self.codes, strict=True)
        ]
        return kept, kept + unique_names(wanted, (*kept, *before.string_names))
