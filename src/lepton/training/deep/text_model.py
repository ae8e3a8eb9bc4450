"""A model of texts: linear scores of its pieces and a small network over them, in numpy and as nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.training.deep.grams import Grams
from lepton.training.deep.text_linear import LinearScores
from lepton.training.deep.text_rows import Floats, PieceRows

__all__ = ["PieceLayers", "TextModel"]

_TINY = 1e-12
_AT_ONCE = 65_536  # pieces of rows whose embeddings are held at once


@dataclass(frozen=True, slots=True)
class PieceLayers:
    """The weights of a `PieceNet`.

    Attributes:
        table: float32 [V, D], what a piece adds.
        shift: float32 [D], added before the rectifier.
        head: float32 [D, S].
        bias: float32 [S].
    """

    table: Floats
    shift: Floats
    head: Floats
    bias: Floats

    def scores(self, rows: PieceRows) -> NDArray[np.float64]:
        """Scores [N, S]."""
        known = len(self.table)
        hidden = np.zeros((len(rows), self.table.shape[1]), dtype=np.float32)
        for row in range(len(rows)):
            own = slice(rows.starts[row], rows.starts[row + 1])
            last = int(np.searchsorted(rows.pieces[own], known))
            hidden[row] = rows.values[own][:last] @ self.table[rows.pieces[own][:last]]
        out: NDArray[np.float64] = np.maximum(hidden + self.shift, 0).astype(np.float64) @ self.head + self.bias
        return out


@dataclass(frozen=True, slots=True)
class TextModel:
    """What was learned of texts; raw scores are a weighted sum of those of its parts.

    Attributes:
        grams: the pieces that are known.
        linear: linear scores, or None.
        layers: the network, or None.
        factors: what the scores of `linear` and of `layers` count, then what is added to all.
        scale: what raw scores are multiplied with, and then what is added: other than 1 and 0 for numbers only.
        binary: whether there is one score, that of the second class.
    """

    grams: Grams
    linear: LinearScores | None
    layers: PieceLayers | None
    factors: tuple[float, float, float]
    scale: tuple[float, float] = (1.0, 0.0)
    binary: bool = False

    @property
    def embedding_size(self) -> int | None:
        """Size of the embedding of a text, None where the model has none."""
        return None if self.layers is None else self.layers.table.shape[1]

    def write(self, builder: GraphBuilder, values: Mapping[str, str]) -> tuple[str, str | None]:
        """Write the graph behind `tokens` and `mask`: the values with the raw scores and with the embedding."""
        return _Graph(builder, self).written(values["tokens"], values["mask"])


class _Graph:
    def __init__(self, builder: GraphBuilder, model: TextModel) -> None:
        self._builder = builder
        self._model = model
        self._weights = model.grams.weights

    def _do(self, op: str, *inputs: str | float) -> str:
        names = [
            each if isinstance(each, str) else self._builder.constant(np.array(each, dtype=np.float32))
            for each in inputs
        ]
        return str(self._builder.node(op, names))

    def written(self, tokens: str, mask: str) -> tuple[str, str | None]:
        model = self._model
        numbers = model.grams.write(self._builder, tokens, mask)
        square = self._do("Gather", self._builder.constant((self._weights**2).astype(np.float32)), numbers)
        axis = self._builder.constant([1])
        squares = self._builder.node("ReduceSum", [square, axis], keepdims=1)
        length = self._do("Sqrt", self._do("Max", squares, _TINY))
        first, second, added = model.factors
        scores, embedding = [], None
        if model.linear is not None and first:
            sums = self._summed(model.linear.table, numbers, length)
            scores.append(self._do("Mul", self._do("Add", sums, self._builder.constant(model.linear.bias)), first))
        if model.layers is not None:
            layers = model.layers
            sums = self._summed(layers.table, self._among(numbers, len(layers.table)), length)
            embedding = self._do("Relu", self._do("Add", sums, self._builder.constant(layers.shift)))
            if second:
                head, bias = self._builder.constant(layers.head), self._builder.constant(layers.bias)
                scores.append(self._do("Mul", self._do("Gemm", embedding, head, bias), second))
        raw = scores[0] if len(scores) == 1 else self._do("Add", *scores)
        factor, offset = model.scale
        raw = self._do("Add", raw, added) if added else raw
        if (factor, offset) != (1.0, 0.0):
            raw = self._builder.node("Cast", [raw], to=11)
            raw = self._builder.node("Mul", [raw, self._builder.constant(factor)])
            raw = self._builder.node("Add", [raw, self._builder.constant(offset)])
        return raw, embedding

    def _among(self, numbers: str, known: int) -> str:
        """Numbers of pieces, 0 in place of those from `known` on."""
        limit, zero = (self._builder.constant(np.array(each, dtype=np.int32)) for each in (known, 0))
        return str(self._builder.node("Where", [self._builder.node("Less", [numbers, limit]), numbers, zero]))

    def _summed(self, table: Floats, numbers: str, length: str) -> str:
        """What the pieces of each row say, by their weights, over the length of the row: [N, S]."""
        said = (table * self._weights[: len(table), None]).astype(np.float16)
        said[0] = 0
        found = self._builder.node("Cast", [self._do("Gather", self._builder.constant(said), numbers)], to=1)
        summed = self._builder.node("ReduceSum", [found, self._builder.constant([1])], keepdims=0)
        return self._do("Div", summed, length)
