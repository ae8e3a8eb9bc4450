"""From raw scores to answers: probabilities and labels, in numpy and as nodes of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, OutputRecord
from lepton.training.base import Doubles, Problem
from lepton.training.conformal import Conformal
from lepton.training.tasks import Scale

__all__ = ["decided", "emit_answers", "numbers_of", "probabilities_of"]


def numbers_of(raw: Doubles, scale: Scale) -> Doubles:
    """Predictions [N] of a regression."""
    return raw[:, 0] * scale.factor + scale.offset


def probabilities_of(problem: Problem, raw: Doubles) -> Doubles:
    """Probabilities [N, C]: the logistic function of one score, or the softmax of C."""
    if problem.task == "binary":
        with np.errstate(over="ignore"):
            second = 1.0 / (1.0 + np.exp(-raw))
        return np.hstack([1.0 - second, second])
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return shares


def decided(problem: Problem, probabilities: Doubles) -> NDArray[np.int64]:
    """Classes that are called [N]: the most probable, or those whose expected costs are least."""
    called: NDArray[np.int64] = probabilities.argmax(axis=1)
    if problem.costs:
        called = (probabilities @ np.array(problem.costs)).argmin(axis=1)
    return called


def emit_answers(
    builder: GraphBuilder,
    problem: Problem,
    raw: str,
    labels: tuple[str, ...] | tuple[int, ...] | None,
    scale: Scale,
    conformal: Conformal | None = None,
) -> tuple[OutputRecord, ...]:
    """Write the outputs of the task behind the raw scores, and say what they are."""
    if labels is None:
        numbers = builder.node("Reshape", [raw, builder.constant(np.array([-1]))])
        if not scale.is_identity:
            scaled = builder.node("Mul", [numbers, builder.constant(scale.factor)])
            numbers = builder.node("Add", [scaled, builder.constant(scale.offset)])
        outputs = {"prediction": numbers}
        records = [OutputRecord("prediction", "double", ("N",))]
        if conformal is not None:
            outputs["lower"], outputs["upper"] = conformal.emit_bounds(builder, numbers)
            records += [OutputRecord("lower", "double", ("N",)), OutputRecord("upper", "double", ("N",))]
    else:
        if problem.task == "binary":
            second = builder.node("Sigmoid", [raw])
            first = builder.node("Sub", [builder.constant(1.0), second])
            probabilities = builder.node("Concat", [first, second], axis=1)
        else:
            probabilities = builder.node("Softmax", [raw], axis=1)
        if problem.costs:
            expected = builder.node("MatMul", [probabilities, builder.constant(np.array(problem.costs))])
            best = builder.node("ArgMin", [expected], axis=1, keepdims=0)
        else:
            best = builder.node("ArgMax", [probabilities], axis=1, keepdims=0)
        texts = isinstance(labels[0], str)
        names = np.array(labels, dtype=object if texts else np.int64)
        outputs = {
            "prediction": builder.node("Gather", [builder.constant(names), best]),
            "probabilities": probabilities,
        }
        records = [
            OutputRecord("prediction", "string" if texts else "int64", ("N",)),
            OutputRecord("probabilities", "double", ("N", len(labels))),
        ]
        if conformal is not None:
            outputs["set"] = conformal.emit_members(builder, probabilities, best, len(labels))
            records.append(OutputRecord("set", "int64", ("N", len(labels))))
    for record in records:
        builder.output(record.name, outputs[record.name], record.dtype, record.shape)
    return tuple(records)
