"""The manifest: what a model takes and gives, where it comes from, and the hash of every member beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from lepton.bundle.archive import check_member_name
from lepton.bundle.codecs import CODECS
from lepton.bundle.documents import dump_document, parse_document
from lepton.bundle.encoding import NUMBER_KINDS, STRING_KINDS
from lepton.core import (
    OUTPUT_ORDER,
    TASKS,
    BundleError,
    ColumnRecord,
    ErrorCode,
    LeptonError,
    UsageError,
    check_label,
    check_name,
    printable,
    task_record,
)

__all__ = [
    "FORMAT",
    "GRAPH",
    "MANIFEST",
    "REPORTS",
    "Manifest",
    "MemberRecord",
    "OutputRecord",
    "format_of",
    "model_id_of",
]

FORMAT = 1
"""The format that is written; readers refuse newer ones."""

MANIFEST = "manifest.json"
GRAPH = "model.onnx"
REPORTS = "reports/"

_OLDEST_ONNXRUNTIME = "1.20"  # the first with the kernels of opset 20, ai.onnx.ml 5 and IR 10
_COLUMN_DTYPES = frozenset({"float64", "int64", "bool", "datetime", "string"})
_OUTPUT_DTYPES = frozenset({"double", "int64", "string"})
_INNER_POINTS = frozenset({"features", "raw"})
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,2}", re.ASCII)
_TIME_ZONE = re.compile(r"(?=.{1,64}$)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,3}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_RANK = 8
_MAX_SIZE = 2**31


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One output of the graph.

    Attributes:
        name: one of `core.OUTPUT_ORDER`.
        dtype: `double`, `int64` or `string`.
        shape: sizes; a text such as `"N"` is a size known only when called.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """Size in bytes and SHA-256, in hexadecimal, of one member."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> MemberRecord:
        """The record of `data`."""
        return cls(len(data), sha256(data).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself; nothing in it is measured or dated.

    Attributes:
        name: of the model.
        task: one of `core.TASKS`.
        inputs: the feature columns, in the table's order.
        outputs: the graph's outputs, in the order of `core.OUTPUT_ORDER`.
        labels: class labels in the order of `probabilities`; all texts or all ints; None for regression.
        target: the column that was learned, if there was one.
        codecs: column name → codec that its values need beyond those of its kind, such as `nfc-casefold/1`.
        lineage: JSON-ready: dataset fingerprint, recipe, parents, code, environment, seed.
        inner: inner points of the graph, `features` or `raw` → name of the value.
        minimum_onnxruntime: the oldest that passes, such as `"1.20"`.
        members: every member but the manifest and the reports; the writer fills it in.
        format: of the file.
    """

    name: str
    task: str
    inputs: tuple[ColumnRecord, ...]
    outputs: tuple[OutputRecord, ...]
    labels: tuple[str, ...] | tuple[int, ...] | None = None
    target: ColumnRecord | None = None
    codecs: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    inner: Mapping[str, str] = field(default_factory=dict)
    minimum_onnxruntime: str = _OLDEST_ONNXRUNTIME
    members: Mapping[str, MemberRecord] = field(default_factory=lambda: MappingProxyType({}))
    format: int = FORMAT

    def with_members(self, members: Mapping[str, bytes]) -> Manifest:
        """The same manifest with the records of `members` (name → data)."""
        return replace(self, members={name: MemberRecord.of(members[name]) for name in sorted(members)})

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "codecs": dict(self.codecs),
            "format": self.format,
            "inner": dict(self.inner),
            "inputs": [column.to_dict() for column in self.inputs],
            "labels": None if self.labels is None else list(self.labels),
            "lineage": dict(self.lineage),
            "members": {name: {"size": m.size, "sha256": m.sha256} for name, m in self.members.items()},
            "minimum_onnxruntime": self.minimum_onnxruntime,
            "name": self.name,
            "outputs": [{"name": o.name, "dtype": o.dtype, "shape": list(o.shape)} for o in self.outputs],
            "target": None if self.target is None else self.target.to_dict(),
            "task": self.task,
        }

    def to_json(self) -> bytes:
        """The member `manifest.json`; `UsageError` if anything in it is wrong."""
        self.check()
        return dump_document(self.to_dict(), "manifest")

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read the member `manifest.json`.

        Raises:
            BundleError: `BUNDLE_TOO_NEW` for a newer format, task, kind or codec; `BUNDLE_DAMAGED` for anything
                that `to_json` would not have written.
        """
        raw = parse_document(data, MANIFEST)
        if (found := format_of(raw)) != FORMAT:
            raise _of_other_format(found)
        _refuse_unknown(raw)
        try:
            manifest = cls._from_dict(raw)
            again = manifest.to_json()
        except LeptonError as error:
            raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"{MANIFEST}: {error.came}", wanted=error.wanted) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"{MANIFEST}: {printable(str(error))}") from None
        if again != data:
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED,
                f"{MANIFEST} is not in canonical form",
                wanted="sorted keys, two spaces, a newline at the end, no field that only repeats a default",
            )
        return manifest

    @classmethod
    def _from_dict(cls, raw: dict[str, Any]) -> Manifest:
        _keys("the manifest", raw, _FIELDS)
        for output in raw["outputs"]:
            _keys("an output", output, {"name", "dtype", "shape"})
        for member in raw["members"].values():
            _keys("a member", member, {"size", "sha256"})
        return cls(
            name=raw["name"],
            task=raw["task"],
            inputs=tuple(map(ColumnRecord.from_dict, raw["inputs"])),
            outputs=tuple(OutputRecord(o["name"], o["dtype"], tuple(o["shape"])) for o in raw["outputs"]),
            labels=None if raw["labels"] is None else tuple(raw["labels"]),
            target=None if raw["target"] is None else ColumnRecord.from_dict(raw["target"]),
            codecs=raw["codecs"],
            lineage=raw["lineage"],
            inner=raw["inner"],
            minimum_onnxruntime=raw["minimum_onnxruntime"],
            members={name: MemberRecord(m["size"], m["sha256"]) for name, m in raw["members"].items()},
            format=raw["format"],
        )

    def check(self) -> None:
        """Raise `UsageError` unless every field is as the format says."""
        _need(self.format == FORMAT, f"the format is {self.format!r}", str(FORMAT))
        _label(self.name, "name of the model", check_name)
        task = task_record(self.task)
        _check_columns(self.inputs)
        if self.target is not None:
            _check_column(self.target, "target")
        _check_outputs(self.outputs, task.outputs)
        _check_labels(self.labels, self.outputs, classifies=task.classifies)
        _check_codecs(self.codecs, {column.name for column in self.inputs})
        _mapping(self.lineage, "lineage")
        _mapping(self.inner, "inner")
        _need(self.inner.keys() <= _INNER_POINTS, f"the inner points are {sorted(self.inner)}", "'features' or 'raw'")
        for value in self.inner.values():
            _label(value, "name of an inner point")
        version: Any = self.minimum_onnxruntime
        _need(
            isinstance(version, str) and _VERSION.fullmatch(version) is not None,
            f"minimum_onnxruntime is {version!r}",
            "a version such as '1.20'",
        )
        _check_members(self.members)


