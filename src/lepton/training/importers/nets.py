"""Networks of any framework as bundles: a graph over tensors gets the outputs that a bundle's task names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import OutputRecord, TensorInputs, TensorRecord
from lepton.bundle.tensor_records import NUMPY_TYPES
from lepton.compute.sandbox import call_confined
from lepton.core import ColumnRecord, ErrorCode, Kind, SchemaError, UsageError, check_label, printable
from lepton.store import open_read
from lepton.training.importers.base import Asked, Imported, Labels, cannot_hold, unreadable
from lepton.training.importers.composing import Composer, onnx_library
from lepton.training.importers.native import packed_array, unpacked_array

__all__ = [
    "MADE_ROWS",
    "Net",
    "arrays_of",
    "from_parts",
    "imported_file",
    "imported_net",
    "made_arrays",
    "record_of",
    "to_parts",
    "unpack",
]

MADE_ROWS = 4
_OPEN_SIZE = 16
_SHARES = 1e-3  # how far from 1 probabilities may add up to, for outputs to be taken as such


@dataclass(frozen=True)
class Net:
    """A network that a framework has exported, with what it said itself.

    Attributes:
        framework: it came from.
        version: of its library.
        graph: a serialized ONNX model, its inputs and outputs in the order of these:
        tensors: input → rows to check with.
        answers: output → what the network says of them.
        made: whether the rows were made.
        tolerance: largest difference that is taken, as a share of the largest answer.
        notes: what the user should know.
    """

    framework: str
    version: str
    graph: bytes
    tensors: Mapping[str, NDArray[Any]]
    answers: Mapping[str, NDArray[Any]]
    made: bool
    tolerance: float = 1e-4
    notes: tuple[str, ...] = ()


def imported_net(net: Net, asked: Asked) -> Imported:
    """The network in the forms of a bundle.

    With labels it classifies: by probabilities, or by scores whose softmax is taken, or by one score. A single number
    a row is a regression. Anything else is a model of plain tensors, whose outputs keep their names.

    Raises:
        DataError: NO_GRAPH_FORM: its rows cannot be told apart, or ONNX, or a bundle, cannot hold it.
        UsageError: the labels do not fit its outputs.
    """
    onnx = onnx_library()
    try:
        model = onnx.load_from_string(net.graph)
    except Exception as error:  # of protobuf, whose errors have no common class
        raise unreadable(asked.path, "is no ONNX model that is whole") from error
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    points = list(model.graph.input)
    records = tuple(map(record_of, points))
    composer = Composer(model)
    for record in records:
        shape = ["N", *(f"{record.name}_{d}" if s is None else s for d, s in enumerate(record.shape[1:], 1))]
        composer.take(record.name, record.dtype, shape, feeds=record.name)
    columns, codecs = _column(records)
    written = _written(composer, net, asked.labels, list(model.graph.output))
    inputs = TensorInputs(records, columns, codecs)
    return Imported(
        framework=net.framework,
        version=net.version,
        task=written.task,
        inputs=columns,
        outputs=written.outputs,
        labels=written.labels,
        graph=composer.finish(inputs.metadata()),
        tensors=net.tensors,
        answers=written.answers,
        sample_made=net.made,
        tolerance=net.tolerance,
        records=records,
        codecs=codecs,
        notes=(*net.notes, *written.notes),
    )


def imported_file(framework: str, entry: str, asked: Asked, *, alternative: str, **arguments: Any) -> Imported:
    """The network in a file that may hold code, by a function that runs in a confined process.

    Args:
        framework: it came from.
        entry: `package.module:function`, called with `path`, `seed`, `arguments` and the parts of the sample; it gives
            `to_parts` of a `Net`.
        asked: what the user has said.
        alternative: what to do where there is no such process.
        **arguments: of the function.

    Raises:
        LeptonError: it cannot be opened, did what it must not, or does not fit a bundle.
    """
    path = asked.path or Path()
    head, found = call_confined(
        entry,
        {"path": str(path.resolve()), "seed": asked.work.seed_for("import"), **arguments},
        _pack(asked.sample),
        readable=[path],
        work=asked.work,
        alternative=alternative,
    )
    return imported_net(from_parts(head, found, framework, asked.path), asked)


def made_arrays(wanted: Mapping[str, tuple[Sequence[int | None], Any]], seed: int) -> dict[str, NDArray[Any]]:
    """Rows for inputs that are known: name → sizes behind the first, None where one is open, and type."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (sizes, dtype) in wanted.items():
        shape = (MADE_ROWS, *(size or _OPEN_SIZE for size in sizes))
        drawn = rng.integers(0, 2, shape) if np.dtype(dtype).kind in "iub" else rng.normal(size=shape)
        arrays[name] = drawn.astype(dtype)
    return arrays


@dataclass(frozen=True)
class _Written:
    task: str
    labels: Labels
    outputs: tuple[OutputRecord, ...]
    answers: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...] = ()


