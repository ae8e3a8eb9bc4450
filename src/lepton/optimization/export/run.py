"""An export from end to end: write, check with the runtime, measure, publish as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor, TableInputs, bundle_size, machine
from lepton.core import BundleError, ErrorCode, UsageError, Work, show_size
from lepton.optimization.accelerate.rows import rows_to_measure
from lepton.optimization.export.base import EXPORTERS, Checked, Exporter, Options, Subject, seconds_of_a_row
from lepton.store import hash_file, new_folder, write_scratch
from lepton.training.importers.checking import Difference, differences_of

__all__ = ["REPORT", "ExportResult", "export"]

REPORT = "export.json"
"""Name of the report beside the exported files."""

_ROWS = 256


@dataclass(frozen=True)
class ExportResult:
    """What an export has given.

    Attributes:
        path: the folder.
        report: what stands in `export.json`.
    """

    path: Path
    report: Mapping[str, Any]

    def text(self) -> str:
        """The report for a person."""
        found = self.report
        rows = f"{found['rows']} rows" + (" made from the schema" if found["sample"] == "made" else "")
        largest = max((each["relative"] for each in found["differences"]), default=0.0)
        same = "the same answers to the bit" if largest == 0 else f"answers differ by at most {largest:.1e}"
        told = found["seconds_of_a_row"]
        here = "" if told["exported"] is None else f", {told['exported'] * 1e6:.3g} µs"
        return "\n".join(
            [
                f"{found['to']} in {self.path}",
                f"checked with {found['runtime']} on {rows}: {same}",
                f"a row takes {told['model'] * 1e6:.3g} µs in the model file{here} in the export",
                f"{show_size(found['size'])}, the model file {show_size(found['model_size'])}",
                *(f"{each['name']}  {show_size(each['size'])}" for each in found["files"]),
            ]
        )


def export(
    predictor: Predictor,
    to: str,
    output: Path,
    *,
    rows: Any = None,
    options: Options | None = None,
    work: Work | None = None,
) -> ExportResult:
    """Write a model for another runtime, into a new folder.

    Args:
        predictor: the model.
        to: what to write for, a name of `EXPORTERS`.
        output: folder to make.
        rows: to check with, in any container that the model takes; None makes some as the schema says.
        options: of the exporter.
        work: cancel, progress and seed.

    Raises:
        UsageError: an unknown runtime, or an option that says nothing to it.
        MissingExtraError: a tool is not installed.
        BundleError: GRAPH_REFUSED, the runtime has no form for the model; CHECK_FAILED, it answers otherwise.
        DataError: there is something of that name already.
        StoreError: the disk refuses.
    """
    options, work = options or Options(), Work.of(work)
    exporter: Exporter = EXPORTERS.load(to)()
    if strange := options.given - exporter.takes:
        wanted = "one of " + ", ".join(sorted(exporter.takes)) if exporter.takes else "no options"
        raise UsageError(ErrorCode.USAGE, f"got {', '.join(sorted(strange))} for an export to {to}", wanted=wanted)
    exporter.available(options)
    work.report(0, 3, note="asking the model")
    subject = _subject(predictor, rows, work)
    with new_folder(output) as folder:
        work.check()
        work.report(1, 3, note=f"writing for {to}")
        exporter.export(subject, folder, options, work)
        work.check()
        work.report(2, 3, note="comparing with the model")
        checked = exporter.check(subject, folder, options, work)
        work.check()
        tolerance = exporter.tolerance if checked.tolerance is None else checked.tolerance
        differences = differences_of(subject.answers, checked.answers, tolerance)
        _refuse_far(differences, tolerance, exporter, checked)
        report = {"tolerance": tolerance} | _report(subject, exporter, checked, differences, folder)
        report["sample"] = "made" if rows is None else "given"
        write_scratch(folder / REPORT, [json.dumps(report, indent=2, ensure_ascii=False).encode()])
    work.report(3, 3, note="done")
    return ExportResult(output, report)


def _subject(predictor: Predictor, rows: Any, work: Work) -> Subject:
    if isinstance(rows, pl.DataFrame) and set(predictor.inputs.names) <= set(rows.columns):
        rows = rows.select(predictor.inputs.names)
    tensors = rows_to_measure(predictor, _ROWS, work.seed, rows)
    if rows is None and isinstance(predictor.inputs, TableInputs):
        tensors = _with_odd_rows(tensors, work.seed)
    return Subject(predictor, tensors, predictor.run(tensors))


def _with_odd_rows(tensors: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same rows with what is rarely met: nothing known, infinities, texts that nobody has seen."""
    odd = {name: tensor.copy() for name, tensor in tensors.items()}
    random = np.random.default_rng(seed)
    if "numbers" in odd:
        numbers = odd["numbers"]
        numbers[random.random(numbers.shape) < 0.1] = np.nan
        numbers[:1] = np.nan
        numbers[1:2], numbers[2:3] = np.inf, -np.inf
    if "strings" in odd:
        strings = odd["strings"]
        strings[random.random(strings.shape) < 0.1] = ""
        strings[:1], strings[3:4] = "", '\u00fcnseen "text"?'
    return odd


def _refuse_far(differences: Sequence[Difference], tolerance: float, exporter: Exporter, checked: Checked) -> None:
    for difference in differences:
        if not difference.relative <= tolerance:
            raise BundleError(
                ErrorCode.CHECK_FAILED,
                f"{checked.runtime} answers otherwise than the model: {difference.output} differs by "
                f"{difference.absolute:.3g} ({difference.relative:.3g} of the largest answer, or of the rows)",
                wanted=f"at most {tolerance:g}",
                fix="nothing was written; the model file itself runs wherever onnxruntime does",
                details=difference.to_dict() | {"tolerance": tolerance, "to": exporter.name},
            )


def _report(
    subject: Subject,
    exporter: Exporter,
    checked: Checked,
    differences: Sequence[Difference],
    folder: Path,
) -> dict[str, Any]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [
        {"name": path.relative_to(folder).as_posix(), "size": path.stat().st_size, "sha256": hash_file(path)}
        for path in paths
    ]
    rows = [subject.row(number) for number in range(min(len(next(iter(subject.tensors.values()))), 64))]
    return {
        "kind": "export",
        "to": exporter.name,
        "model": subject.manifest.name,
        "model_id": subject.predictor.model_id,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "runtime": checked.runtime,
        "rows": len(next(iter(subject.tensors.values()))),
        "differences": [difference.to_dict() for difference in differences],
        "seconds_of_a_row": {
            "model": seconds_of_a_row(lambda row: subject.predictor.run(rows[row]), len(rows)),
            "exported": checked.seconds,
        },
        "size": sum(each["size"] for each in files),
        "model_size": bundle_size(subject.predictor.bundle.path),
        "files": files,
        "notes": list(checked.notes),
    }
