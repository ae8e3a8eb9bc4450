"""The manifest: what a model takes and gives, where it comes from, and the hash of every member beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NoReturn

from lepton.bundle.archive import check_member_name
from lepton.bundle.codecs import CODECS, NUMBER_FORMATS, NumberParser, TextTidier
from lepton.bundle.documents import dump_document, parse_document
from lepton.bundle.encoding import NUMBER_KINDS, STRING_KINDS
from lepton.bundle.tensor_records import NUMPY_TYPES, TENSOR_KINDS, TensorRecord, check_tensors
from lepton.core import (
    OUTPUT_ORDER,
    TASKS,
    BundleError,
    ColumnRecord,
    ErrorCode,
    LeptonError,
    TaskRecord,
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

_OLDEST_ONNXRUNTIME = "1.21"  # the first with a kernel of TreeEnsemble 5: 1.20.1 refuses it, 1.21.1 answers
_COLUMN_DTYPES = frozenset({"float64", "int64", "bool", "datetime", "string"})
_OUTPUT_DTYPES = frozenset({"double", "int64", "string"})
_ANSWER_DTYPES = {
    "prediction": "double",
    "cluster": "int64",
    "score": "double",
    "forecast": "double",
}  # of tasks without labels
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
        inputs: the feature columns, in the table's order; of a model of tensors the one that they hold, or none.
        outputs: the graph's outputs, in the order of `core.OUTPUT_ORDER`; of the task `tensor` in any.
        labels: class labels in the order of `probabilities`; all texts or all ints; None for regression.
        target: the column that was learned, if there was one.
        codecs: column name → codec that its values need beyond those of its kind, such as `nfc-casefold/1`.
        lineage: JSON-ready: dataset fingerprint, recipe, parents, code, environment, seed.
        inner: inner points of the graph, `features` or `raw` → name of the value.
        minimum_onnxruntime: the oldest that passes, such as `"1.21"`.
        members: every member but the manifest and the reports; the writer fills it in.
        format: of the file.
        tensors: the graph's inputs, where it takes no table.
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
    tensors: tuple[TensorRecord, ...] = ()

    def with_members(self, members: Mapping[str, bytes]) -> Manifest:
        """The same manifest with the records of `members` (name → data)."""
        return replace(self, members={name: MemberRecord.of(members[name]) for name in sorted(members)})

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `tensors` only where there are some."""
        tensors = {"tensors": [tensor.to_dict() for tensor in self.tensors]} if self.tensors else {}
        return tensors | {
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
                wanted="sorted keys, no spaces, a newline at the end, no column field that only repeats its default",
            )
        return manifest

    @classmethod
    def _from_dict(cls, raw: dict[str, Any]) -> Manifest:
        _check_keys("the manifest", {"tensors": [], **raw}, _FIELDS)
        for output in raw["outputs"]:
            _check_keys("an output", output, {"name", "dtype", "shape"})
        for member in raw["members"].values():
            _check_keys("a member", member, {"size", "sha256"})
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
            tensors=tuple(map(TensorRecord.from_dict, raw.get("tensors", []))),
        )

    def check(self) -> None:
        """Raise `UsageError` unless every field is as the format says."""
        if self.format != FORMAT:
            _wrong(f"the format is {self.format!r}", str(FORMAT))
        _check_label(self.name, "name of the model", check_name)
        task = task_record(self.task)
        _check_columns(self.inputs, of_tensors=bool(self.tensors))
        if self.target is not None:
            _check_column(self.target, "target")
        _check_outputs(self.outputs, task)
        _check_codecs(self.codecs, {column.name for column in self.inputs})
        if self.tensors:
            check_tensors(self.tensors, self.inputs, self.codecs)
        if (task.name == "tensor") > bool(self.tensors) or (task.name == "forecast" and self.tensors):
            _wrong(f"the task is {task.name} and the tensors are {_show(self.tensors)}", "tensors for the task tensor")
        if not task.outputs:
            if self.labels is not None:
                _wrong(f"{self.task} has the labels {_show(self.labels)}", "no labels")
        elif task.classifies:
            _check_labels(self.labels, self.outputs, task.several)
        else:
            answer = next(output for output in self.outputs if output.name == task.answer)
            dtype, wanted = answer.dtype, _ANSWER_DTYPES[task.answer]
            if self.labels is not None or dtype != wanted:
                _wrong(f"{self.task} gives {dtype} and the labels {_show(self.labels)}", f"{wanted}, no labels")
        _check_object(self.lineage, "lineage")
        _check_object(self.inner, "inner")
        if not self.inner.keys() <= _INNER_POINTS:
            _wrong(f"the inner points are {_show(sorted(self.inner))}", "features and raw")
        for value in self.inner.values():
            _check_label(value, "name of an inner point")
        if not _matches(_VERSION, self.minimum_onnxruntime):
            _wrong(f"minimum_onnxruntime is {_show(self.minimum_onnxruntime)}", "a version such as '1.21'")
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
        ("kind", kinds, NUMBER_KINDS | STRING_KINDS | TENSOR_KINDS),
        ("codec", codecs.values() if isinstance(codecs, dict) else [], CODECS),
    )
    for what, found, known in words:
        for word in found:
            if isinstance(word, str) and word not in known:
                raise _too_new(f"the bundle has the {what} '{printable(word)}'", "one of " + ", ".join(sorted(known)))


