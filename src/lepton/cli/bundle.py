"""`lepton bundle ...`: model files."""

from __future__ import annotations

import json
from pathlib import Path

from lepton import bundle
from lepton.cli.options import Injected, Output
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError, printable, show_size

__all__ = ["check", "extract", "inspect", "migrate"]


def inspect(model: Path, *, context: Injected) -> Result:
    """What a model file says of itself: task, inputs, outputs, lineage, members, reports.

    Args:
        model: a .lepton file.
        context: given by the command line.
    """
    opened = bundle.read_bundle(model)
    manifest, graph, size = opened.manifest, opened.summary, bundle.bundle_size(model)
    data = {
        "path": str(model),
        "model_id": opened.model_id,
        "size": size,
        "manifest": manifest.to_dict(),
        "graph": {"nodes": graph.num_nodes, "operators": dict(graph.operators), "opsets": dict(graph.opsets)},
        "reports": {name: report.get("kind", name) for name, report in opened.reports.items()},
    }
    rows = [
        (
            "model",
            f"{printable(manifest.name)} ({manifest.task} of {manifest.target.name if manifest.target else '-'})",
        ),
        ("model id", opened.model_id),
        ("file", f"{model}, {show_size(size)} without training and reports"),
        ("graph", f"{graph.num_nodes} nodes: " + ", ".join(f"{n} x{c}" for n, c in sorted(graph.operators.items()))),
        ("runs on", f"onnxruntime {manifest.minimum_onnxruntime} or newer"),
        ("outputs", ", ".join(f"{o.name} {o.dtype}" for o in manifest.outputs)),
        ("reports", ", ".join(opened.reports) or "none"),
    ]
    lines = [f"{name:<10}{text}" for name, text in rows]
    lines += ["", f"{'input':<32}{'kind':<12}type"]
    lines += [f"{printable(c.name, 30):<32}{c.kind:<12}{c.dtype}" for c in manifest.inputs[:50]]
    if len(manifest.inputs) > 50:
        lines.append(f"... and {len(manifest.inputs) - 50} more (--format json shows all)")
    if manifest.labels is not None:
        lines += ["", "classes   " + ", ".join(printable(str(label), 40) for label in manifest.labels[:20])]
    lines += ["", "lineage   " + json.dumps(manifest.lineage, ensure_ascii=True, sort_keys=True)[:600]]
    return Result(data=data, text="\n".join(lines), next=(f"lepton bundle check {model}",))


def check(model: Path, *, context: Injected) -> Result:
    """Check a model file whole: structure, hashes, bounds and graph. Exit code 4 if it must not be used.

    Args:
        model: a .lepton file.
        context: given by the command line.
    """
    report = bundle.check_bundle(model)
    lines = [f"{row.verdict:<9}{row.name:<11}{printable(row.note)}".rstrip() for row in report.checks]
    lines += [f"model id {report.model_id}"] if report.model_id else []
    return Result(data=report.to_dict(), text="\n".join(lines), error=report.error)


def extract(model: Path, folder: Path, *, context: Injected) -> Result:
    """Unpack a model file into a new folder; nothing in it is run or overwritten.

    Args:
        model: a .lepton file.
        folder: a folder that does not exist yet.
        context: given by the command line.
    """
    names = bundle.extract_bundle(model, folder)
    listed = [str(name) for name in names]
    return Result(data={"folder": str(folder), "members": listed}, text="\n".join([f"{folder}:", *listed]))


def migrate(model: Path, *, output: Output = None, context: Injected) -> Result:
    """Write a model file of an older format in the current one.

    Args:
        model: a .lepton file.
        output: file to write.
        context: given by the command line.
    """
    if output is None:
        raise UsageError(ErrorCode.USAGE, "there is no -o", wanted="the file to write: -o NEW.lepton")
    model_id = bundle.migrate_bundle(model, output)
    return Result(data={"model": str(output), "model_id": model_id}, text=f"{output} {model_id}")
