"""`lepton export`: a model for another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, Seed
from lepton.cli.output import Result

__all__ = ["export"]


def export(
    model: Path,
    /,
    *,
    to: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    table: Annotated[str | None, Parameter(name="--data")] = None,
    python: Path | None = None,
    opset: int | None = None,
    seed: Seed = None,
    context: Injected,
) -> Result:
    """Write a model for another runtime into a new folder, and let that runtime answer rows beside the model.

    What it answers, its size and its latency stand in export.json. What a runtime has no form for is refused.

    Args:
        model: a .lepton file.
        to: onnx, openvino, tflite, executorch, triton, kserve or c-header.
        output: folder to make; what is there is not overwritten.
        table: rows to check with; by default such as the model's statistics and schema say.
        python: interpreter of the environment in which the tools of the runtime are installed.
        opset: of ONNX, for runtimes that are older than the model; for onnx alone.
        seed: of rows that are made.
        context: given by the command line.
    """
    with context.work(seed=seed) as work:
        made = verbs.export(model, to, output, table, python=python, opset=opset, work=work)
    return Result({"output": str(output), **made.report}, made.text(), tuple(made.report["notes"]))
