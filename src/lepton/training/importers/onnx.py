"""Raw ONNX models: of tables, as the usual converters write them, or of tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import OutputRecord
from lepton.bundle.build import ML_DOMAIN, OPSET
from lepton.bundle.graph import summarize_graph
from lepton.bundle.tensor_records import NUMPY_TYPES
from lepton.core import DataError, ErrorCode, UsageError, printable, show_size
from lepton.store import open_read
from lepton.training.importers.base import Asked, FileHead, Imported, Importer, Labels, cannot_hold, unreadable
from lepton.training.importers.checking import run_graph
from lepton.training.importers.composing import Composer, bounded, onnx_library
from lepton.training.importers.forests import class_labels
from lepton.training.importers.nets import MADE_ROWS, Net, arrays_of, imported_net, record_of
from lepton.training.importers.rows import (
    MADE_ROWS as MADE_TABLE_ROWS,
    TableSample,
    number_columns,
    sample_table,
    take_table,
)

__all__ = ["OnnxImporter"]

_MOST_BYTES = 2_000_000_000
_OPEN_SIZE = 16
_TOLERANCE = 1e-6  # the same kernels on both sides; casts from double may move the last bit
_FLOAT, _DOUBLE, _STRING, _INT64 = 1, 11, 8, 7  # onnx.TensorProto
_NUMBERS = frozenset({_FLOAT, _DOUBLE, _INT64, 6, 9})  # and INT32, BOOL
_EXTERNAL = 1  # TensorProto.DataLocation
_CLASS_NAMES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


class OnnxImporter(Importer):
    """`onnx.ModelProto` and `.onnx` files."""

    name: ClassVar[str] = "onnx"
    packages = ("onnx",)

    @classmethod
    def takes(cls, model: Any) -> bool:
        """A `ModelProto`, whose class is of the package `onnx`."""
        return type(model).__name__ == "ModelProto" and super().takes(model)

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """A protobuf that begins with its IR version."""
        return len(head.start) > 2 and head.start[0] == 0x08 and 0 < head.start[1] < 64

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        onnx = onnx_library()
        model = _loaded(onnx, asked)
        _check_external(model.graph)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        classes = _without_zipmap(model)
        copied = type(model)()
        copied.CopyFrom(model)
        summarize_graph(bounded(copied).SerializeToString())  # before anything of it is run
        table = _table_of(model, classes, asked)
        if table is not None:
            return _imported_table(onnx, model, table, asked)
        points = _inputs(model)
        for point in points:
            record_of(point)
        made = asked.sample is None
        arrays = _made(onnx, points, asked) if made else _typed(onnx, points, asked.sample)
        answers, notes = _answers(onnx, model, arrays)
        kept = [type(point).FromString(point.SerializeToString()) for point in points]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        net = Net("onnx", onnx.__version__, model.SerializeToString(), arrays, answers, made, _TOLERANCE, notes)
        return imported_net(net, asked)


def _loaded(onnx: Any, asked: Asked) -> Any:
    if asked.path is None:
        model = type(asked.model)()
        model.CopyFrom(asked.model)
    else:
        with open_read(asked.path) as file:
            if (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES:
                raise cannot_hold(f"'{asked.path.name}' has {show_size(size)}", "a bundle's graph has at most 2 GB")
            data = file.read()
        try:
            model = onnx.load_from_string(data)
        except Exception as error:  # of protobuf, whose errors have no common class
            raise unreadable(asked.path, "is no ONNX model that is whole") from error
    if not model.graph.output or not model.graph.node:
        raise unreadable(asked.path, "is no ONNX model, or its graph is empty", wanted="a model with nodes and outputs")
    return model


def _check_external(graph: Any) -> None:
    """Refuse data in other files, before anything would look for them."""
    for tensor in graph.initializer:
        if tensor.data_location == _EXTERNAL or tensor.external_data:
            raise cannot_hold(
                f"the data of '{printable(tensor.name)}' lie in another file",
                "onnx.save(onnx.load(path), other) writes one file",
            )
    for node in graph.node:
        for attribute in node.attribute:
            tensors = [attribute.t, *attribute.tensors]
            if any(tensor.data_location == _EXTERNAL or tensor.external_data for tensor in tensors):
                raise cannot_hold("the data of a node lie in another file", "write one file")
            for inner in (attribute.g, *attribute.graphs):
                _check_external(inner)


def _without_zipmap(model: Any) -> tuple[Any, ...] | None:
    """Take out the maps of classes to probabilities at the end, for the tensors that they are made of.

    Returns:
        The names of the classes, where a map told them.
    """
    graph = model.graph
    found = None
    for node in [node for node in graph.node if node.op_type == "ZipMap" and node.domain == ML_DOMAIN]:
        for output in graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(onnx_library().helper.make_tensor_value_info(node.input[0], _FLOAT, ["N", None]))
        found = next((tuple(_class_names(each)) for each in node.attribute if each.name in _CLASS_NAMES), found)
        graph.node.remove(node)
    return found


def _class_names(attribute: Any) -> list[Any]:
    return [text.decode() for text in attribute.strings] if attribute.strings else list(attribute.ints)


def _inputs(model: Any) -> list[Any]:
    """Inputs without those that are the defaults of constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [point for point in model.graph.input if point.name not in constants]


