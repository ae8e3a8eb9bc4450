"""Short texts as a few dense numbers: where they stand along the directions in which training's texts differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError
from lepton.data.steps.base import Block, Numbers, Tensors, concatenated, unique_names
from lepton.data.steps.text import TextGrams

__all__ = ["TextTopics"]

_DOUBLE = 11  # onnx.TensorProto
_LEARNED_ROWS = 20_000
_SMALL = 100  # rows or n-grams up to which nothing is gained by iterating
_GRID = 2.0**20
"""Positions are rounded to a millionth or so: then a graph, which adds up in another order, gives the same ones."""


@dataclass(frozen=True)
class TextTopics(TextGrams):
    """Adds the tf-idf weights of the n-grams of text columns, projected on their first singular vectors.

    That is latent semantic analysis (Deerwester et al. 1990): texts with words that go together come close to each
    other, also where they share none.

    Attributes:
        topics: for each n-gram of all columns its part in each topic.
    """

    name: ClassVar[str] = "text-topics"
    topics: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def fit(
        cls,
        block: Block,
        *,
        columns: Sequence[str] | None = None,
        unit: str = "character",
        longest: int = 3,
        min_count: int = 2,
        max_grams: int = 2_000,
        num_topics: int = 32,
    ) -> Self:
        """Learn the n-grams, and the `num_topics` directions in which the texts of at most 20,000 rows differ most.

        Args:
            block: rows.
            columns: text columns; all by default.
            unit: `character` or `word`.
            longest: pieces of the longest n-gram, 1 to 4.
            min_count: rows that an n-gram must stand in.
            max_grams: n-grams of each column.
            num_topics: at most so many; fewer where there are fewer rows or n-grams.
        """
        grams = TextGrams.fit(
            block, columns=columns, unit=unit, longest=longest, min_count=min_count, max_grams=max_grams
        )
        every = np.arange(0, block.num_rows, max(1, -(-block.num_rows // _LEARNED_ROWS)))
        # In single precision, which halves what a graph must hold.
        topics = _directions(grams.sparse(block.take(every)), num_topics).astype(np.float32).astype(np.float64)
        return cls(grams.columns, grams.unit, grams.grams, grams.weights, tuple(map(tuple, topics.tolist())))

    @cached_property
    def _directions(self) -> Numbers:
        return np.array(self.topics, dtype=np.float64).reshape(len(self.topics), -1 if self.topics else 0)

    def apply(self, block: Block) -> Block:
        """Put the positions behind the numbers."""
        if not self._directions.size:
            return block
        positions = np.rint(self.sparse(block) @ self._directions * _GRID) / _GRID
        return Block(np.hstack([block.numbers, positions + 0.0]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """The weights of `text-grams`, one `MatMul`, rounded."""
        if not self._directions.size:
            return tensors
        weights = self.emit_weights(builder, tensors)
        directions = builder.node("Cast", [builder.constant(self._directions.astype(np.float32))], to=_DOUBLE)
        found = builder.node("MatMul", [str(weights), builder.node("Mul", [directions, builder.constant(_GRID)])])
        # Adding 0 makes -0 a 0.
        whole = builder.node("Add", [builder.node("Round", [found]), builder.constant(0.0)])
        numbers = concatenated(builder, [tensors.numbers, builder.node("Mul", [whole, builder.constant(1.0 / _GRID)])])
        return Tensors(numbers, self._names(tensors), tensors.strings, tensors.string_names)

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        texts = ", ".join(self.columns)
        wanted = [f"topic {number}({texts})" for number in range(self._directions.shape[1])]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))


def _directions(weights: Any, num_topics: int) -> Numbers:
    """The first right singular vectors [G, K] of weights [N, G]; each one's largest part is positive."""
    try:
        import scipy.sparse.linalg
    except ImportError:
        raise MissingExtraError("scipy", "train", "Learning from texts") from None
    count = min(num_topics, min(weights.shape) - 1)
    if count < 1 or not weights.nnz:
        return np.empty((weights.shape[1], 0))
    if min(weights.shape) <= _SMALL:
        _, sizes, rows = np.linalg.svd(weights.toarray(), full_matrices=False)
        sizes, rows = sizes[:count], rows[:count]
    else:
        _, sizes, rows = scipy.sparse.linalg.svds(weights, k=count, v0=np.ones(min(weights.shape)))
        sizes, rows = sizes[::-1], rows[::-1]
    rows = rows[sizes > 1e-9 * sizes.max()]
    largest = np.abs(rows).argmax(axis=1)
    signs = np.sign(rows[np.arange(len(rows)), largest])
    return np.ascontiguousarray((rows * signs[:, None]).T)
