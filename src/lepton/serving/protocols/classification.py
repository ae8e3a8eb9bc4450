"""The classification extension: of an output, the highest values of each row, as texts `value:index[:label]`.

Source: the classification extension of the Open Inference Protocol, as NVIDIA's Triton specifies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.model_store import TensorRecord

__all__ = ["PARAMETER", "classified", "read_count"]

PARAMETER = "classification"
"""The parameter of an output that asks for it."""


def read_count(parameters: Mapping[str, Any], output: TensorRecord) -> int:
    """How many classes of a row are asked for; 0 asks for the output as it is.

    Raises:
        ServingError: what is no such number, or an output of texts.
    """
    count = parameters.get(PARAMETER, 0)
    if type(count) is not int or count < 0:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the parameter classification of the output '{output.name}' is {printable(repr(count), 40)}",
            wanted="how many classes of each row are wanted, a whole number",
        )
    if count and output.datatype == "BYTES":
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"classification is asked for of the output '{output.name}', which is texts",
            wanted="an output of numbers, such as 'probabilities'",
        )
    return count


def classified(values: NDArray[Any], count: int, labels: Sequence[str] = ()) -> NDArray[np.object_]:
    """The `count` highest values of each row, the highest first; of equal ones the first comes first.

    Args:
        values: [N, …] numbers; all that belongs to a row is looked at as one list. NaN comes last.
        count: at least 1; rows with fewer values give as many as they have.
        labels: of the values of a row, if they have any.

    Returns:
        [N, count] texts.
    """
    rows = values.reshape(len(values), -1)
    num_classes = rows.shape[1]
    backwards = rows[:, ::-1]  # equal values stand in their order when a stable order is read backwards
    unknown = np.isnan(backwards) if backwards.dtype.kind == "f" else np.zeros(backwards.shape, bool)
    order = np.lexsort((backwards, ~unknown))[:, ::-1][:, :count]
    out = np.empty(order.shape, dtype=object)
    endings = [f":{index}:{label}" for index, label in enumerate(labels)] or [f":{i}" for i in range(num_classes)]
    for row, indices in enumerate(order.tolist()):
        out[row] = [f"{rows[row, num_classes - 1 - i].item()}{endings[num_classes - 1 - i]}" for i in indices]
    return out
