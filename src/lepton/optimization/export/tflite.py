"""TensorFlow Lite by onnx2tf, made and asked where both are installed, here or in an environment of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from lepton.core import Work, printable
from lepton.optimization.export.base import Checked, Exporter, Options, Subject, cannot_express
from lepton.optimization.export.children import ask, need, pack, unpack
from lepton.store import scratch_folder, write_scratch

__all__ = ["TfliteExporter"]

_RUNTIME = "TensorFlow Lite"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LAID_OUT = (3, 5)  # dimensions of inputs that onnx2tf would turn around, were it not told to leave them
_MAKE = """
import onnx2tf, os, tensorflow
told = json.loads(sys.argv[1])
rows = rows_of("row.npz")
for name, row in rows.items():
    np.save(name + ".npy", row)
# With rows of its own to look at, onnx2tf fetches none.
options = {"custom_input_op_name_np_data_path": [[name, name + ".npy"] for name in rows]}
if told["kept"]:
    options["keep_ncw_or_nchw_or_ncdhw_input_names"] = told["kept"]
onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path="made", batch_size=1, non_verbose=True,
                copy_onnx_input_output_names_to_tflite=True, **options)
os.rename("made/model_float32.tflite", "model.tflite")
print(json.dumps({"version": tensorflow.__version__}))
"""
_ASK = """
import tensorflow
rows = rows_of("rows.npz")
runner = tensorflow.lite.Interpreter(model_path=sys.argv[1], num_threads=1).get_signature_runner()
count = len(next(iter(rows.values())))
call = lambda row: runner(**{name: tensor[row:row + 1] for name, tensor in rows.items()})
parts = [call(row) for row in range(count)]
np.savez("answers.npz", **{name: np.concatenate([part[name].copy() for part in parts]) for name in parts[0]})
print(json.dumps({"version": tensorflow.__version__, "seconds": seconds_of(call, min(count, 64))}))
"""


class TfliteExporter(Exporter):
    """TensorFlow Lite: `model.tflite`, one row a call, in single precision."""

    name: ClassVar[str] = "tflite"
    tolerance: ClassVar[float] = 1e-4
    takes: ClassVar[frozenset[str]] = frozenset({"python"})

    def available(self, options: Options) -> None:
        """See `Exporter.available`."""
        tools = {"onnx2tf": "onnx2tf", "tensorflow": "tensorflow", "tf_keras": "tf-keras"}
        need(options.python, tools, f"An export to {_RUNTIME}")

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        row = subject.row(0)
        if any(tensor.dtype == object for tensor in row.values()):
            raise cannot_express("inputs of texts", _RUNTIME, "export to c-header or onnx")
        kept = [name for name, tensor in row.items() if _LAID_OUT[0] <= tensor.ndim <= _LAID_OUT[1]]
        with scratch_folder(work.resources.scratch) as scratch:
            write_scratch(scratch / "model.onnx", [subject.graph])
            write_scratch(scratch / "row.npz", [pack({name: np.zeros_like(tensor) for name, tensor in row.items()})])
            found, said = ask(options.python, _MAKE, scratch, [json.dumps({"kept": kept})], work)
            if not found:
                raise cannot_express(f"the graph ({_told(said)})", _RUNTIME, "export to onnx or openvino")
            write_scratch(folder / "model.tflite", [(scratch / "model.tflite").read_bytes()])

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """See `Exporter.check`."""
        with scratch_folder(work.resources.scratch) as scratch:
            write_scratch(scratch / "rows.npz", [pack(subject.tensors)])
            found, said = ask(options.python, _ASK, scratch, [str(folder.absolute() / "model.tflite")], work)
            if not found:
                raise cannot_express(f"the graph ({_told(said)})", _RUNTIME, "export to onnx or openvino")
            answers = unpack(scratch / "answers.npz", subject.answers)
        return Checked(f"tensorflow {found['version']}, Lite", answers, found["seconds"])


def _told(said: str) -> str:
    """The lines that name what cannot be converted, else the last one."""
    plain = _COLOUR.sub("", said).replace("ERROR: ", "")
    lines = [line for line in map(str.strip, plain.splitlines()) if line]
    named = [
        line for line in lines if "onnx_op_name" in line or "not yet implemented" in line or "is not supported" in line
    ]
    return printable(" ".join(dict.fromkeys([*named[:2], *lines[-1:]])), 300)