def record_of(point: Any) -> TensorRecord:
    """The input of a bundle that an input of a graph is.

    Raises:
        DataError: NO_GRAPH_FORM: it does not take any number of rows.
    """
    onnx = onnx_library()
    tensor = point.type.tensor_type
    name = check_label(point.name, "name of an input")
    dtype = _dtype(onnx, tensor.elem_type)
    if dtype not in NUMPY_TYPES or not tensor.HasField("shape"):
        raise cannot_hold(f"the input '{printable(name)}' is {dtype} of no known rank", "tensors of a known rank")
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    if not sizes or sizes[0] is not None:
        raise cannot_hold(
            f"the input '{printable(name)}' has the fixed shape {list(sizes)}, and a bundle takes any number of rows",
            "export it with an open first size: dynamic_shapes of torch.export, dynamic_axes, or None in Keras",
        )
    return TensorRecord(name, dtype, sizes)


def _dtype(onnx: Any, element_type: int) -> str:
    names: str = onnx.TensorProto.DataType.Name(element_type).lower()
    return names


def _column(records: Sequence[TensorRecord]) -> tuple[tuple[ColumnRecord, ...], dict[str, str]]:
    """The column that the one tensor holds, where its name and form are those of contract 2."""
    record = records[0]
    rank = len(record.shape)
    if len(records) == 1 and record.name == "image" and rank == 4 and record.dtype in {"uint8", "float", "double"}:
        coded = record.dtype == "uint8" and record.shape[3] in {1, 3}
        return (ColumnRecord("image", Kind.IMAGE, "string"),), {"image": "jpeg-png-to-rgb8/1"} if coded else {}
    if len(records) == 1 and record.name == "series" and rank == 3 and record.dtype in {"float", "double"}:
        return (ColumnRecord("series", Kind.SERIES, "string"),), {}
    return (), {}


def _written(composer: Composer, net: Net, labels: Labels, points: Sequence[Any]) -> _Written:
    if len(points) != len(net.answers):
        raise cannot_hold(f"the network gives {len(net.answers)} outputs, and its graph {len(points)}")
    (name, first), *others = net.answers.items()
    value = composer.value(points[0].name)
    is_float = first.dtype.kind == "f"
    if labels is not None:
        return _classes(composer, value, name, first, labels)
    if not others and is_float and (first.ndim == 1 or (first.ndim == 2 and first.shape[1] == 1)):
        record = composer.numbers("prediction", value)
        return _Written("regression", None, (record,), {"prediction": first.reshape(-1).astype(np.float64)})
    outputs = []
    taken = {*net.tensors}
    for (name, answer), point in zip(net.answers.items(), points, strict=True):
        own = check_label(name, "name of an output")
        own = f"{own}_output" if own in taken else own
        taken.add(own)
        shape = ["N", *_sizes(point, answer)]
        dtype = _named_dtype(answer)
        outputs.append(composer.output(own, composer.value(point.name), dtype, shape))
    answers = dict(zip((output.name for output in outputs), net.answers.values(), strict=True))
    return _Written("tensor", None, tuple(outputs), answers)


def _sizes(point: Any, answer: NDArray[Any]) -> list[int | str]:
    """Sizes of an output after the rows: fixed where the graph says so."""
    known = [size.dim_value if size.HasField("dim_value") else None for size in point.type.tensor_type.shape.dim]
    if not answer.ndim or len(known) != answer.ndim:
        raise cannot_hold(f"the output '{printable(point.name)}' has no row for each row of the input")
    return [size or f"{point.name}_{place}" for place, size in enumerate(known[1:], 1)]


def _named_dtype(answer: NDArray[Any]) -> str:
    found = [name for name, kind in NUMPY_TYPES.items() if np.dtype(kind) == answer.dtype]
    if not found:
        raise cannot_hold(f"an output is of the type {answer.dtype}")
    return found[0]


