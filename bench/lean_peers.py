"""Whole numbers and palettes against onnxruntime's own quantisation and NNCF's, on the same networks and rows.

    python bench/lean_peers.py --quick        # dense layers and a residual network on MNIST: about six minutes
    python bench/lean_peers.py --full         # three times the blocks of timing

The originals are those of `bench/lean_nets.py`, trained where they are not kept yet. All calibrate with the same 256
rows and train nothing. Neural Compressor 3.10 reads no ONNX any more, so it is not among them. Sizes are those of the
graph; times are of one row on one thread, in turns, processor time.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import lean_nets
import numpy as np
import onnx
import polars as pl
from onnxruntime import quantization
from peers.environments import interpreter

from lepton.bundle import machine, open_model, read_bundle
from lepton.core import Resources, Work
from lepton.evaluation import metric
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.registry import steps
from lepton.optimization.lean.rows import Rows

PEER = ["nncf==3.4.0", "onnx==1.23.2", "onnxruntime==1.31.1"]
OURS = ("half-weights", "byte-weights", "static-int8", "static-palette")
CALIBRATION, TEST = 256, 10_000
LAYERS = [
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Relu",
    "MaxPool",
    "GlobalAveragePool",
]  # Softmax in double breaks its writer


class Reader(quantization.CalibrationDataReader):
    """Rows one at a time, as onnxruntime's calibration asks for them."""

    def __init__(self, name, rows):
        self._rows = iter([{name: rows[row : row + 1]} for row in range(len(rows))])

    def get_next(self):
        """The next row."""
        return next(self._rows, None)


def ours(draft, rows):
    """Name → graph, seconds: the mildest and the strongest setting of each step, and those between of palettes."""
    name = draft.manifest.tensors[0].name
    with draft.opened(Resources(cpus=1)) as model:
        given = model.run({name: rows})
        labels = tuple(model.labels)
    predicted = np.array([labels.index(each) for each in given["prediction"]])
    answers = Answers(draft.manifest.task, "digit", labels, predicted, predicted, given["probabilities"], None, None,
                      pl.DataFrame())  # fmt: skip
    held = Rows({name: rows}, answers, False)
    subject = Subject(draft, held, held, metric("accuracy", draft.manifest.task))
    for step in steps():
        if step.name not in OURS:
            continue
        for setting in step.settings(subject, draft):
            if step.name == "static-palette" or setting.values.get("kept", 0) == 0:
                start = time.monotonic()
                made = step.apply(subject, draft, setting, Work(resources=Resources(cpus=1)))
                yield f"lepton {step.name}: {setting.text}", made.graph, time.monotonic() - start


def theirs(graph, name, rows, folder):
    """The same of onnxruntime's quantisation and NNCF."""
    source, target = folder / "source.onnx", folder / "target.onnx"
    source.write_bytes(graph)
    methods = quantization.CalibrationMethod
    for told, method in (("min-max", methods.MinMax), ("entropy", methods.Entropy), ("percentile", methods.Percentile)):
        start = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            quantization.quantize_static(
                source, target, Reader(name, rows), per_channel=True, calibrate_method=method,
                op_types_to_quantize=LAYERS,
                activation_type=quantization.QuantType.QUInt8,
            )  # fmt: skip
        yield f"onnxruntime static, {told}", target.read_bytes(), time.monotonic() - start
    start = time.monotonic()
    quantization.quantize_dynamic(source, target, per_channel=True, op_types_to_quantize=LAYERS)
    yield "onnxruntime dynamic (depends on the batch)", target.read_bytes(), time.monotonic() - start
    python, why = interpreter("lean", PEER)
    if python is None:
        print(f"NNCF is left out: {why}")
        return
    np.savez(folder / "rows.npz", **{name: rows})
    source.write_bytes(_scores(graph))  # its passes stumble over a Cast that makes an output
    start = time.monotonic()
    peer = Path(__file__).parent / "peers" / "lean_peer.py"
    done = subprocess.run(
        [str(python), str(peer), str(source), str(folder / "rows.npz"), str(target)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(f"NNCF failed: {done.stderr.strip()[-300:]}")
        return
    yield "NNCF after training", target.read_bytes(), time.monotonic() - start


def _scores(graph):
    """The graph without what names the classes."""
    model = onnx.load_from_string(graph)
    made, last = {name: node for node in model.graph.node for name in node.output}, "probabilities"
    while made[last].op_type in ("Cast", "Identity"):
        last = made[last].input[0]
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.DOUBLE, ["N", 10]))
    needed, nodes = {last}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.insert(0, node)
    bare = onnx.helper.make_graph(
        nodes, "scores", model.graph.input, model.graph.output, [t for t in model.graph.initializer if t.name in needed]
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    return onnx.helper.make_model(bare, ir_version=10, opset_imports=opsets).SerializeToString()


def answered(session, given):
    """Positions of labels."""
    if "prediction" not in {each.name for each in session.get_outputs()}:
        return session.run(None, given)[0].argmax(axis=1)
    return session.run(["prediction"], given)[0]


def timed(sessions, given, blocks):
    """Median microseconds of each, in turns."""
    times = [[] for _ in sessions]
    for _ in range(blocks):
        for session, found in zip(sessions, times, strict=True):
            answered(session, given)
            start = time.thread_time()
            for _ in range(50):
                answered(session, given)
            found.append((time.thread_time() - start) / 50)
    return [1e6 * statistics.median(found) for found in times]


def compare(name, blocks):
    """All candidates of one network, as rows."""
    path = lean_nets.original(name)
    bundle = read_bundle(path)
    draft, data = Draft.of(bundle), lean_nets.digits()
    tensor, labels = bundle.manifest.tensors[0].name, tuple(open_model(bundle).labels)
    rows, test = (data[part][:, :, :, None] for part in ("x_train", "x_test"))
    rows, truth = rows[-CALIBRATION:], data["y_test"][:TEST]
    found = [("original", draft.graph, 0.0), *ours(draft, rows)]
    with tempfile.TemporaryDirectory() as folder:
        found += theirs(draft.graph, tensor, rows, Path(folder))
    sessions = [session_of(graph, 1) for _, graph, _ in found]
    speeds = timed(sessions, {tensor: test[:1]}, blocks)
    table = []
    for (told, graph, seconds), session, speed in zip(found, sessions, speeds, strict=True):
        answers = np.concatenate(
            [answered(session, {tensor: test[start : start + 500]}) for start in range(0, TEST, 500)]
        )
        right = float(np.mean(np.array([labels.index(each) for each in answers]) == truth))
        table.append({
            "net": name, "what": told, "bytes": len(graph), "smaller": round(len(draft.graph) / len(graph), 2),
            "accuracy": right, "microseconds": round(speed, 1), "faster": round(speeds[0] / speed, 2),
            "seconds": round(seconds, 1),
            "domains": sorted({node.domain for node in onnx.load_from_string(graph).graph.node} - {""}),
        })  # fmt: skip
        print("{net:8} {what:72} ÷{smaller:<6} {accuracy:.4f} {microseconds:8.1f} µs ×{faster}".format(**table[-1]))
    return table


def main():
    """Compare, and keep the figures in bench/out/lean-peers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    blocks = 90 if parser.parse_args().full else 30
    logging.disable(logging.WARNING)
    table = [row for name in ("mlp", "resnet") for row in compare(name, blocks)]
    out = Path("bench/out/lean-peers.json")
    out.write_text(json.dumps({"machine": machine(), "rows": table}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
