"""Functions of JAX, by jax2onnx; as live objects alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.build import OPSET
from lepton.core import ErrorCode, MissingExtraError, UsageError, printable
from lepton.training.importers.base import Asked, Imported, Importer, cannot_hold
from lepton.training.importers.nets import Net, arrays_of, imported_net

__all__ = ["JaxImporter", "jax_graph"]


class JaxImporter(Importer):
    """A function of arrays, jitted or not, whose parameters are in its closure."""

    name: ClassVar[str] = "jax"
    packages = ("jax", "jaxlib", "flax", "equinox")

    @classmethod
    def accepts(cls, model: Any) -> bool:
        """Any callable, where the user says that it is one of JAX."""
        return callable(model)

    def read(self, asked: Asked) -> Imported:
        """Read the function."""
        jax = _jax()
        names = _inputs(asked.model)
        if asked.sample is None:
            raise UsageError(
                ErrorCode.USAGE,
                "got no sample, and a function does not know its inputs",
                wanted="arrays [N, …] that it takes",
                fix="sample=numpy.zeros((4, 28, 28)), or one for each input in a tuple, or name → array",
            )
        arrays = arrays_of(asked.sample, names)
        found = jax.tree_util.tree_leaves(asked.model(*arrays.values()))
        outputs = [f"output_{place}" for place in range(len(found))] if len(found) > 1 else ["output"]
        graph = jax_graph(asked.model, arrays, outputs)
        answers = dict(zip(outputs, map(np.asarray, found), strict=True))
        return imported_net(Net(self.name, jax.__version__, graph, arrays, answers, made=False), asked)


def _inputs(function: Any) -> list[str]:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    found = [each for each in signature(function).parameters.values() if each.kind in kinds]
    return [each.name for each in found if each.default is Parameter.empty]


def jax_graph(function: Callable[..., Any], arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    """The graph of a function of JAX over the named inputs, with any number of rows."""
    jax = _jax()
    try:
        import jax2onnx
    except ImportError:
        raise MissingExtraError("jax2onnx", "", "Importing a function of JAX") from None
    try:
        (rows,) = jax.export.symbolic_shape("rows")
        shapes = [jax.ShapeDtypeStruct((rows, *array.shape[1:]), array.dtype) for array in arrays.values()]
        model = jax2onnx.to_onnx(function, shapes, opset=OPSET, input_names=list(arrays), output_names=list(outputs))
    except Exception as error:  # jax2onnx raises many classes
        why = printable(" ".join(str(error).split()), 300)
        raise cannot_hold(
            f"jax2onnx cannot express the function: {why}", "write it with the operators that it knows"
        ) from error
    data: bytes = model.SerializeToString()
    return data


def _jax() -> Any:
    try:
        import jax
        import jax.export
    except ImportError:
        raise MissingExtraError("jax", "", "Importing a function of JAX") from None
    return jax
