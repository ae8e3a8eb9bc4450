"""`lepton import`: a model of another framework as a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lepton.cli.options import Injected, Output, Workers
from lepton.cli.output import Result
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.training import importers
else:
    importers = LazyModule("lepton.training.importers")  # who asks for help does not wait for it

__all__ = ["import_model"]


def import_model(
    model: Path,
    *,
    framework: str | None = None,
    sample: str | None = None,
    label: tuple[str, ...] = (),
    name: str | None = None,
    target: str | None = None,
    tolerance: float | None = None,
    trust: bool = False,
    output: Output = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Make a model file of a model of another framework, and compare it with the original.

    Exit code 10 if their answers are too far apart; then nothing is written.

    Args:
        model: a file: .onnx, LightGBM's text model, XGBoost's .json or .ubj, .pt2 of PyTorch, .keras, a SavedModel.
        framework: onnx, lightgbm, xgboost, torch, keras or tensorflow; by default what the file is.
        sample: a table, or arrays in .npy or .npz, that the model takes; by default it is made.
        label: name of a class, in the model's order; given once for each.
        name: of the model; by default that of the file.
        target: name of what it predicts.
        tolerance: largest difference that is taken, as a share of the largest answer.
        trust: open a file that may hold code (.pt2, .keras, SavedModel), in a sandbox without network.
        output: model file to write; by default the file's name with .lepton, in this folder.
        workers: threads to use.
        context: given by the command line.
    """
    path = output or Path(model.stem + ".lepton")
    with context.work(workers=workers) as work:
        result = importers.import_model(
            model,
            output=path,
            sample=sample,
            labels=label or None,
            name=name,
            target=target,
            framework=framework,
            trust=trust,
            tolerance=tolerance,
            work=work,
        )
    report = result.report
    rows = [f"{each['output']:<16}{each['absolute']:<12.3g}{each['relative']:.3g}" for each in report["differences"]]
    text = "\n".join(
        [
            f"{path}: a model of {result.framework} {report['version']}, model {result.model_id[:12]}",
            f"compared with the original on {report['rows']} rows that were {report['sample']}:",
            f"{'output':<16}{'difference':<12}as a share",
            *rows,
        ]
    )
    data = {"output": str(path), "model_id": result.model_id, "framework": result.framework, "report": dict(report)}
    following = (f"lepton bundle inspect {path}", f"lepton serve {path}")
    return Result(data, text, tuple(report["notes"]), following)
