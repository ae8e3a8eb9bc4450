"""A request to a model that was read: what is to be run, and what its answer becomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from lepton.serving.allowances import DEFAULT_PRIORITY
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Response

__all__ = ["Answers", "Call"]

Answers = Mapping[str, NDArray[Any]]
"""Output name → array, its first dimension being the rows."""


@dataclass(slots=True)
class Call:
    """One run of a model that a request asks for.

    Attributes:
        model: the version of the model that answers.
        tensors: what its graph takes, packed and checked.
        outputs: names of the outputs that are wanted, in order.
        respond: makes the response of the answers.
        timeout: seconds after which the caller wants no answer; None waits.
        priority: that the caller asks for; the smaller, the sooner.
        num_rows: that are asked for.
    """

    model: ServedModel
    tensors: Mapping[str, NDArray[Any]]
    outputs: list[str]
    respond: Callable[[Answers], Response]
    timeout: float | None = None
    priority: int = DEFAULT_PRIORITY
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = len(next(iter(self.tensors.values())))

    def run(self, options: Any = None) -> Response:
        """Run the model for this request alone.

        Args:
            options: onnxruntime's `RunOptions`, by which the run can be ended.

        Raises:
            LeptonError: as `Predictor.run`.
        """
        predictor = self.model.predictor
        started = time.perf_counter()
        answers = predictor.run(self.tensors, self.outputs, options=options)
        self.model.runs.append((self.num_rows, time.perf_counter() - started))
        return self.respond(answers)
