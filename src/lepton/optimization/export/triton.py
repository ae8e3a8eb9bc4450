"""A model repository of Triton: one folder for the model, its version 1 and what it takes and gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime

from lepton.core import BundleError, ErrorCode, Work
from lepton.optimization.export.base import Checked, Exporter, Options, Subject, cannot_express, run_alone
from lepton.optimization.export.c_text import identifiers
from lepton.store import make_folder, write_scratch

__all__ = ["TritonExporter", "config_of", "read_config", "repository_name", "write_repository"]

_TYPES = {
    "tensor(double)": "TYPE_FP64",
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(int64)": "TYPE_INT64",
    "tensor(int32)": "TYPE_INT32",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(bool)": "TYPE_BOOL",
    "tensor(string)": "TYPE_STRING",
}
_BATCH = 256
_DELAY_MICROSECONDS = 100
_LABELS = "labels.txt"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+|[\[\]{}:,]')


class TritonExporter(Exporter):
    """Triton: `<model>/config.pbtxt`, `<model>/1/model.onnx` and the labels."""

    name: ClassVar[str] = "triton"
    tolerance: ClassVar[float] = 1e-6

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        write_repository(subject, folder)

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """Read the configuration back, hold it against the graph, and run the graph with onnxruntime."""
        checked = check_repository(subject, folder)
        note = f"needs a Triton whose onnxruntime is {subject.manifest.minimum_onnxruntime} or newer"
        return Checked(checked.runtime, checked.answers, checked.seconds, (note,))


def repository_name(subject: Subject) -> str:
    """The model's name as a folder may be called."""
    return identifiers([subject.manifest.name])[0]


def write_repository(subject: Subject, folder: Path) -> None:
    """Write the model into the folder of a repository."""
    place = folder / repository_name(subject)
    make_folder(place / "1")
    write_scratch(place / "1" / "model.onnx", [subject.graph])
    write_scratch(place / "config.pbtxt", [config_of(subject, place.name).encode()])
    labels = subject.predictor.label_names
    if labels and any(output.name == "probabilities" for output in subject.manifest.outputs):
        write_scratch(place / _LABELS, ["".join(f"{' '.join(label.split())}\n" for label in labels).encode()])


def check_repository(subject: Subject, folder: Path) -> Checked:
    """What onnxruntime answers, after the configuration was held against the graph."""
    place = folder / repository_name(subject)
    config = read_config((place / "config.pbtxt").read_text("utf-8"))
    session = onnxruntime.InferenceSession(subject.graph, providers=["CPUExecutionProvider"])
    for role, points in (("input", session.get_inputs()), ("output", session.get_outputs())):
        told = {each["name"]: (each["data_type"], tuple(each.get("reshape", each).get("shape", each["dims"])))
                for each in config[role]}  # fmt: skip
        wanted = {point.name: (_TYPES[point.type], tuple(_dims(point.shape))) for point in points}
        if told != wanted:
            raise BundleError(ErrorCode.CHECK_FAILED, f"config.pbtxt says {told}", wanted=str(wanted))
    return run_alone(place / "1" / "model.onnx", subject)


def config_of(subject: Subject, name: str) -> str:
    """The text of `config.pbtxt`: every tensor but its rows, which Triton gathers.

    Raises:
        BundleError: a tensor of a type that Triton does not have, or without a dimension for the rows.
    """
    session = onnxruntime.InferenceSession(subject.graph, providers=["CPUExecutionProvider"])
    labelled = "probabilities" if subject.predictor.label_names else ""
    parts = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {_BATCH}",
        f"input [\n{_points(session.get_inputs(), '')}\n]",
        f"output [\n{_points(session.get_outputs(), labelled)}\n]",
        f"dynamic_batching {{ max_queue_delay_microseconds: {_DELAY_MICROSECONDS} }}",
        "instance_group [ { kind: KIND_CPU count: 1 } ]",
        'parameters { key: "intra_op_thread_count" value: { string_value: "1" } }',
    ]
    return "\n".join(parts) + "\n"


def _points(points: Any, labelled: str) -> str:
    written = []
    for point in points:
        if point.type not in _TYPES or not point.shape or isinstance(point.shape[0], int):
            raise cannot_express(f"the tensor {point.name} {point.type} {point.shape}", "Triton")
        dims = _dims(point.shape)
        lines = [f'name: "{point.name}"', f"data_type: {_TYPES[point.type]}"]
        # A number for each row has no dimension of its own, and Triton wants one.
        lines += [f"dims: {dims}"] if dims else ["dims: [ 1 ]", "reshape: { shape: [ ] }"]
        lines += [f'label_filename: "{_LABELS}"'] if point.name == labelled else []
        written.append("  {\n" + "\n".join(f"    {line}" for line in lines) + "\n  }")
    return ",\n".join(written)


def _dims(shape: Any) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in shape[1:]]


def read_config(text: str) -> dict[str, Any]:
    """A configuration as it was written: names → values, repeated messages in lists."""
    tokens = _TOKEN.findall(text)
    found, rest = _message(tokens, 0)
    if rest != len(tokens):
        raise BundleError(ErrorCode.CHECK_FAILED, "config.pbtxt does not read back")
    return found


def _message(tokens: list[str], at: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at < len(tokens) and tokens[at] != "}":
        name = tokens[at]
        at += 2 if tokens[at + 1] == ":" else 1
        found[name], at = _field(tokens, at)
    return found, at


def _field(tokens: list[str], at: int) -> tuple[Any, int]:
    if tokens[at] == "{":
        message, at = _message(tokens, at + 1)
        return message, at + 1
    if tokens[at] == "[":
        listed, at = [], at + 1
        while tokens[at] != "]":
            value, at = _field(tokens, at)
            listed.append(value)
            at += tokens[at] == ","
        return listed, at + 1
    token = tokens[at]
    return (token[1:-1] if token[0] == '"' else int(token) if token.lstrip("-").isdigit() else token), at + 1
