"""The graph by itself, with what feeds it and an example that needs numpy and onnxruntime alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TableInputs, TensorInputs
from lepton.core import BundleError, ErrorCode, MissingExtraError, Work, printable
from lepton.optimization.export.base import Checked, Exporter, Options, Subject, cannot_express, run_alone
from lepton.optimization.export.children import pack
from lepton.store import write_scratch

__all__ = ["OnnxExporter", "feeding", "lowered"]

_EXAMPLES = 3
_OLDEST_OPSET = 7
_EXAMPLE = '''"""Ask model.onnx with numpy and onnxruntime alone: prints the answers to example.npz as JSON."""

import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
given = np.load("example.npz")
# Texts are arrays of Python strings. A missing number is NaN and a missing text is "": inputs.json says which is which.
tensors = {name: given[name].astype(object) if given[name].dtype.kind == "U" else given[name] for name in given.files}
names = [output.name for output in session.get_outputs()]
answers = dict(zip(names, session.run(names, tensors)))
print(json.dumps({name: answer.tolist() for name, answer in answers.items()}))
'''


class OnnxExporter(Exporter):
    """ONNX: `model.onnx`, `inputs.json`, `example.py` and its rows."""

    name: ClassVar[str] = "onnx"
    tolerance: ClassVar[float] = 1e-6
    takes: ClassVar[frozenset[str]] = frozenset({"opset"})

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        graph = subject.graph if options.opset is None else lowered(subject.graph, options.opset)
        write_scratch(folder / "model.onnx", [graph])
        write_scratch(folder / "inputs.json", [json.dumps(feeding(subject), indent=2, ensure_ascii=False).encode()])
        write_scratch(folder / "example.npz", [pack(_examples(subject))])
        write_scratch(folder / "example.py", [_EXAMPLE.encode()])

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """See `Exporter.check`."""
        checked = run_alone(folder / "model.onnx", subject)
        _check_example(subject, folder)
        return checked


def feeding(subject: Subject) -> dict[str, Any]:
    """How a stranger feeds the graph: its tensors, and what their columns mean."""
    manifest, inputs = subject.manifest, subject.predictor.inputs
    tensors = {
        name: {"dtype": "string" if tensor.dtype == object else str(tensor.dtype), "shape": ["N", *tensor.shape[1:]]}
        for name, tensor in subject.tensors.items()
    }
    told: dict[str, Any] = {
        "model": manifest.name,
        "model_id": subject.predictor.model_id,
        "task": manifest.task,
        "tensors": tensors,
        "outputs": [
            {"name": output.name, "dtype": output.dtype, "shape": list(output.shape)} for output in manifest.outputs
        ],
        "labels": None if manifest.labels is None else list(manifest.labels),
        "codecs": dict(manifest.codecs),
    }
    if isinstance(inputs, TableInputs):
        told["columns"] = json.loads(inputs.metadata())
        told["rules"] = [
            "numbers: missing is NaN; booleans are 0 and 1; datetimes are microseconds since 1970-01-01 UTC",
            'strings: texts in Unicode NFC; missing is "", never None',
        ]
    elif isinstance(inputs, TensorInputs) and manifest.codecs:
        told["rules"] = ["files and texts are decoded before the graph, as the codecs say; see their specification"]
    return told


def lowered(graph: bytes, opset: int) -> bytes:
    """The graph for an older opset of ONNX, as its own converter makes it.

    Raises:
        MissingExtraError: onnx is not installed.
        BundleError: GRAPH_REFUSED: the converter cannot, or the opset is none.
    """
    try:
        import onnx
        import onnx.version_converter
    except ImportError:
        raise MissingExtraError("onnx", "train", "Another opset") from None
    model = onnx.load_from_string(graph)
    current = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if not _OLDEST_OPSET <= opset <= current:
        raise BundleError(
            ErrorCode.GRAPH_REFUSED, f"got the opset {opset}", wanted=f"{_OLDEST_OPSET} to {current}, the model's own"
        )
    metadata = {each.key: each.value for each in model.metadata_props}
    try:
        made = onnx.version_converter.convert_version(model, opset)
        domains = {node.domain for node in made.graph.node} | {""}
        used = [each for each in made.opset_import if each.domain in domains]
        del made.opset_import[:]
        made.opset_import.extend(used)
        made.ir_version = onnx.helper.find_min_ir_version_for(list(made.opset_import), ignore_unknown=True)
        onnx.helper.set_model_props(made, metadata)
        onnx.checker.check_model(made)
    except Exception as error:  # the converter's errors have no common class
        why = printable(" ".join(str(error).split()).rpartition(" failed: ")[2], 300)
        raise cannot_express(f"the model ({why})", f"opset {opset}", "ask for a newer opset") from error
    lower: bytes = made.SerializeToString(deterministic=True)
    return lower


def _examples(subject: Subject) -> dict[str, NDArray[Any]]:
    few = _EXAMPLES if isinstance(subject.predictor.inputs, TableInputs) else 1
    return {name: tensor[:few] for name, tensor in subject.tensors.items()}


def _check_example(subject: Subject, folder: Path) -> None:
    """Run the example as a stranger does, in a process that sees nothing of this one."""
    ran = subprocess.run(
        [sys.executable, "-I", "example.py"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    if ran.returncode:
        said = (ran.stderr.strip() or f"it ended with {ran.returncode}").splitlines()[-1]
        came = f"example.py fails: {printable(said)}"
        raise BundleError(ErrorCode.CHECK_FAILED, came)
    answers = json.loads(ran.stdout)
    for name, wanted in subject.answers.items():
        given = np.array(answers[name], dtype=object if wanted.dtype == object else wanted.dtype)
        wanted = wanted[: len(given)]
        if wanted.dtype.kind == "f":
            same = np.allclose(given, wanted, rtol=1e-6, atol=1e-9, equal_nan=True)
        else:
            same = bool((given == wanted).all())
        if not same:
            raise BundleError(ErrorCode.CHECK_FAILED, f"example.py answers otherwise than the model: {name} differs")
