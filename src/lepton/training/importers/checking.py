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

__all__ = ["Difference", "check_answers", "differences_of", "run_graph"]


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
