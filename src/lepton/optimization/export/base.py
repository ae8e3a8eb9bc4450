"""The contract of an exporter: it writes a folder for one runtime, and lets that runtime answer the rows of a check."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime
from numpy.typing import NDArray

from lepton.bundle import Manifest, Predictor
from lepton.core import BundleError, ErrorCode, Registry, Work

__all__ = ["EXPORTERS", "Checked", "Exporter", "Options", "Subject", "cannot_express", "run_alone", "seconds_of_a_row"]

EXPORTERS = Registry(
    "exporters",
    {
        "onnx": "lepton.optimization.export.onnx:OnnxExporter",
        "c-header": "lepton.optimization.export.c_header:CHeaderExporter",
        "triton": "lepton.optimization.export.triton:TritonExporter",
        "kserve": "lepton.optimization.export.kserve:KServeExporter",
        "openvino": "lepton.optimization.export.openvino:OpenVinoExporter",
        "tflite": "lepton.optimization.export.tflite:TfliteExporter",
        "executorch": "lepton.optimization.export.executorch:ExecutorchExporter",
    },
)
"""Exporters by what they write for; third parties use the group `lepton.exporters`."""

_BLOCKS, _CALLS = 5, 100

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may say of an export.

    Attributes:
        python: interpreter of the environment in which the runtime is installed; by default this one.
        opset: of ONNX, for runtimes that are older than the model.
    """

    python: Path | None = None
    opset: int | None = None

    @property
    def given(self) -> frozenset[str]:
        """Names of those that were given."""
        return frozenset(name for name in ("python", "opset") if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported, and the rows that it is checked with.

    Attributes:
        predictor: the model.
        tensors: the graph's inputs, first dimension N.
        answers: what the model answers to them: output → array [N, …].
    """

    predictor: Predictor
    tensors: Tensors
    answers: Tensors

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        return self.predictor.manifest

    @property
    def graph(self) -> bytes:
        """Of the model."""
        return self.predictor.bundle.graph

    def row(self, number: int) -> Tensors:
        """The tensors of one row."""
        return {name: tensor[number : number + 1] for name, tensor in self.tensors.items()}


@dataclass(frozen=True, slots=True)
class Checked:
    """What the runtime that was written for says.

    Attributes:
        runtime: its name and version.
        answers: to the rows of the check: output → array [N, …], as the model gives them.
        seconds: of one row, the median of many; None where it is not told.
        notes: for people.
        tolerance: in place of the exporter's, where it depends on the model.
    """

    runtime: str
    answers: Tensors
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    tolerance: float | None = None


class Exporter(ABC):
    """One runtime to write for. Exporters are plain objects without state.

    Attributes:
        name: as it is asked for.
        tolerance: largest difference from the model's answers, as a share of the largest; 0 wants the same bits.
        takes: options that mean something to it.
    """

    name: ClassVar[str]
    tolerance: ClassVar[float]
    takes: ClassVar[frozenset[str]] = frozenset()

    def available(self, options: Options) -> None:  # noqa: B027 - most need nothing
        """See that the tools are there.

        Raises:
            MissingExtraError: one is not; the message names the command that installs it.
        """

    @abstractmethod
    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """Write the files into `folder`, which is new and empty.

        Raises:
            BundleError: GRAPH_REFUSED: the runtime has no form for the model; what of it is named.
        """

    @abstractmethod
    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """Open what was written with the runtime, and let it answer the rows."""


def cannot_express(what: str, runtime: str, fix: str = "") -> BundleError:
    """The refusal of a model that a runtime has no form for."""
    return BundleError(ErrorCode.GRAPH_REFUSED, f"{runtime} cannot express {what}", fix=fix)


def seconds_of_a_row(call: Callable[[int], object], num_rows: int) -> float:
    """Median seconds of `call(row)`, over blocks of calls: the median of the blocks' medians."""
    medians = []
    for block in range(_BLOCKS + 1):
        times = []
        for number in range(_CALLS):
            begin = time.perf_counter()
            call(number % num_rows)
            times.append(time.perf_counter() - begin)
        if block:  # the first calls allocate
            medians.append(statistics.median(times))
    return statistics.median(medians)


def run_alone(path: Path, subject: Subject) -> Checked:
    """What onnxruntime by itself makes of the graph in a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    taken = [each.name for each in session.get_inputs()]
    answers = session.run(names, {name: subject.tensors[name] for name in taken})
    rows = [subject.row(number) for number in range(min(len(answers[0]), 64))]
    seconds = seconds_of_a_row(lambda row: session.run(None, rows[row]), len(rows))
    return Checked(f"onnxruntime {onnxruntime.__version__}", dict(zip(names, answers, strict=True)), seconds)
