"""ExecuTorch, which is refused: it compiles programs of `torch.export`, and a model file holds a graph of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NoReturn

from lepton.core import BundleError, ErrorCode, Work
from lepton.optimization.export.base import Exporter, Options, Subject

__all__ = ["ExecutorchExporter"]


class ExecutorchExporter(Exporter):
    """ExecuTorch: says why not, and what to do."""

    name: ClassVar[str] = "executorch"
    tolerance: ClassVar[float] = 1e-4
    takes: ClassVar[frozenset[str]] = frozenset({"python"})

    def available(self, options: Options) -> NoReturn:
        """Refuse.

        Raises:
            BundleError: GRAPH_REFUSED, always.
        """
        raise BundleError(
            ErrorCode.GRAPH_REFUSED,
            "ExecuTorch reads no ONNX: it compiles programs of torch.export, which a model file does not hold",
            fix="for phones and boards export to tflite, openvino or c-header; "
            "a PyTorch module of your own goes to ExecuTorch by torch.export",
        )

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> NoReturn:
        """See `available`."""
        self.available(options)

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> NoReturn:
        """See `available`."""
        self.available(options)