# --- tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """A graph that answers rows of a table.

    Attributes:
        inputs: foreign input → element type and number of columns.
        classes: names of the classes, None for a regression.
    """

    inputs: Mapping[str, tuple[int, int]]
    classes: tuple[Any, ...] | None


def _table_of(model: Any, classes: tuple[Any, ...] | None, asked: Asked) -> _Table | None:
    """What a graph is as a table model; None where it is none."""
    inputs = {}
    points = _inputs(model)
    for point in points:
        tensor = point.type.tensor_type
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
        if tensor.elem_type not in {*_NUMBERS, _STRING} or len(sizes) != 2 or sizes[0] is not None or not sizes[1]:
            return None
        if len(points) > 1 and sizes[1] != 1:
            return None
        inputs[point.name] = (tensor.elem_type, sizes[1])
    outputs = list(model.graph.output)
    kinds = [output.type.tensor_type.elem_type for output in outputs]
    shares = outputs[-1].type.tensor_type.shape.dim
    if len(outputs) == 2 and kinds[0] in {_INT64, _STRING} and kinds[1] in {_FLOAT, _DOUBLE} and len(shares) == 2:
        return _Table(inputs, classes or _classes_of(model, shares[1].dim_value, kinds[0], asked.labels))
    is_number = len(outputs) == 1 and kinds[0] in {_FLOAT, _DOUBLE}
    is_column = is_number and (len(shares) == 1 or (len(shares) == 2 and shares[1].dim_value in {0, 1}))
    if is_column and any(node.domain == ML_DOMAIN for node in model.graph.node):
        return _Table(inputs, None)
    return None


def _classes_of(model: Any, width: int, kind: int, labels: Labels) -> tuple[Any, ...]:
    """What the label of a classifier may be, in the order of its probabilities."""
    for node in reversed(model.graph.node):
        for attribute in node.attribute:
            if attribute.name in _CLASS_NAMES and len(names := _class_names(attribute)) == (width or len(names)):
                return tuple(names)
    if kind == _INT64 and (width or labels):
        return tuple(range(width or len(labels or ())))
    if labels is not None and isinstance(labels[0], str):
        return labels
    raise UsageError(
        ErrorCode.USAGE, "the graph does not tell what its classes are called", fix="labels=, in the graph's order"
    )


def _imported_table(onnx: Any, model: Any, table: _Table, asked: Asked) -> Imported:
    sample, fed = _table_sample(table, asked)
    groups = {"numbers": sample.inputs.numbers, "strings": sample.inputs.strings}
    arrays = {}
    for name, (kind, columns) in fed.items():
        tensor = "strings" if kind == _STRING else "numbers"
        places = [column.name for column in groups[tensor]]
        values = sample.tensors[tensor][:, [places.index(column) for column in columns]]
        arrays[name] = values if kind == _STRING else values.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    found, notes = _answers(onnx, model, arrays)
    names = [output.name for output in model.graph.output]
    composer = Composer(model)
    take_table(composer, sample.inputs, fed)
    outputs: tuple[OutputRecord, ...]
    labels: Labels = None
    if table.classes is None:
        outputs = (composer.numbers("prediction", composer.value(names[0])),)
        answers = {"prediction": found[names[0]].reshape(-1).astype(np.float64)}
    else:
        known, shares = table.classes, found[names[1]]
        labels, _ = class_labels(asked.labels, known, shares.shape[1])
        labels = labels or ()
        outputs = composer.classes(composer.value(names[0]), composer.value(names[1]), known, labels)
        told = dict(zip(known, labels, strict=True))
        called = [told[label] for label in found[names[0]].reshape(-1).tolist()]
        dtype = object if isinstance(labels[0], str) else np.int64
        answers = {"prediction": np.array(called, dtype=dtype), "probabilities": shares.astype(np.float64)}
    task = "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass"
    return Imported(
        framework="onnx",
        version=onnx.__version__,
        task=task,
        inputs=sample.inputs.columns,
        outputs=outputs,
        labels=labels,
        graph=composer.finish(sample.inputs.metadata()),
        tensors=sample.tensors,
        answers=answers,
        sample_made=sample.made,
        tolerance=_TOLERANCE,
        notes=notes,
    )


def _table_sample(table: _Table, asked: Asked) -> tuple[TableSample, dict[str, tuple[int, list[str]]]]:
    """Rows, and which columns of them each foreign input takes."""
    (first, (kind, width)), *others = table.inputs.items()
    names = [first, *(name for name, _ in others)] if others or width == 1 else None
    if asked.sample is not None:
        sample = sample_table(asked.sample, names, None if names else width)
    elif any(kind == _STRING for kind, _ in table.inputs.values()):
        raise UsageError(ErrorCode.USAGE, "got no sample for a graph that takes texts", fix="sample= gives rows")
    else:
        rng = np.random.default_rng(asked.work.seed_for("import"))
        columns = names or [f"x{place}" for place in range(width)]
        kinds = [kind for kind, each in table.inputs.values() for _ in range(each)]
        matrix = rng.normal(size=(MADE_TABLE_ROWS, len(columns))) * rng.choice([0.1, 1, 10], (MADE_TABLE_ROWS, 1))
        whole = np.array([kind not in {_FLOAT, _DOUBLE} for kind in kinds])
        matrix = np.where(whole, np.abs(np.round(matrix)).clip(max=1), matrix)
        sample = TableSample.of(matrix, number_columns(columns), made=True)
    if names is None:
        return sample, {first: (kind, list(sample.inputs.names))}
    return sample, {name: (kind, [name]) for name, (kind, _) in table.inputs.items()}


# --- tensors -----------------------------------------------------------------------------------------------------


def _made(onnx: Any, points: Sequence[Any], asked: Asked) -> dict[str, NDArray[Any]]:
    """Rows for tensors of numbers: open sizes are 16."""
    rng = np.random.default_rng(asked.work.seed_for("import"))
    arrays = {}
    for point in points:
        tensor = point.type.tensor_type
        sizes = [size.dim_value or _OPEN_SIZE for size in tensor.shape.dim]
        dtype = _numpy_type(onnx, point)
        if dtype is object:
            raise UsageError(ErrorCode.USAGE, "got no sample for a graph that takes texts", fix="sample= gives rows")
        shape = (MADE_ROWS, *sizes[1:])
        drawn = rng.normal(size=shape) if np.dtype(dtype).kind == "f" else rng.integers(0, 2, shape)
        arrays[point.name] = drawn.astype(dtype)
    return arrays


def _typed(onnx: Any, points: Sequence[Any], sample: Any) -> dict[str, NDArray[Any]]:
    arrays = arrays_of(sample, [point.name for point in points])
    return {point.name: arrays[point.name].astype(_numpy_type(onnx, point), copy=False) for point in points}


def _numpy_type(onnx: Any, point: Any) -> Any:
    name = onnx.TensorProto.DataType.Name(point.type.tensor_type.elem_type).lower()
    if name not in NUMPY_TYPES:
        raise cannot_hold(f"the input '{printable(point.name)}' is {printable(name)}", "tensors of numbers or texts")
    return NUMPY_TYPES[name]


def _answers(
    onnx: Any, model: Any, arrays: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """What the model says as it came: by onnxruntime, or by onnx's reference where that is too old for it."""
    names = [output.name for output in model.graph.output]
    data = model.SerializeToString()
    try:
        found = run_graph(data, arrays)
        return {name: found[name] for name in names}, ()
    except DataError:
        if all((opset.domain, opset.version) <= ("", OPSET) for opset in model.opset_import):
            raise
    try:
        values = onnx.reference.ReferenceEvaluator(model).run(None, dict(arrays))
    except Exception as error:  # of any operator
        why = printable(" ".join(str(error).split()), 300)
        raise cannot_hold(f"neither onnxruntime nor onnx run the graph as it came: {why}") from error
    note = "onnxruntime is too old for the graph as it came, which onnx's reference was asked about instead"
    return dict(zip(names, map(np.asarray, values), strict=True)), (note,)