_FIELDS = frozenset(Manifest.__dataclass_fields__)


def format_of(raw: Mapping[str, Any]) -> int:
    """The format that a parsed manifest names, or `BundleError`."""
    found = raw.get("format")
    if type(found) is not int or found < 1:
        raise BundleError(
            ErrorCode.BUNDLE_DAMAGED, f"{MANIFEST} has the format {found!r}", wanted=f"a number from 1 to {FORMAT}"
        )
    return found


def model_id_of(members: Mapping[str, MemberRecord]) -> str:
    """The model's identity: SHA-256 over the lines `NAME SIZE SHA256`, sorted by name, of all but the reports.

    Args:
        members: records of the members, `manifest.json` among them; those of reports are passed over.
    """
    lines = (
        f"{name} {record.size} {record.sha256}\n"
        for name, record in sorted(members.items())
        if not name.startswith(REPORTS)
    )
    return sha256("".join(lines).encode("ascii")).hexdigest()


def _of_other_format(found: int) -> BundleError:
    if found > FORMAT:
        return _too_new(f"the bundle has format {found}", f"at most format {FORMAT}, which this Lepton reads")
    return BundleError(
        ErrorCode.BUNDLE_TOO_OLD,
        f"the bundle has format {found}",
        wanted=f"format {FORMAT}",
        fix="lepton bundle migrate OLD.lepton -o NEW.lepton",
    )


def _too_new(came: str, wanted: str) -> BundleError:
    return BundleError(ErrorCode.BUNDLE_TOO_NEW, came, wanted=wanted, fix="pip install --upgrade lepton-ai")


def _refuse_unknown(raw: Mapping[str, Any]) -> None:
    """Words of the closed lists that a newer Lepton may have added within this format."""
    inputs = raw.get("inputs")
    codecs = raw.get("codecs")
    kinds = [column.get("kind") for column in inputs if isinstance(column, dict)] if isinstance(inputs, list) else []
    words: Iterable[tuple[str, Iterable[Any], Collection[str]]] = (
        ("task", [raw.get("task")], TASKS),
        ("kind", kinds, NUMBER_KINDS | STRING_KINDS),
        ("codec", codecs.values() if isinstance(codecs, dict) else [], CODECS),
    )
    for what, found, known in words:
        for word in found:
            if isinstance(word, str) and word not in known:
                raise _too_new(f"the bundle has the {what} '{printable(word)}'", "one of " + ", ".join(sorted(known)))


def _need(holds: bool, came: str, wanted: str) -> None:
    if not holds:
        raise UsageError(ErrorCode.USAGE, came, wanted=wanted)


def _keys(what: str, raw: Any, wanted: Collection[str]) -> None:
    _mapping(raw, what)
    if raw.keys() != set(wanted):
        missing, unknown = sorted(set(wanted) - set(raw)), sorted(set(raw) - set(wanted))
        raise UsageError(
            ErrorCode.USAGE,
            f"{what} lacks {missing} and has unknown fields {printable(str(unknown))}",
            wanted="the fields " + ", ".join(sorted(wanted)),
        )


