"""Texts as numbers that a table has for them, such as how frequent they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.data.steps.base import Block, Numbers, Step, Tensors, concatenated, positions, unique_names

__all__ = ["Lookup"]


@dataclass(frozen=True)
class Lookup(Step):
    """Adds the numbers that a table has for the texts of some columns; the texts stay.

    Attributes:
        columns: the text columns.
        texts: the known texts of each column; the empty one stands for missing.
        numbers: for each column and known text as many numbers as there are `others`.
        others: the numbers of texts that are not known.
        made: names of the numbers, said of the column they are made of: `share` makes `share(town)`.
    """

    name: ClassVar[str] = "lookup"
    columns: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    numbers: tuple[tuple[tuple[float, ...], ...], ...]
    others: tuple[float, ...]
    made: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Learn the share of the rows in which each text of the columns stands, by default of all text columns."""
        chosen = block.string_names if columns is None else tuple(columns)
        texts, numbers = [], []
        for column in chosen:
            counts = block.strings[column].rename("text").value_counts(name="rows").sort("text")
            texts.append(tuple(counts["text"].to_list()))
            numbers.append(tuple((rows / block.num_rows,) for rows in counts["rows"].to_list()))
        return cls(chosen, tuple(texts), tuple(numbers), (0.0,), ("share",))

    def apply(self, block: Block) -> Block:
        """Put the numbers behind the others."""
        added: list[Numbers] = []
        for column, known, numbers in zip(self.columns, self.texts, self.numbers, strict=True):
            codes = block.strings[column].replace_strict(
                list(known), list(range(1, len(known) + 1)), default=0, return_dtype=pl.Int64
            )
            added.append(np.array([self.others, *numbers], dtype=np.float64)[codes.to_numpy()])
        return Block(np.hstack([block.numbers, *added]), self.names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`LabelEncoder` from the texts of all columns, each with its column's number in front, then `Gather`."""
        if tensors.strings is None or not self.columns:
            return tensors
        keys: list[str] = []
        rows: list[tuple[float, ...]] = [self.others]
        for place, (known, numbers) in enumerate(zip(self.texts, self.numbers, strict=True)):
            keys += [f"{place}:{text}" for text in known]
            rows += numbers
        at = positions(tensors.string_names)
        texts = tensors.strings
        if self.columns != tensors.string_names:
            chosen = builder.constant(np.array([at[column] for column in self.columns], dtype=np.int64))
            texts = builder.node("Gather", [texts, chosen], axis=1)
        marked = builder.node("StringConcat", [builder.constant([[f"{i}:" for i in range(len(self.columns))]]), texts])
        codes = builder.node(
            "LabelEncoder",
            [marked],
            domain=ML_DOMAIN,
            keys_tensor=np.array(keys, dtype=object),
            values_tensor=np.arange(1, len(keys) + 1),
            default_tensor=np.array([0]),
        )
        found = builder.node("Gather", [builder.constant(np.array(rows, dtype=np.float64)), codes], axis=0)
        width = builder.constant(np.array([-1, len(self.columns) * len(self.others)]))
        flat = builder.node("Reshape", [found, width])
        return Tensors(
            concatenated(builder, [tensors.numbers, flat]), self.names(tensors), tensors.strings, tensors.string_names
        )

    def names(self, before: Block | Tensors) -> tuple[str, ...]:
        """The number columns after the step."""
        wanted = [f"{each}({column})" for column in self.columns for each in self.made]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))