# --- rules -------------------------------------------------------------------------------------------------------


def _wrong(came: str, wanted: str) -> NoReturn:
    raise UsageError(ErrorCode.USAGE, came, wanted=wanted)


def _show(value: Any) -> str:
    return printable(repr(value))


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _check_object(value: Any, what: str) -> None:
    if not isinstance(value, Mapping):
        _wrong(f"{what} is {_show(value)}", "an object")


def _check_keys(what: str, raw: Any, wanted: Collection[str]) -> None:
    _check_object(raw, what)
    if raw.keys() != set(wanted):
        missing, unknown = sorted(set(wanted) - set(raw)), sorted(set(raw) - set(wanted))
        _wrong(
            f"{what} lacks {missing} and has the unknown fields {_show(unknown)}",
            "the fields " + ", ".join(sorted(wanted)),
        )


def _check_label(name: str, what: str, check: Callable[[str, str], str] = check_label) -> None:
    if check(name, what) != name:
        _wrong(f"the {what} '{printable(name)}' is not in NFC", "Unicode normal form C")


def _check_columns(columns: tuple[ColumnRecord, ...], *, of_tensors: bool) -> None:
    if not columns and not of_tensors:
        _wrong("there are no input columns", "one or more")
    seen = set()
    for column in columns:
        _check_column(column, "input column")
        if not of_tensors and column.kind not in NUMBER_KINDS | STRING_KINDS:
            _wrong(f"an input column has the kind {column.kind}", "a kind that tables hold")
        if column.name in seen:
            _wrong(f"two input columns are called '{printable(column.name)}'", "different names")
        seen.add(column.name)


def _check_column(column: ColumnRecord, what: str) -> None:
    _check_label(column.name, what)
    shown = f"the {what} '{printable(column.name)}'"
    if column.dtype not in _COLUMN_DTYPES:
        _wrong(f"{shown} has the dtype {_show(column.dtype)}", "one of " + ", ".join(sorted(_COLUMN_DTYPES)))
    if column.time_zone is not None and not _matches(_TIME_ZONE, column.time_zone):
        _wrong(f"{shown} has the time zone {_show(column.time_zone)}", "an IANA name")
    for text, of in ((column.unit, "unit"), (column.datetime_format, "datetime format")):
        if text is not None:
            _check_label(text, f"{of} of a column")
    for text in (*column.further_formats, *column.true_texts, *column.false_texts):
        _check_label(text, f"format or text of {shown}")
    TextTidier(column.tidying)  # refuses what the codec does not know
    if column.number_format is not None or column.units:
        NumberParser(column.number_format or NUMBER_FORMATS[0], dict(column.units))


