"""Keras's models on PyTorch, TensorFlow or JAX; `.keras` files in a confined process, without their Lambda layers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray

from lepton.core import ErrorCode, MissingExtraError, UsageError
from lepton.training.importers.base import Asked, FileHead, Imported, Importer, cannot_hold
from lepton.training.importers.jax import jax_graph
from lepton.training.importers.nets import Net, arrays_of, imported_file, imported_net, made_arrays, to_parts, unpack
from lepton.training.importers.tensorflow import tensorflow_graph
from lepton.training.importers.torch import positional_graph

__all__ = ["KerasImporter", "export_file"]

_MEMBERS = frozenset({"config.json", "metadata.json"})
_ALTERNATIVE = (
    "in a program and a place that you trust: lepton.import_model(keras.saving.load_model(path)), "
    "which runs what the file holds"
)


class KerasImporter(Importer):
    """`keras.Model` of Keras 3, and `.keras` files."""

    name: ClassVar[str] = "keras"
    packages = ("keras",)
    runs_code = True

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """An archive with the two JSON files of Keras 3."""
        return {*head.members} >= _MEMBERS

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        if asked.path is None:
            return imported_net(_exported(_keras(), asked.model, asked.sample, asked.work.seed_for("import")), asked)
        backend = os.environ.get("KERAS_BACKEND", "torch")
        return imported_file(
            self.name, "lepton.training.importers.keras:export_file", asked, alternative=_ALTERNATIVE, backend=backend
        )


def export_file(
    path: str, seed: int, backend: str, parts: Mapping[str, bytes]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Load and export a `.keras` file, inside a confined process."""
    os.environ["KERAS_BACKEND"] = backend
    keras = _keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError) as error:
        if "Lambda" not in str(error) and "safe_mode" not in str(error):
            raise
        raise cannot_hold(
            "the file holds a Lambda layer, which is code of Python in bytes",
            "write the layer as a class, or import the live model: lepton.import_model(model)",
        ) from None
    return to_parts(_exported(keras, model, unpack(parts), seed))


def _keras() -> Any:
    try:
        import keras
    except ImportError:
        raise MissingExtraError("keras", "", "Importing a model of Keras") from None
    return keras


def _exported(keras: Any, model: Any, sample: Any, seed: int) -> Net:
    if not isinstance(model, keras.Model):
        raise UsageError(ErrorCode.USAGE, f"got a {type(model).__name__} of Keras", wanted="a keras.Model")
    if not model.built or not model.inputs:
        raise cannot_hold("the model was never built, so its inputs are not known", "call it once, or give it an Input")
    names = [str(point.name).partition(":")[0] for point in model.inputs]
    made = sample is None
    if made:
        wanted = {name: (point.shape[1:], point.dtype) for name, point in zip(names, model.inputs, strict=True)}
        arrays = made_arrays(wanted, seed)
    else:
        given = arrays_of(sample, names)
        arrays = {n: given[n].astype(p.dtype, copy=False) for n, p in zip(names, model.inputs, strict=True)}
    writers = {"torch": _by_torch, "tensorflow": _by_tensorflow, "jax": _by_jax}
    backend = keras.backend.backend()
    if backend not in writers:
        raise cannot_hold(f"Keras runs on {backend}", "one of " + ", ".join(writers) + " can be imported")
    found = model(list(arrays.values()) if len(arrays) > 1 else next(iter(arrays.values())), training=False)
    named = _named(found, model)
    graph = writers[backend](model, arrays, list(named))
    answers = {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}
    return Net("keras", f"{keras.__version__} on {backend}", graph, arrays, answers, made)


def _named(found: Any, model: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return {str(name): value for name, value in found.items()}
    several = list(found) if isinstance(found, tuple | list) else [found]
    names = list(getattr(model, "output_names", ()))  # models that are plain sequences have none
    if len({*names}) != len(several):
        names = [f"output_{place}" for place in range(len(several))] if len(several) > 1 else ["output"]
    return dict(zip(map(str, names), several, strict=True))


def _called(model: Any, values: Sequence[Any]) -> list[Any]:
    found = model(list(values) if len(values) > 1 else values[0], training=False)
    if isinstance(found, Mapping):
        return list(found.values())
    return list(found) if isinstance(found, tuple | list) else [found]


def _by_torch(model: Any, arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "deep", "Importing a model of Keras on torch") from None

    class Wrapped(torch.nn.Module):  # type: ignore[misc]  # of an optional library
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return tuple(_called(self.model, values))

    return positional_graph(Wrapped().eval(), arrays, outputs)


def _by_tensorflow(model: Any, arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    return tensorflow_graph(lambda *values: _called(model, values), arrays)


def _by_jax(model: Any, arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    return jax_graph(lambda *values: tuple(_called(model, values)), arrays, outputs)
