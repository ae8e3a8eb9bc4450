"""From raw scores to answers: probabilities and labels, in numpy and as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, OutputRecord
from lepton.training.base import Doubles, Problem
from lepton.training.conformal import Conformal
from lepton.training.tasks import Scale

__all__ = ["answers_of", "decided", "emit_answers", "middle_of", "numbers_of", "probabilities_of"]


def numbers_of(raw: Doubles, scale: Scale) -> Doubles:
    """Predictions [N] of a regression."""
    return raw[:, 0] * scale.factor + scale.offset


def answers_of(problem: Problem, raw: Doubles, scale: Scale) -> Doubles:
    """What metrics compare with the target: numbers [N], quantiles [N, Q] or probabilities [N, C]."""
    if problem.task in {"regression", "ranking"}:
        return numbers_of(raw, scale)
    if problem.task == "quantile":
        # Each quantile is learned by itself; in order they are no worse, and none crosses another.
        return np.sort(raw * scale.factor + scale.offset, axis=1)
    return probabilities_of(problem, raw)


def middle_of(quantiles: Sequence[float]) -> int:
    """Position of the quantile that is nearest to the median: the prediction."""
    return int(np.abs(np.array(quantiles) - 0.5).argmin())


def probabilities_of(problem: Problem, raw: Doubles) -> Doubles:
    """Probabilities [N, C]: the logistic function of one score or of those of several labels, or the softmax of C."""
    if problem.task == "multilabel":
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-raw)))
    if problem.task == "binary":
        with np.errstate(over="ignore"):
            second = 1.0 / (1.0 + np.exp(-raw))
        return np.hstack([1.0 - second, second])
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return shares


def decided(problem: Problem, probabilities: Doubles) -> NDArray[np.int64]:
    """Classes that are called [N]: the most probable, or those whose expected costs are least; 1 for labels [N, L]."""
    if problem.task == "multilabel":
        return np.asarray(probabilities >= 0.5, dtype=np.int64)
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
    if problem.task in _FURTHER:
        return _FURTHER[problem.task](builder, problem, raw, scale, conformal)
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


def _emit_quantiles(
    builder: GraphBuilder, problem: Problem, raw: str, scale: Scale, conformal: Conformal | None
) -> tuple[OutputRecord, ...]:
    width = len(problem.quantiles)
    if not scale.is_identity:
        scaled = builder.node("Mul", [raw, builder.constant(scale.factor)])
        raw = builder.node("Add", [scaled, builder.constant(scale.offset)])
    quantiles = _in_order(builder, raw, width)
    if conformal is not None:
        shifted = builder.node("Add", [quantiles, builder.constant(np.array(conformal.shifts))])
        quantiles = _in_order(builder, shifted, width)
    places = {"prediction": middle_of(problem.quantiles)}
    if width > 1:
        places |= {"lower": 0, "upper": width - 1}
    records = []
    for name, place in places.items():
        column = builder.node("Gather", [quantiles, builder.constant(np.array(place))], axis=1)
        builder.output(name, column, "double", ("N",))
        records.append(OutputRecord(name, "double", ("N",)))
    builder.output("quantiles", quantiles, "double", ("N", width))
    return (*records, OutputRecord("quantiles", "double", ("N", width)))


def _in_order(builder: GraphBuilder, values: str, width: int) -> str:
    rising, _ = builder.node("TopK", [values, builder.constant(np.array([width]))], outputs=2, largest=0, axis=1)
    return str(rising)


def _emit_labels(
    builder: GraphBuilder, problem: Problem, raw: str, scale: Scale, conformal: Conformal | None
) -> tuple[OutputRecord, ...]:
    shape = ("N", problem.num_classes)
    probabilities = builder.node("Sigmoid", [raw])
    called = builder.node("GreaterOrEqual", [probabilities, builder.constant(0.5)])
    builder.output("prediction", builder.node("Cast", [called], to=_INT64), "int64", shape)
    builder.output("probabilities", probabilities, "double", shape)
    return OutputRecord("prediction", "int64", shape), OutputRecord("probabilities", "double", shape)


def _emit_ranking(
    builder: GraphBuilder, problem: Problem, raw: str, scale: Scale, conformal: Conformal | None
) -> tuple[OutputRecord, ...]:
    builder.output("score", builder.node("Reshape", [raw, builder.constant(np.array([-1]))]), "double", ("N",))
    return (OutputRecord("score", "double", ("N",)),)


_INT64 = 7  # onnx.TensorProto.INT64
_FURTHER = {"quantile": _emit_quantiles, "multilabel": _emit_labels, "ranking": _emit_ranking}
