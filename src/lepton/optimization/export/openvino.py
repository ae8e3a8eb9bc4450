"""OpenVINO's own form of a graph, made and asked by OpenVINO, here or in an environment of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from lepton.core import BundleError, ErrorCode, Work, printable
from lepton.optimization.export.base import Checked, Exporter, Options, Subject, cannot_express
from lepton.optimization.export.children import ask, need, pack, unpack
from lepton.optimization.lean.graphs import parse
from lepton.store import scratch_folder, write_scratch

__all__ = ["OpenVinoExporter"]

_UNKNOWN = re.compile(r"(?:ai\.onnx(?:\.ml)?|org\.openvinotoolkit)\.([A-Za-z0-9]+)")
_MAKE = """
import openvino as ov
model = ov.convert_model("model.onnx")
ov.save_model(model, "model.xml", compress_to_fp16=False)
print(json.dumps({"version": ov.__version__}))
"""
_ASK = """
import openvino as ov
folder = sys.argv[1]
core = ov.Core()
settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
compiled = core.compile_model(folder + "/model.xml", "CPU", settings)
rows = rows_of("rows.npz")
names = [sorted(output.names)[0] if len(output.names) == 1 else next(n for n in sys.argv[2:] if n in output.names)
         for output in compiled.outputs]
answers = compiled(rows)
np.savez("answers.npz", **{name: answers[place] for place, name in enumerate(names)})
count = min(len(next(iter(rows.values()))), 64)
each = [{name: tensor[row:row + 1] for name, tensor in rows.items()} for row in range(count)]
print(json.dumps({"version": ov.__version__, "seconds": seconds_of(lambda row: compiled(each[row]), count)}))
"""


class OpenVinoExporter(Exporter):
    """OpenVINO: `model.xml` and `model.bin`, in the precision of the model."""

    name: ClassVar[str] = "openvino"
    tolerance: ClassVar[float] = 1e-4
    takes: ClassVar[frozenset[str]] = frozenset({"python"})

    def available(self, options: Options) -> None:
        """See `Exporter.available`."""
        need(options.python, {"openvino": "openvino"}, "An export to OpenVINO")

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        with scratch_folder(work.resources.scratch) as scratch:
            write_scratch(scratch / "model.onnx", [subject.graph])
            found, said = ask(options.python, _MAKE, scratch, [], work)
            if not found:
                raise _refused(subject, said)
            for name in ("model.xml", "model.bin"):
                write_scratch(folder / name, [(scratch / name).read_bytes()])

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """See `Exporter.check`."""
        with scratch_folder(work.resources.scratch) as scratch:
            write_scratch(scratch / "rows.npz", [pack(subject.tensors)])
            words = [str(folder.absolute()), *subject.answers]
            found, said = ask(options.python, _ASK, scratch, words, work)
            if not found:
                raise _refused(subject, said)
            answers = unpack(scratch / "answers.npz", subject.answers)
        return Checked(f"openvino {found['version'].split('-')[0]}", answers, found["seconds"])


def _refused(subject: Subject, said: str) -> BundleError:
    """What OpenVINO's message says, with the operators that it names."""
    from_graph = _operators(subject)
    named = sorted({name for name in _UNKNOWN.findall(said) if name in from_graph})
    if named:
        return cannot_express("the operators " + ", ".join(named), "OpenVINO", "export to onnx, triton or c-header")
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(("  File", "Traceback"))]
    told = printable(" ".join(lines[-3:]), 300)
    return BundleError(ErrorCode.GRAPH_REFUSED, f"OpenVINO refuses the graph: {told}", fix="export to onnx or triton")


def _operators(subject: Subject) -> set[str]:
    model: Any = parse(subject.graph)
    return {node.op_type for node in model.graph.node}
