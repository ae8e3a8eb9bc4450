"""The verb that writes a model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import Work
from lepton.verbs.model import Model, opened

if TYPE_CHECKING:
    from lepton.optimization.export import ExportResult

__all__ = ["export"]


def export(
    model: Model | str | Path,
    to: str,
    output: str | Path,
    source: Any = None,
    *,
    python: str | Path | None = None,
    opset: int | None = None,
    work: Work | None = None,
) -> ExportResult:
    """`Model.export`: a model for another runtime, checked by that runtime, in a new folder.

    Args:
        model: a `Model` or the path of one.
        to: `onnx`, `openvino`, `tflite`, `executorch`, `triton`, `kserve` or `c-header`.
        output: folder to make, whole or not at all.
        source: rows to check with; by default such as the file's statistics and schema say.
        python: interpreter of the environment in which the tools of the runtime are installed.
        opset: of ONNX, for runtimes that are older than the model; for `onnx` alone.
        work: cancel, progress and seed.

    Raises:
        MissingExtraError: a tool is not installed; the message names the command that installs it.
        BundleError: the runtime has no form for the model, and which operator it is; or it answers otherwise.
        DataError: there is something of the folder's name already.
    """
    return opened(model).export(to, output, source, python=python, opset=opset, work=work)