def _classes(
    composer: Composer, value: str, name: str, scores: NDArray[Any], labels: tuple[str, ...] | tuple[int, ...]
) -> _Written:
    """The outputs of a classifier from its first output, in double behind the network."""
    one_score = len(labels) == 2 and (scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1))
    if not one_score and (scores.ndim != 2 or scores.shape[1] != len(labels)):
        raise UsageError(
            ErrorCode.USAGE,
            f"got {len(labels)} labels, and the output '{printable(name)}' has the shape {['N', *scores.shape[1:]]}",
            wanted="one label for each column of the output, or two for one score",
        )
    doubles = scores.astype(np.float64)
    value = composer.node("Cast", [value], to=11)  # onnx.TensorProto.DOUBLE
    within = bool(((doubles >= 0.0) & (doubles <= 1.0)).all())
    if one_score:
        doubles = doubles.reshape(-1, 1)
        value = composer.node("Reshape", [value, composer.constant(np.array([-1, 1]))])
        if not within:
            doubles = np.exp(-np.logaddexp(0.0, -doubles))
            value = composer.node("Sigmoid", [value])
        doubles = np.hstack([1.0 - doubles, doubles])
        rest = composer.node("Sub", [composer.constant(1.0), value])
        value = composer.node("Concat", [rest, value], axis=1)
        note = "probability of the second label" if within else "score, whose sigmoid is the second label's probability"
    elif within and np.allclose(doubles.sum(axis=1), 1.0, atol=_SHARES):
        note = "probabilities"
    else:
        powers = np.exp(doubles - doubles.max(axis=1, keepdims=True))
        doubles = powers / powers.sum(axis=1, keepdims=True)
        value = composer.node("Softmax", [value], axis=1)
        note = "scores, whose softmax are the probabilities"
    outputs = composer.classes(None, value, labels, labels)
    called = np.array(labels, dtype=object if isinstance(labels[0], str) else np.int64)[doubles.argmax(axis=1)]
    task = "binary" if len(labels) == 2 else "multiclass"
    answers = {"prediction": called, "probabilities": doubles}
    return _Written(task, labels, outputs, answers, (f"the output '{name}' was taken as {note}",))


def arrays_of(sample: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """A sample as arrays: one for each input.

    Args:
        sample: an array or tensor, several in the order of the inputs, name → array, or a path of .npy or .npz.
        names: of the inputs.

    Raises:
        SchemaError: there are others than the inputs, or of different lengths.
        DataError: the file cannot be read.
    """
    if isinstance(sample, str | os.PathLike):
        sample = _loaded(Path(sample))
    if isinstance(sample, Mapping):
        given = {str(name): _array(value) for name, value in sample.items()}
        given = dict(zip(names, given.values(), strict=True)) if len(names) == len(given) == 1 else given
    else:
        several = sample if isinstance(sample, tuple) else (sample,)
        given = {name: _array(value) for name, value in zip(names, several, strict=False)}
    lengths = {len(array) if array.ndim else 0 for array in given.values()}
    if {*given} != {*names} or len(lengths) != 1 or not min(lengths):
        shown = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in given.items())
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"the sample is {printable(shown) or 'empty'}",
            wanted="one array [N, …] for each of "
            + ", ".join(map(printable, names))
            + ", with the same N of at least 1",
        )
    return {name: given[name] for name in names}


def _array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array: NDArray[Any] = np.asarray(value)
    return array


def _loaded(path: Path) -> Any:
    with open_read(path) as file:
        try:
            found = np.load(file, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found)
        except (ValueError, OSError, EOFError, KeyError) as error:
            raise unreadable(path, f"is no .npy or .npz of numbers ({printable(str(error), 200)})") from None


def _pack(sample: Any) -> dict[str, bytes]:
    """A sample for a confined process: arrays by name, or by place; nothing for None."""
    if sample is None:
        return {}
    if isinstance(sample, str | os.PathLike):
        sample = _loaded(Path(sample))
    if not isinstance(sample, Mapping):
        sample = {f"#{place}": each for place, each in enumerate(sample if isinstance(sample, tuple) else (sample,))}
    return {str(name): packed_array(_array(value)) for name, value in sample.items()}


def unpack(parts: Mapping[str, bytes]) -> Any:
    """What `pack` has packed, as `arrays_of` takes it."""
    arrays = {name: unpacked_array(data) for name, data in parts.items()}
    if not arrays:
        return None
    return tuple(arrays.values()) if all(name.startswith("#") for name in arrays) else arrays


def to_parts(net: Net) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a confined process answers: head and parts."""
    head = {"framework": net.framework, "version": net.version, "made": net.made, "tolerance": net.tolerance}
    head |= {"notes": list(net.notes), "inputs": [*net.tensors], "outputs": [*net.answers]}
    parts = {"graph": net.graph}
    for kind, arrays in (("input", net.tensors), ("output", net.answers)):
        parts |= {f"{kind}{place}": packed_array(array) for place, array in enumerate(arrays.values())}
    return head, parts


def from_parts(head: Mapping[str, Any], parts: Mapping[str, bytes], framework: str, path: Path | None) -> Net:
    """The network that a confined process has answered; nothing of it is believed.

    Raises:
        DataError: UNREADABLE: the answer is not of this form.
    """
    try:
        named = {
            key: {str(name): unpacked_array(parts[f"{kind}{place}"]) for place, name in enumerate(head[key])}
            for kind, key in (("input", "inputs"), ("output", "outputs"))
        }
        net = Net(
            framework,
            str(head["version"])[:40],
            parts["graph"],
            named["inputs"],
            named["outputs"],
            bool(head["made"]),
            notes=tuple(printable(str(note), 300) for note in head["notes"][:10]),
        )
        return replace(net, tolerance=min(float(head["tolerance"]), net.tolerance))
    except (KeyError, TypeError, ValueError, EOFError, OSError, AttributeError):
        raise unreadable(path, "made its confined process answer nonsense", wanted="a model") from None
