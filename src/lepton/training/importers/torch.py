"""PyTorch's modules and exported programs, by its own exporter; files of them in a confined process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.build import OPSET
from lepton.core import ErrorCode, MissingExtraError, UsageError, printable
from lepton.training.importers.base import Asked, FileHead, Imported, Importer, cannot_hold
from lepton.training.importers.nets import MADE_ROWS, Net, arrays_of, imported_file, imported_net, to_parts, unpack
from lepton.training.quiet_export import quiet_export

__all__ = ["TorchImporter", "export_file", "positional_graph"]

_PT2_MARKS = frozenset({"archive_format", "serialized_exported_program.json"})
_ALTERNATIVE = (
    "in a program and a place that you trust: lepton.import_model(torch.export.load(path)), which runs what it holds"
)


class TorchImporter(Importer):
    """`torch.nn.Module`, `torch.export.ExportedProgram`, and `.pt2` files of the latter."""

    name: ClassVar[str] = "torch"
    packages = ("torch",)
    runs_code = True

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """An archive of `torch.export.save`."""
        return any(name.rpartition("/")[2] in _PT2_MARKS for name in head.members)

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        torch = _torch()
        if asked.path is None:
            return imported_net(_exported(torch, asked.model, asked.sample, asked.work.seed_for("import")), asked)
        return imported_file(self.name, "lepton.training.importers.torch:export_file", asked, alternative=_ALTERNATIVE)


def export_file(path: str, seed: int, parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Load and export a `.pt2`, inside a confined process."""
    torch = _torch()
    torch.set_num_threads(1)
    with quiet_export():
        program = torch.export.load(path)
    return to_parts(_exported(torch, program, unpack(parts), seed))


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401 - missing extras are told at once
        import torch
        import torch.export
        import torch.onnx
    except ImportError as error:
        missing = "onnxscript" if "onnxscript" in str(error) else "torch"
        raise MissingExtraError(missing, "deep", "Importing a model of PyTorch") from None
    return torch


def _exported(torch: Any, model: Any, sample: Any, seed: int) -> Net:
    """The graph of a module or program, and what it says itself."""
    is_program = isinstance(model, torch.export.ExportedProgram)
    if not is_program and not isinstance(model, torch.nn.Module):
        raise UsageError(
            ErrorCode.USAGE, f"got a {type(model).__name__} of torch", wanted="a torch.nn.Module or ExportedProgram"
        )
    names = _program_inputs(model) if is_program else _forward_inputs(model)
    if is_program:
        _check_open(model, names)
    made = sample is None
    if not made:
        arrays = arrays_of(sample, names if is_program or isinstance(sample, Mapping) else names[: _width(sample)])
    elif is_program:
        arrays = _example(model, names, seed)
    else:
        raise UsageError(
            ErrorCode.USAGE,
            f"got no sample for a {type(model).__name__}, and a module does not know its inputs",
            wanted="arrays or tensors [N, …] that it takes",
            fix="sample=torch.randn(4, 3, 32, 32), or one for each input in a tuple, or name → array",
        )
    tensors = _tensors(torch, arrays)
    with _answering(torch, model, is_program) as runnable, quiet_export():
        answers = _answers(torch, runnable, *_called(model, tensors, is_program))
        graph = _graph(torch, model if is_program else runnable, tensors, list(answers), is_program=is_program)
    return Net(
        "torch",
        str(torch.__version__),
        graph,
        {name: tensor.numpy() for name, tensor in tensors.items()},
        answers,
        made,
    )


