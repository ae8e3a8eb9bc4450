"""An import from end to end: recognise, read, check, write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton.bundle import Manifest, machine, write_bundle
from lepton.core import ColumnRecord, ErrorCode, Kind, Role, SecurityError, UsageError, Work, check_label, check_name
from lepton.training.importers.base import IMPORTERS, Asked, FileHead, Imported, Importer, Labels
from lepton.training.importers.checking import Difference, check_answers, check_rows, run_graph
from lepton.training.importers.kinds import refuse_unknown
from lepton.training.table_model import versions

__all__ = ["ImportResult", "import_model"]

_WITH_TARGET = frozenset({"regression", "binary", "multiclass"})


@dataclass(frozen=True)
class ImportResult:
    """What an import has given.

    Attributes:
        path: the model file.
        model_id: of the bundle.
        framework: that the model came from.
        report: what stands in the bundle's report `import`.
    """

    path: Path
    model_id: str
    framework: str
    report: Mapping[str, Any]


def import_model(
    given: Any,
    *,
    output: Path,
    sample: Any = None,
    labels: Sequence[str] | Sequence[int] | None = None,
    name: str | None = None,
    target: str | None = None,
    framework: str | None = None,
    trust: bool = False,
    tolerance: float | None = None,
    work: Work | None = None,
) -> ImportResult:
    """Make a bundle of a foreign model; see `lepton.import_model`."""
    asked = _asked(given, sample, labels, target, work)
    importer, head = _importer(asked, framework)
    if asked.path is not None and importer.runs_code and not trust:
        raise SecurityError(
            ErrorCode.UNTRUSTED,
            f"'{asked.path.name}' is a file of {importer.name}, which may hold code that runs when it is opened",
            wanted="a file whose origin you trust",
            fix="--trust, or trust=True: it is then opened in a sandbox without network",
        )
    asked.work.report(0, 3, note=f"reading the model of {importer.name}")
    imported = importer().read(asked)
    asked.work.check()
    asked.work.report(1, 3, note="comparing with the original")
    limit = imported.tolerance if tolerance is None else tolerance
    found = run_graph(imported.graph, imported.tensors)
    check_rows(imported, found, limit)
    differences = check_answers(imported, found, limit)
    asked.work.check()
    asked.work.report(2, 3, note="writing")
    report = _report(imported, differences, limit, head)
    stem = output.stem if head is None else head.path.stem
    model_id = write_bundle(
        output,
        manifest=Manifest(
            name=check_name(name or stem, "name of the model"),
            task=imported.task,
            inputs=imported.inputs,
            outputs=imported.outputs,
            labels=imported.labels,
            target=_target(imported, target),
            inner=imported.inner,
            tensors=imported.records,
            codecs=imported.codecs,
            lineage={
                "imported": {"framework": imported.framework, "version": imported.version},
                "environment": versions(),
            },
        ),
        graph=imported.graph,
        training=imported.training,
        reports={"import": report},
    )
    asked.work.report(3, 3, note="done")
    return ImportResult(output, model_id, imported.framework, report)


def _asked(given: Any, sample: Any, labels: Any, target: str | None, work: Work | None) -> Asked:
    path = Path(given) if isinstance(given, str | os.PathLike) else None
    return Asked(
        model=None if path is not None else given,
        path=path,
        sample=sample,
        labels=_labels(labels),
        target=None if target is None else check_label(target, "target"),
        work=Work.of(work),
    )


def _labels(labels: Any) -> Labels:
    if labels is None:
        return None
    if isinstance(labels, str) or len(labels) < 2 or len(set(map(type, labels)) - {str, int}) or len({*labels}) < 2:
        raise UsageError(
            ErrorCode.USAGE, f"got labels={labels!r}", wanted="two or more texts, or ints, in the order of the classes"
        )
    return tuple(labels)


def _importer(asked: Asked, framework: str | None) -> tuple[type[Importer], FileHead | None]:
    """The importer that takes what came."""
    head = None if asked.path is None else FileHead.of(asked.path)
    if framework is not None:
        chosen: type[Importer] = IMPORTERS.load(framework)
        if head is not None and not chosen.recognises(head):
            refuse_unknown(head, framework)
        if head is None and not chosen.accepts(asked.model):
            raise UsageError(
                ErrorCode.USAGE,
                f"got a {type(asked.model).__module__}.{type(asked.model).__name__} as a model of {framework}",
                wanted=f"a model of {framework}",
            )
        return chosen, head
    for name in IMPORTERS.names():
        importer: type[Importer] = IMPORTERS.load(name)
        if importer.takes(asked.model) if head is None else importer.recognises(head):
            return importer, head
    if head is not None:
        refuse_unknown(head, None)
    raise UsageError(
        ErrorCode.USAGE,
        f"got a {type(asked.model).__module__}.{type(asked.model).__name__}",
        wanted="a model of " + ", ".join(IMPORTERS.names()) + ", or the path of one",
        fix="framework= says which of them it is",
    )


def _target(imported: Imported, name: str | None) -> ColumnRecord | None:
    if imported.boolean:
        return ColumnRecord(name or "prediction", Kind.BOOLEAN, "bool", role=Role.TARGET)
    if name is None or imported.task not in _WITH_TARGET:
        return None
    if imported.labels is None:
        return ColumnRecord(name, Kind.NUMBER, role=Role.TARGET)
    dtype = "string" if isinstance(imported.labels[0], str) else "int64"
    return ColumnRecord(name, Kind.CATEGORY, dtype, role=Role.TARGET)


def _report(
    imported: Imported, differences: Sequence[Difference], tolerance: float, head: FileHead | None
) -> dict[str, Any]:
    rows = len(next(iter(imported.tensors.values())))
    return {
        "kind": "import",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "framework": imported.framework,
        "version": imported.version,
        "source": "object" if head is None else "file",
        "rows": rows,
        "sample": "made" if imported.sample_made else "given",
        "tolerance": tolerance,
        "differences": [difference.to_dict() for difference in differences],
        "largest": max((difference.relative for difference in differences), default=0.0),
        "notes": list(imported.notes),
    }
