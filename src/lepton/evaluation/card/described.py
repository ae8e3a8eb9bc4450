"""What the manifest and the training say of a model: identity, data, inputs, outputs, training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lepton.bundle import Bundle, bundle_size
from lepton.core import ColumnRecord
from lepton.evaluation.card.facts import (
    MANIFEST,
    Fact,
    Missing,
    Part,
    Told,
    list_of,
    mapping_of,
    number_of,
    text_of,
)

__all__ = ["Reports", "data", "identity", "inputs", "outputs", "training"]

Reports = Mapping[str, Mapping[str, Any]]

_MAX_COLUMNS = 100


def _own(name: str, value: Any, note: str = "", unit: str = "") -> list[Fact]:
    return Told(MANIFEST, {}).fact(name, value, note=note, unit=unit)


def identity(bundle: Bundle, reports: Reports) -> Part:
    """Which model it is."""
    manifest = bundle.manifest
    lineage = mapping_of(manifest.lineage)
    facts = [*_own("name", manifest.name), *_own("model_id", bundle.model_id), *_own("task", manifest.task)]
    facts += _own("version", lineage.get("version"))
    facts += _own("format of the file", manifest.format)
    facts += _own("size", bundle_size(bundle.path), "without what goes on learning, and without reports", "bytes")
    facts += _own("oldest onnxruntime", manifest.minimum_onnxruntime)
    imported = mapping_of(lineage.get("imported"))
    facts += _own("imported from", " ".join(filter(None, (text_of(imported.get(k)) for k in ("framework", "version")))))
    if "import" in reports:
        told = Told("import", reports["import"])
        facts += told.fact(
            "largest difference from the original", told.report.get("largest"), note="relative, on sample rows"
        )
        facts += told.fact("rows that were compared", told.report.get("rows"))
    signatures = sorted(name for name in reports if name.startswith("signature-"))
    for name in signatures[:20]:
        told = Told(name, reports[name])
        facts += told.fact(
            "signed with the key", told.report.get("key_id"), note="not checked here: lepton bundle check"
        )
    missing = () if signatures else (Missing("It is not signed: nobody vouches for it.", "lepton bundle sign"),)
    return Part("identity", "What it is", tuple(facts), missing)


def data(bundle: Bundle, reports: Reports) -> Part:
    """What it was made from."""
    lineage = mapping_of(bundle.manifest.lineage)
    told = mapping_of(lineage.get("dataset"))
    facts = [*_own("fingerprint of the data", told.get("fingerprint")), *_own("rows", number_of(told.get("num_rows")))]
    recipe = lineage.get("recipe")
    if isinstance(recipe, Mapping):
        steps = [_step_name(each) for each in list_of(recipe.get("steps"), 30)]
        facts += _own("cleaned by a recipe", ", ".join(filter(None, steps)) or "its steps are in the file")
    for parent in list_of(lineage.get("parents"), 20):
        facts += _own("made from", parent)
    for name, role in list(mapping_of(lineage.get("roles")).items())[:_MAX_COLUMNS]:
        facts += _own(f"role of {text_of(str(name), 80)}", role)
    ignored = [text_of(each, 60) for each in list_of(lineage.get("ignored"), 20)]
    facts += _own("columns that were not learned from", ", ".join(filter(None, ignored)))
    own = Told("provenance", reports["provenance"]) if "provenance" in reports else Told(MANIFEST, {})
    for key, title in (("licence", "licence"), ("collected", "collected")):
        facts += own.fact(title, own.report.get(key)) or _own(title, told.get(key))
    original = mapping_of(mapping_of(reports.get("compression")).get("original"))
    if original:
        facts += Told("compression", reports["compression"]).fact("compressed from the model", original.get("model_id"))
    known = {fact.name for fact in facts}
    missing = []
    if "fingerprint of the data" not in known:
        missing.append(Missing("The file does not say which data it learned.", "lepton train, or import with lineage"))
    if "licence" not in known:
        missing.append(Missing("The licence of the data is not recorded.", _provenance("licence")))
    if "collected" not in known:
        missing.append(Missing("When the data was collected is not recorded.", _provenance("collected")))
    return Part("data", "Data and lineage", tuple(facts), tuple(missing))


def _provenance(key: str) -> str:
    return f'lepton.bundle.add_report(FILE, "provenance", {{"{key}": ..., "time": ..., "machine": ...}})'


def _step_name(step: Any) -> str:
    """Of a step of a recipe: its name, or its name with parameters."""
    return text_of(step if isinstance(step, str) else next(iter(mapping_of(step)), ""), 60)


def inputs(bundle: Bundle) -> Part:
    """What it takes."""
    manifest = bundle.manifest
    facts = [fact for column in manifest.inputs[:_MAX_COLUMNS] for fact in _own(column.name, _column_text(column))]
    if len(manifest.inputs) > _MAX_COLUMNS:
        facts += _own("more", f"{len(manifest.inputs) - _MAX_COLUMNS:,} further columns")
    for tensor in manifest.tensors[:_MAX_COLUMNS]:
        raw = tensor.to_dict()
        facts += _own(f"tensor {raw.get('name')}", f"{raw.get('dtype')} {json.dumps(raw.get('shape'))}")
    return Part("inputs", "What it takes", tuple(facts))


def outputs(bundle: Bundle) -> Part:
    """What it answers."""
    manifest = bundle.manifest
    facts = _own("target", None if manifest.target is None else _column_text(manifest.target, named=True))
    labels = manifest.labels or ()
    more = f" and {len(labels) - 50:,} more" if len(labels) > 50 else ""
    facts += _own("labels", ", ".join(str(label) for label in labels[:50]) + more)
    for each in manifest.outputs:
        facts += _own(each.name, f"{each.dtype} [{', '.join(map(str, each.shape))}]")
    missing: tuple[Missing, ...] = ()
    if manifest.target is None and manifest.task not in ("clustering", "anomaly", "multilabel"):
        missing = (Missing("The file does not name the column that it predicts.", "lepton import --target"),)
    return Part("outputs", "What it answers", tuple(facts), missing)


def _column_text(column: ColumnRecord, *, named: bool = False) -> str:
    unit = f", in {column.unit}" if column.unit else ""
    return f"{column.name}: {column.kind}{unit}" if named else f"{column.kind}{unit}"


def training(bundle: Bundle, reports: Reports) -> Part:
    """How it was made."""
    lineage = mapping_of(bundle.manifest.lineage)
    facts = _own("learner", lineage.get("learner"))
    configuration = mapping_of(lineage.get("configuration"))
    facts += _own("configuration", configuration.get("label"))
    facts += _own("seed", number_of(lineage.get("seed")))
    facts += _own("chosen by", lineage.get("metric"))
    for name, value in list(mapping_of(lineage.get("options")).items())[:20]:
        if value not in ([], {}, None, False, ""):
            facts += _own(f"option {text_of(str(name), 60)}", json.dumps(value, ensure_ascii=True)[:200])
    versions = mapping_of(lineage.get("versions") or lineage.get("environment"))
    told_versions = [f"{text_of(str(k), 40)} {text_of(str(v), 40)}" for k, v in sorted(versions.items())[:20]]
    facts += _own("environment", ", ".join(told_versions))
    missing = []
    if "training" in reports:
        facts += _from_report(Told("training", reports["training"]), reports)
    else:
        missing.append(Missing("There is no report of a training in the file.", "lepton train"))
    if "seed" not in {fact.name for fact in facts}:
        missing.append(Missing("Its seed is not recorded, so it cannot be made again.", "lepton train --seed"))
    return Part("training", "How it was made", tuple(facts), tuple(missing))


def _from_report(told: Told, reports: Reports) -> list[Fact]:
    report = told.report
    facts = told.fact("rows that were learned", number_of(report.get("num_rows")))
    facts += told.fact("columns that were learned", number_of(report.get("num_features")))
    for key, title in (("within", "time that was allowed"), ("seconds", "time that it took")):
        facts += told.fact(title, number_of(report.get(key)), unit="seconds")
    facts += told.fact("processors", number_of(report.get("cpus")))
    rows = list_of(report.get("rows"), 10_000)
    facts += told.fact("candidates that were compared", len(rows) or None)
    if "search" in reports:
        search = Told("search", reports["search"])
        facts += search.fact("search took", number_of(search.report.get("seconds")), unit="seconds")
        facts += search.fact("trials of the search", len(list_of(search.report.get("trials"), 100_000)) or None)
    for doubt in list_of(report.get("doubts"), 20):
        facts += told.fact(f"doubt: {text_of(mapping_of(doubt).get('what'), 40)}", mapping_of(doubt).get("evidence"))
    facts += told.fact("not looked for", report.get("not_checked"))
    for note in list_of(report.get("notes"), 20):
        facts += told.fact("note", note)
    return facts