def _check_outputs(outputs: tuple[OutputRecord, ...], task: TaskRecord) -> None:
    needed = task.outputs
    names = [output.name for output in outputs]
    if not needed:
        _check_named(outputs)
        return
    if names != [name for name in OUTPUT_ORDER if name in names]:
        _wrong(f"the outputs are {_show(names)}", "a choice of " + ", ".join(OUTPUT_ORDER) + ", in that order")
    if not set(needed) <= set(names):
        _wrong(f"the outputs are {_show(names)}", "at least " + ", ".join(needed))
    for output in outputs:
        if output.dtype not in _OUTPUT_DTYPES:
            _wrong(f"the output {output.name} has the dtype {_show(output.dtype)}", ", ".join(sorted(_OUTPUT_DTYPES)))
        rows, *sizes = output.shape or (0,)
        known = all(isinstance(size, str) or (type(size) is int and 1 <= size <= _MAX_SIZE) for size in sizes)
        if not isinstance(rows, str) or not known or len(sizes) >= _MAX_RANK:
            _wrong(f"the output {output.name} has the shape {_show(output.shape)}", "'N' for the rows, then sizes")
    answer = next(output for output in outputs if output.name == needed[0])
    rank = 2 if answer.name == "forecast" or task.several else 1
    if len(answer.shape) != rank:
        _wrong(
            f"{answer.name} has the shape {_show(outputs[0].shape)}",
            "one value a row" if rank == 1 else "several values a row",
        )


def _check_named(outputs: tuple[OutputRecord, ...]) -> None:
    """Outputs of a model of plain tensors: any number of them, with names and types of their own."""
    names = [output.name for output in outputs]
    if not outputs or len(set(names)) < len(names):
        _wrong(f"the outputs are {_show(names)}", "one or more, with different names")
    for output in outputs:
        _check_label(output.name, "name of an output")
        rows, *sizes = output.shape or (0,)
        known = all(isinstance(size, str) or (type(size) is int and 1 <= size <= _MAX_SIZE) for size in sizes)
        if output.dtype not in NUMPY_TYPES or not isinstance(rows, str) or not known or len(sizes) >= _MAX_RANK:
            _wrong(
                f"the output {printable(output.name)} is {_show(output.dtype)} {_show(output.shape)}",
                "a type of tensors, and 'N' for the rows, then sizes",
            )


def _check_labels(labels: Any, outputs: tuple[OutputRecord, ...], several: bool) -> None:
    prediction, probabilities = outputs[:2]
    if labels is None or len(labels) < 2:
        _wrong(f"the labels are {_show(labels)}", "two or more")
    kind = type(labels[0])
    if kind not in {int, str} or any(type(label) is not kind for label in labels) or len(set(labels)) < len(labels):
        _wrong(f"the labels are {_show(labels)}", "texts or ints, not both, each once")
    for label in labels:
        if kind is str:
            _check_label(label, "label")
        elif not -(2**63) <= label < 2**63:
            _wrong(f"there is the label {_show(label)}", "an int of 64 bits")
    wanted = "int64" if several or kind is int else "string"
    if several and (kind is int or prediction.shape[1:] != (len(labels),)):
        _wrong(f"prediction is {list(prediction.shape)} of the labels {_show(labels)}", "one value for each name")
    if prediction.dtype != wanted:
        _wrong(f"prediction has the dtype {prediction.dtype}", f"{wanted}, as the labels")
    if probabilities.dtype != "double" or probabilities.shape[1:] != (len(labels),):
        _wrong(f"probabilities is {probabilities.dtype}{list(probabilities.shape)}", f"double, {len(labels)} a row")


def _check_codecs(codecs: Mapping[str, str], columns: Collection[str]) -> None:
    _check_object(codecs, "codecs")
    for column, codec in codecs.items():
        if column not in columns:
            _wrong(f"there is a codec for '{printable(column)}'", "codecs of input columns only")
        if codec not in CODECS:
            _wrong(f"got the codec {_show(codec)}", "one of " + ", ".join(CODECS))


def _check_members(members: Mapping[str, MemberRecord]) -> None:
    _check_object(members, "members")
    for name, record in members.items():
        check_member_name(name)
        if name == MANIFEST or name.startswith(REPORTS):
            _wrong(f"members lists {name}", "neither itself nor reports")
        if type(record.size) is not int or not 0 <= record.size < 2**32:
            _wrong(f"{name} has the size {_show(record.size)}", "bytes, less than 4 GiB")
        if not _matches(_SHA256, record.sha256):
            _wrong(f"{name} has the sha256 {_show(record.sha256)}", "64 hexadecimal digits")