def _mapping(value: Any, what: str) -> None:
    _need(isinstance(value, Mapping), f"{what} is {printable(repr(value))}", "an object")


def _label(name: str, what: str, check: Any = check_label) -> None:
    normal = check(name, what)
    _need(normal == name, f"the {what} '{printable(name)}' is not in NFC", "Unicode normal form C")


def _check_column(column: ColumnRecord, what: str) -> None:
    _label(column.name, what)
    _need(
        column.dtype in _COLUMN_DTYPES,
        f"the {what} '{printable(column.name)}' has the dtype {column.dtype!r}",
        "one of " + ", ".join(sorted(_COLUMN_DTYPES)),
    )

    for text, of in ((column.unit, "unit"), (column.datetime_format, "datetime format")):
        if text is not None:
            _label(text, f"{of} of a column")
    _need(
        column.time_zone is None or _TIME_ZONE.fullmatch(column.time_zone) is not None,
        f"the {what} '{printable(column.name)}' has the time zone {printable(repr(column.time_zone))}",
        "an IANA name",
    )


def _check_columns(columns: tuple[ColumnRecord, ...]) -> None:
    _need(len(columns) > 0, "there are no input columns", "one or more")
    seen = set()
    for column in columns:
        _check_column(column, "input column")
        _need(column.kind in NUMBER_KINDS | STRING_KINDS, f"an input column has the kind {column.kind}", "a table's")
        _need(column.name not in seen, f"two input columns are called '{printable(column.name)}'", "different names")
        seen.add(column.name)


def _check_outputs(outputs: tuple[OutputRecord, ...], needed: tuple[str, ...]) -> None:
    names = [output.name for output in outputs]
    in_order = [name for name in OUTPUT_ORDER if name in names]
    _need(names == in_order, f"the outputs are {names}", "a choice of " + ", ".join(OUTPUT_ORDER) + ", in that order")
    _need(set(needed) <= set(names), f"the outputs are {names}", "at least " + ", ".join(needed))
    for output in outputs:
        _need(
            output.dtype in _OUTPUT_DTYPES,
            f"the output {output.name} has the dtype {output.dtype!r}",
            "one of " + ", ".join(sorted(_OUTPUT_DTYPES)),
        )
        sizes = all(isinstance(size, str) or (type(size) is int and 1 <= size <= _MAX_SIZE) for size in output.shape)
        _need(
            sizes and 1 <= len(output.shape) <= _MAX_RANK and isinstance(output.shape[0], str),
            f"the output {output.name} has the shape {printable(str(output.shape))}",
            "a text such as 'N' for the rows, then sizes",
        )


def _check_labels(labels: Any, outputs: tuple[OutputRecord, ...], *, classifies: bool) -> None:
    by_name = {output.name: output for output in outputs}
    prediction = by_name["prediction"]
    _need(len(prediction.shape) == 1, f"prediction has the shape {prediction.shape}", "one value a row")
    if not classifies:
        _need(labels is None, f"there are {len(labels or ())} labels", "none: the task has no classes")
        _need(prediction.dtype == "double", f"prediction has the dtype {prediction.dtype}", "double")
        return
    _need(labels is not None and len(labels) >= 2, f"the labels are {printable(repr(labels))}", "two or more")
    kind = type(labels[0])
    _need(
        kind in (int, str) and all(type(label) is kind for label in labels) and len(set(labels)) == len(labels),
        f"the labels are {printable(repr(labels))}",
        "texts or ints, not both, each once",
    )
    for label in labels:
        if kind is str:
            _label(label, "label")
        else:
            _need(-(2**63) <= label < 2**63, f"there is the label {label}", "an int of 64 bits")
    wanted = "string" if kind is str else "int64"
    _need(prediction.dtype == wanted, f"prediction has the dtype {prediction.dtype}", f"{wanted}, as the labels")
    shape = by_name["probabilities"].shape
    _need(shape[1:] == (len(labels),), f"probabilities has the shape {shape}", f"rows and {len(labels)} labels")


def _check_codecs(codecs: Mapping[str, str], columns: Collection[str]) -> None:
    _mapping(codecs, "codecs")
    for column, codec in codecs.items():
        _need(column in columns, f"there is a codec for '{printable(column)}'", "codecs of input columns only")
        _need(codec in CODECS, f"got the codec {codec!r}", "one of " + ", ".join(CODECS))


def _check_members(members: Mapping[str, MemberRecord]) -> None:
    _mapping(members, "members")
    for name, record in members.items():
        digest: Any = record.sha256
        check_member_name(name)
        _need(name != MANIFEST and not name.startswith(REPORTS), f"members lists {name}", "neither itself nor reports")
        _need(
            type(record.size) is int and 0 <= record.size < 2**32,
            f"{name} has the size {record.size!r}",
            "bytes, less than 4 GiB",
        )
        _need(
            isinstance(digest, str) and _SHA256.fullmatch(digest) is not None,
            f"{name} has the sha256 {printable(repr(digest))}",
            "64 hexadecimal digits",
        )
