"""The numerical check: what plain onnxruntime says of the sample, beside what the original said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.core import BundleError, ErrorCode, printable
from lepton.training.importers.base import Imported, cannot_hold

__all__ = ["Difference", "check_answers", "check_rows", "differences_of", "run_graph"]

_ROUNDING = 1e-5  # of kernels that add up a batch in another order than a row


@dataclass(frozen=True)
class Difference:
    """How far an output is from the original's.

    Attributes:
        output: its name.
        absolute: largest difference of a number; rows with another label for labels.
        relative: the same as a share of the largest answer (of 1 for probabilities), or of the rows.
    """

    output: str
    absolute: float
    relative: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"output": self.output, "absolute": self.absolute, "relative": self.relative}


def run_graph(graph: bytes, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What plain onnxruntime, on one thread, answers: output → array.

    Raises:
        DataError: NO_GRAPH_FORM where onnxruntime has no implementation of what the graph holds.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        taken = {point.name: tensors[point.name] for point in session.get_inputs()}
        names = [point.name for point in session.get_outputs()]
        return dict(zip(names, session.run(names, taken), strict=True))
    except Exception as error:  # onnxruntime's errors have no common class
        why = printable(" ".join(str(error).split()), 400)
        raise cannot_hold(f"onnxruntime does not run the graph of the model: {why}") from error


def check_answers(imported: Imported, found: Mapping[str, NDArray[Any]], tolerance: float) -> tuple[Difference, ...]:
    """Compare the answers of the graph with those of the original.

    Raises:
        BundleError: CHECK_FAILED: they differ by more than `tolerance`.
    """
    differences = differences_of(imported.answers, found, tolerance)
    for difference in differences:
        if not difference.relative <= tolerance:
            raise _too_far(difference, imported, tolerance)
    return differences


def check_rows(imported: Imported, found: Mapping[str, NDArray[Any]], tolerance: float) -> None:
    """See that a row alone gets the answer that it gets among others.

    Raises:
        DataError: NO_GRAPH_FORM: it does not, or an output has no row for each row.
    """
    num_rows = len(next(iter(imported.tensors.values())))
    for name, values in found.items():
        if not values.ndim or len(values) != num_rows:
            raise cannot_hold(
                f"the output '{printable(name)}' has the shape {list(values.shape)} for {num_rows} rows",
                "let every output have one row for each row of the input",
            )
    for row in {0, num_rows - 1}:
        alone = run_graph(imported.graph, {name: tensor[[row]] for name, tensor in imported.tensors.items()})
        for name, values in found.items():
            if values.dtype.kind not in "fc":
                continue
            scale = float(np.abs(values[np.isfinite(values)], dtype=np.float64).max(initial=0.0)) or 1.0
            difference = _difference(name, values[[row]].astype(np.float64), alone[name].astype(np.float64))
            if difference.absolute > max(tolerance, _ROUNDING) * scale:
                raise cannot_hold(
                    f"the answer to a row depends on its neighbours: '{printable(name)}' differs by "
                    f"{difference.absolute:.3g} when a row comes alone",
                    "leave out what looks at the whole batch, such as its mean",
                )


def differences_of(
    wanted: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], tolerance: float
) -> tuple[Difference, ...]:
    """How far each output is from what was wanted.

    A row may have another label where its two most probable ones are within twice `tolerance`.
    """
    differences = []
    for name, original in wanted.items():
        difference = _difference(name, np.asarray(original), np.asarray(found[name]))
        if name == "prediction" and "probabilities" in wanted and difference.absolute > 0:
            difference = _labels_apart(
                np.asarray(original), np.asarray(found[name]), wanted["probabilities"], tolerance
            )
        differences.append(difference)
    return tuple(differences)


def _labels_apart(
    wanted: NDArray[Any], found: NDArray[Any], probabilities: NDArray[Any], tolerance: float
) -> Difference:
    if wanted.shape != found.shape:
        return Difference("prediction", np.inf, np.inf)
    ranked = np.sort(probabilities, axis=1)
    wrong = int(((wanted.astype(found.dtype) != found) & (ranked[:, -1] - ranked[:, -2] > 2 * tolerance)).sum())
    return Difference("prediction", wrong, wrong / max(len(found), 1))


def _difference(name: str, wanted: NDArray[Any], found: NDArray[Any]) -> Difference:
    if wanted.shape != found.shape:
        return Difference(name, np.inf, np.inf)
    if found.dtype.kind not in "fiu" or (name == "prediction" and found.dtype.kind in "iu"):
        wrong = int((wanted.astype(found.dtype) != found).sum())
        return Difference(name, wrong, wrong / max(found.size, 1))
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))  # infinities are equal to themselves alone
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(wanted - found))
    absolute = float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = 1.0 if name == "probabilities" else float(finite.max(initial=0.0))
    return Difference(name, absolute, absolute / scale if scale > 0.0 else absolute)


def _too_far(difference: Difference, imported: Imported, tolerance: float) -> BundleError:
    share = f"{difference.relative:.3g}"
    return BundleError(
        ErrorCode.CHECK_FAILED,
        f"the graph answers otherwise than the original: {difference.output} differs by {difference.absolute:.3g}"
        f" ({share} of the largest answer, or of the rows)",
        wanted=f"at most {tolerance:g}",
        fix="give a sample of rows that the model is meant for; "
        "if they differ there too, ONNX cannot express what this model does",
        details={"output": difference.output, "absolute": difference.absolute, "relative": difference.relative}
        | {"tolerance": tolerance, "framework": imported.framework},
    )
