"""A small neural network for tables: an ensemble that shares its layers, on numbers coded in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import linear_steps
from lepton.training.learners.network_fit import (
    LossFunction,
    Net,
    Singles,
    Training,
    as_half,
    edges_of,
    loss_of,
    pieces,
)
from lepton.training.spaces import Choice, Dimension, Real, Whole
from lepton.training.threads import blas_threads

__all__ = ["Network"]

_MAX_ROWS = 200_000
_STEP_ROWS = 20_000  # that medians, ranges, categories and pieces are learned from
_ROWS_AT_ONCE = 16_384
_SCORED_AT_ONCE = 4_096
_MAX_COLUMNS = 2_000
_PIECES = (4, 32)  # of a column
_LARGEST = 5.0  # standard deviations that a number may be from the mean; its pieces go further
_NUM_MEMBERS = 4
_STEPS = 2_000  # about as many as a fit takes in all, between these numbers of epochs
_EPOCHS = (10, 100)
_PATIENCE = 0.2  # share of the epochs without a better score on rows that it has not seen
_FLOAT, _DOUBLE = 1, 11  # onnx.TensorProto


class Network(TableLearner):
    """A feed-forward net of several members; see `network_fit`. Texts count by their length only.

    It is learned on one thread: its products are small, and threads that wait for each other cost more than they give.
    """

    name = "network"
    library = "threadpoolctl"
    searched_only = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """One of middling size, with some 256 pieces in all; none for tables of texts, which it cannot read."""
        if problem.texts:
            return ()
        return (
            {
                "label": "network",
                "width": 128,
                "num_layers": 2,
                "rate": 6e-3,
                "decay": 0.03,
                "dropout": 0.1,
                "pieces": 256,
            },
        )

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Size, learning rate, and what holds it back."""
        if problem.texts:
            return {}
        return {
            "width": Choice((64, 128, 256), 128),
            "num_layers": Whole(1, 3, 2),
            "rate": Real(1e-3, 1e-2, 6e-3, log=True),
            "decay": Real(1e-3, 1.0, 0.03, log=True),
            "dropout": Real(0.0, 0.4, 0.1),
            "pieces": Choice((64, 256, 768), 256),
        }

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Learn until `valid` has not got better for a while, from at most 200,000 of the rows, drawn by the seed."""
        rows = rows.drawn(_MAX_ROWS, self.seed)
        some = rows.drawn(_STEP_ROWS, self.seed)
        self.steps, block = linear_steps(self.problem, some.block)
        work.check()
        self._learn_pieces(block.numbers)
        weight = np.ones(len(rows.target)) if rows.weight is None else rows.weight
        self._mean, self._spread = self._scale_of(rows.target, weight)
        target = (rows.target - self._mean) / self._spread
        numbers = self._singles(rows.block)
        held_out = None
        if valid is not None:
            held_out = self._singles(valid.block), (valid.target - self._mean) / self._spread, valid.weight
        with blas_threads(1):
            self._descend(numbers, target, weight.astype(np.float32), held_out, work)
        return self

    def _learn_pieces(self, numbers: Doubles) -> None:
        """The pieces of each column that has more than two values, fewer where there are many columns."""
        varied = [place for place, column in enumerate(numbers.T) if len(np.unique(column[:1_000])) > 2]
        wanted = int(np.clip(self.configuration["pieces"] // max(len(varied), 1), *_PIECES))
        lower, scale, owner = [], [], []
        for place in varied if len(varied) * wanted <= _MAX_COLUMNS else ():
            (edges,) = edges_of(numbers[:, [place]], wanted)
            lower += edges[:-1].tolist()
            scale += (1 / np.diff(edges)).tolist()
            owner += [place] * (len(edges) - 1)
        self._lower, self._scale = np.array(lower, dtype=np.float32), np.array(scale, dtype=np.float32)
        self._owner = np.array(owner, dtype=np.int64)

    def _singles(self, block: Block) -> Singles:
        """What the steps give [N, F] in single precision, part by part: in double it would be the most of a fit."""
        parts = [
            apply_steps(self.steps, block.part(first, _ROWS_AT_ONCE)).numbers.astype(np.float32)
            for first in range(0, max(block.num_rows, 1), _ROWS_AT_ONCE)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _inputs(self, numbers: Singles) -> Singles:
        """Numbers and their pieces [N, D]; made for a few rows at a time, since there are many pieces."""
        coded = pieces(numbers, self._lower, self._scale, self._owner)
        held = np.clip(numbers, np.float32(-_LARGEST), np.float32(_LARGEST))
        return np.concatenate([held, coded], axis=1)

    def _scale_of(self, target: Doubles, weight: Doubles) -> tuple[float, float]:
        """Mean and standard deviation of numbers that are to be learned; 0 and 1 of classes."""
        if self.problem.task != "regression":
            return 0.0, 1.0
        mean = float(np.average(target, weights=weight)) if weight.sum() else float(target.mean())
        return mean, float(np.sqrt(np.mean((target - mean) ** 2))) or 1.0

    def _descend(
        self,
        numbers: Singles,
        target: Doubles,
        weight: Singles,
        held_out: tuple[Singles, Doubles, Doubles | None] | None,
        work: Work,
    ) -> None:
        generator = np.random.default_rng(self.seed)
        num_rows, loss = len(numbers), loss_of(self.problem.task)
        batch = 256 if num_rows < 20_000 else 512 if num_rows < 100_000 else 1_024
        a_epoch = max(num_rows // batch, 1)
        planned = int(np.clip(_STEPS // a_epoch, *_EPOCHS))
        num_epochs = int(self.configuration.get("epochs", planned))
        net = Net.drawn(
            numbers.shape[1] + len(self._owner),
            self.problem.num_scores,
            width=int(self.configuration["width"]),
            num_layers=int(self.configuration["num_layers"]),
            num_members=_NUM_MEMBERS,
            seed=self.seed,
        )
        training = Training(
            net, float(self.configuration["rate"]), float(self.configuration["decay"]), planned * a_epoch
        )
        dropout = float(self.configuration["dropout"])
        best, self._net, self._epochs, self._cut_short = np.inf, net, 0, False
        for epoch in range(1, num_epochs + 1):
            for places in np.array_split(generator.permutation(num_rows), a_epoch):
                if work.stopped:
                    self._cut_short = True
                    break
                shares = weight[places]
                shares = shares / np.float32(max(float(shares.sum()), 1e-30))
                slopes = net.gradient(self._inputs(numbers[places]), target[places], shares, loss, dropout, generator)
                training.move(slopes)
            if self._cut_short and (held_out is not None or epoch == 1):
                break
            averaged = training.averaged()
            score = -epoch if held_out is None else self._mean_loss(averaged, loss, *held_out)
            if score < best:
                best, self._net, self._epochs = score, averaged, epoch
            if self._cut_short or epoch - self._epochs > max(4, _PATIENCE * planned):
                break
        if not self._epochs:
            work.check()  # there was no time for one epoch

    def _mean_loss(
        self, net: Net, loss: LossFunction, numbers: Singles, target: Doubles, weight: Doubles | None
    ) -> float:
        losses: list[NDArray[np.float64]] = []
        for start in range(0, len(numbers), _SCORED_AT_ONCE):
            scores = net.scores(self._inputs(numbers[start : start + _SCORED_AT_ONCE]))
            losses.append(loss(scores, target[start : start + _SCORED_AT_ONCE])[0])
        return float(np.average(np.concatenate(losses), weights=weight))

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the learning."""
        return self._cut_short

    @classmethod
    def settled(cls, configuration: Mapping[str, Any], fitted: Sequence[Self]) -> Mapping[str, Any]:
        """As many epochs as the median fold wanted."""
        return {**configuration, "epochs": max(1, round(median(learner._epochs for learner in fitted)))}

    def raw(self, block: Block) -> Doubles:
        """The mean of the members."""
        numbers = self._singles(block)
        parts = [
            self._net.scores(self._inputs(numbers[start : start + _SCORED_AT_ONCE])).astype(np.float64)
            for start in range(0, max(len(numbers), 1), _SCORED_AT_ONCE)
        ]
        return np.concatenate(parts) * self._spread + self._mean

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """Pieces, layers and heads in single precision."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        single = builder.node("Cast", [features], to=_FLOAT)
        largest = builder.constant(np.array(_LARGEST, dtype=np.float32))
        least = builder.constant(np.array(-_LARGEST, dtype=np.float32))
        inputs = builder.node("Clip", [single, least, largest])
        if len(self._owner):
            values = builder.node("Gather", [single, builder.constant(self._owner)], axis=1)
            coded = builder.node(
                "Mul", [builder.node("Sub", [values, builder.constant(self._lower)]), builder.constant(self._scale)]
            )
            none, whole = (builder.constant(np.array(end, dtype=np.float32)) for end in (0.0, 1.0))
            inputs = builder.node("Concat", [inputs, builder.node("Clip", [coded, none, whole])], axis=1)
        weights = self._net.weights

        def stored(value: Singles) -> str:
            """In half precision, to which they were rounded when they were learned."""
            single: str = builder.node("Cast", [builder.constant(as_half(value))], to=_FLOAT)
            return single

        num_members, width, num_scores = weights["head"].shape
        alone = builder.node("Unsqueeze", [inputs, builder.constant(np.array([1]))])
        hidden = builder.node("Mul", [alone, stored(weights["scale"])])
        for layer in range(self._net.num_layers):
            product = builder.node("MatMul", [hidden, stored(weights[f"weight{layer}"])])
            hidden = builder.node("Relu", [builder.node("Add", [product, stored(weights[f"bias{layer}"])])])
        shape = builder.constant(np.array([-1, num_members * width]))
        heads = (weights["head"] / num_members).reshape(num_members * width, num_scores)
        offset = weights["offset"].mean(axis=0)
        scores = builder.node(
            "Gemm", [builder.node("Reshape", [hidden, shape]), stored(heads), builder.constant(offset)]
        )
        double = builder.node("Cast", [scores], to=_DOUBLE)
        if (self._mean, self._spread) != (0.0, 1.0):
            double = builder.node("Mul", [double, builder.constant(np.array(self._spread))])
            double = builder.node("Add", [double, builder.constant(np.array(self._mean))])
        return builder.mark("raw", double)