def _tensors(torch: Any, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The rows as tensors; a batch of one, which would be taken for a size that never changes, as two."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return {n: t.expand(2, *t.shape[1:]).contiguous() if len(t) == 1 else t for n, t in tensors.items()}


def _width(sample: Any) -> int:
    return len(sample) if isinstance(sample, tuple) else 1


def _program_inputs(program: Any) -> list[str]:
    return [str(name) for name in program.graph_signature.user_inputs]


def _check_open(program: Any, names: Sequence[str]) -> None:
    """Refuse a program for one number of rows before it refuses the rows itself."""
    for node in program.graph.nodes:
        shape = tuple(getattr(node.meta.get("val"), "shape", ())) if node.op == "placeholder" else ()
        if node.name in names and shape and isinstance(shape[0], int):
            raise cannot_hold(
                f"the input '{printable(node.name)}' has the fixed shape {list(shape)}, and a bundle takes any number "
                "of rows",
                "export it with an open first size: dynamic_shapes of torch.export",
            )


def _forward_inputs(module: Any) -> list[str]:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return [each.name for each in signature(module.forward).parameters.values() if each.kind in kinds]


def _example(program: Any, names: Sequence[str], seed: int) -> dict[str, NDArray[Any]]:
    """Rows like those that a program was exported with: noise is added to numbers, texts of numbers are drawn again."""
    if program.example_inputs is None:
        raise UsageError(ErrorCode.USAGE, "the program holds no example of its inputs", fix="sample= gives one")
    args, kwargs = program.example_inputs
    rng = np.random.default_rng(seed)
    arrays = {}
    examples = [*args, *kwargs.values()]
    if len(examples) != len(names) or not all(hasattr(value, "detach") for value in examples):
        raise cannot_hold("the program takes other things than tensors", "let forward take tensors, one by one")
    for name, value in zip(names, examples, strict=True):
        array = value.detach().cpu().numpy()
        rows = array[rng.integers(0, len(array), max(MADE_ROWS, len(array)))]
        if rows.dtype.kind == "f":
            rows = (rows + rng.normal(size=rows.shape) * (0.1 + rows.std())).astype(rows.dtype)
        arrays[name] = rows
    return arrays


@contextlib.contextmanager
def _answering(torch: Any, model: Any, is_program: bool) -> Iterator[Any]:
    """The module, as it answers and not as it learns; afterwards it is as it was."""
    if is_program:
        with torch.no_grad():
            yield model.module()
        return
    learning = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module in learning:
            module.training = True


def _called(model: Any, tensors: Mapping[str, Any], is_program: bool) -> tuple[list[Any], dict[str, Any]]:
    """The tensors as the model is called with them."""
    if not is_program:
        return [], dict(tensors)
    args, kwargs = ((), {}) if model.example_inputs is None else model.example_inputs
    values = list(tensors.values())
    first = len(args) if args or kwargs else len(values)
    return values[:first], dict(zip(kwargs, values[first:], strict=True))


def _answers(torch: Any, runnable: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    try:
        found = runnable(*args, **kwargs)
    except Exception as error:  # whatever a module raises
        raise UsageError(
            ErrorCode.USAGE,
            f"the model itself refuses the sample: {printable(' '.join(str(error).split()), 300)}",
            wanted="tensors as it takes them, with any number of rows",
        ) from error
    leaves = found
    if isinstance(found, Mapping):
        named = dict(found)
    elif isinstance(found, tuple | list):
        named = {f"output_{place}": value for place, value in enumerate(leaves)}
    else:
        named = {"output": found}
    if not all(isinstance(value, torch.Tensor) for value in named.values()):
        raise cannot_hold("the model gives more than tensors", "let forward give tensors, a tuple or a dict of them")
    return {str(name): value.detach().cpu().numpy() for name, value in named.items()}


def positional_graph(module: Any, arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    """The graph of a module that is called with tensors one after the other."""
    torch = _torch()
    tensors = _tensors(torch, arrays)
    with quiet_export(), torch.no_grad():
        return _graph(torch, module, tensors, outputs, is_program=False, positional=True)


def _graph(
    torch: Any,
    model: Any,
    tensors: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    is_program: bool,
    positional: bool = False,
) -> bytes:
    given = {"input_names": [*tensors], "output_names": list(outputs), "opset_version": OPSET, "dynamo": True}
    try:
        if is_program:
            program = torch.onnx.export(model, **given, verbose=False)
        else:
            rows = torch.export.Dim("rows", min=1)
            shapes: Any = (({0: rows},) * len(tensors),) if positional else {name: {0: rows} for name in tensors}
            args, kwargs = (tuple(tensors.values()), {}) if positional else ((), dict(tensors))
            program = torch.onnx.export(model, args, kwargs=kwargs, dynamic_shapes=shapes, **given, verbose=False)
        data: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # torch's exporter raises many classes
        text = str(error)
        why = printable(" ".join((text.rpartition("Caused by:")[2] or text).split()), 400)
        raise cannot_hold(
            f"PyTorch cannot export the model: {type(error).__name__}: {why}",
            "control flow by values goes through torch.cond; sizes must not depend on values",
        ) from error
    return data
