"""TensorFlow's SavedModels, by tf2onnx, in a confined process: their graphs can read and write files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from lepton.bundle.build import OPSET
from lepton.core import MissingExtraError, printable
from lepton.training.importers.base import Asked, FileHead, Imported, Importer, cannot_hold
from lepton.training.importers.nets import Net, arrays_of, imported_file, made_arrays, to_parts, unpack

__all__ = ["TensorflowImporter", "export_folder", "tensorflow_graph"]

_OPSET = min(OPSET, 18)  # the newest that tf2onnx writes
_SIGNATURE = "serving_default"
_ALTERNATIVE = "tf2onnx.convert in a place that you trust, and lepton.import_model of the .onnx file that it writes"


class TensorflowImporter(Importer):
    """Folders of `tf.saved_model.save` and `model.export`."""

    name: ClassVar[str] = "tensorflow"
    runs_code = True

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """A folder with a saved_model.pb."""
        return not head.start and "saved_model.pb" in head.members

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        if asked.path is None:
            raise cannot_hold("a live object of TensorFlow was given", "save it: tf.saved_model.save(model, folder)")
        return imported_file(
            self.name, "lepton.training.importers.tensorflow:export_folder", asked, alternative=_ALTERNATIVE
        )


def export_folder(path: str, seed: int, parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Load and export a SavedModel, inside a confined process."""
    tensorflow = _tensorflow()
    loaded = tensorflow.saved_model.load(path)
    if _SIGNATURE not in loaded.signatures:
        known = ", ".join(map(str, loaded.signatures)) or "none"
        raise cannot_hold(f"the signatures of the model are: {printable(known)}", f"save it with {_SIGNATURE}")
    function = loaded.signatures[_SIGNATURE]
    wanted = dict(sorted(function.structured_input_signature[1].items()))
    sample = unpack(parts)
    if sample is None:
        arrays = made_arrays(
            {name: (spec.shape.as_list()[1:], spec.dtype.as_numpy_dtype) for name, spec in wanted.items()}, seed
        )
    else:
        given = arrays_of(sample, list(wanted))
        arrays = {name: given[name].astype(spec.dtype.as_numpy_dtype) for name, spec in wanted.items()}
    found = function(**{name: tensorflow.constant(array) for name, array in arrays.items()})
    outputs = sorted(found)
    graph = tensorflow_graph(
        lambda *values: [function(**dict(zip(wanted, values, strict=True)))[name] for name in outputs], arrays
    )
    answers = {name: found[name].numpy() for name in outputs}
    return to_parts(Net("tensorflow", tensorflow.__version__, graph, arrays, answers, sample is None))


def tensorflow_graph(function: Callable[..., Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The graph of a function of TensorFlow over the named inputs, with any number of rows."""
    tensorflow = _tensorflow()
    try:
        import tf2onnx
    except ImportError:
        raise MissingExtraError("tf2onnx", "", "Importing a model of TensorFlow") from None
    specs = [tensorflow.TensorSpec((None, *array.shape[1:]), array.dtype, name=name) for name, array in arrays.items()]
    try:
        model, _ = tf2onnx.convert.from_function(
            tensorflow.function(function, input_signature=specs), input_signature=specs, opset=_OPSET
        )
    except Exception as error:  # tf2onnx raises many classes
        why = printable(" ".join(str(error).split()), 300)
        raise cannot_hold(
            f"tf2onnx cannot express the model: {why}", "export what stands before that operator"
        ) from error
    names = {f"{name}:0": name for name in arrays} | {name: name for name in arrays}
    return _renamed(model, names, list(arrays))


def _renamed(model: Any, names: Mapping[str, str], order: list[str]) -> bytes:
    """The model with its inputs called as they were asked for, in that order."""
    graph = model.graph
    for point in graph.input:
        own = names[point.name]
        for node in graph.node:
            node.input[:] = [own if name == point.name else name for name in node.input]
        point.name = own
    points = {point.name: type(point).FromString(point.SerializeToString()) for point in graph.input}
    del graph.input[:]
    graph.input.extend(points[name] for name in order)
    data: bytes = model.SerializeToString()
    return data


def _tensorflow() -> Any:
    try:
        import tensorflow
    except ImportError:
        raise MissingExtraError("tensorflow-cpu", "", "Importing a model of TensorFlow") from None
    return tensorflow
