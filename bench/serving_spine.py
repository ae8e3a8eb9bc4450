"""Requests a second of `infer` and `rows` on a boosted tree, against onnxruntime in-process.

One core for the server, one for the load: `python bench/serving_spine.py [--seconds 5] [--connections 32]`.
The load generator is a loop over non-blocking sockets that sends the same bytes again as soon as an answer is there.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from lepton.bundle import Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind

COLUMNS = tuple(ColumnRecord(f"column {number}", Kind.NUMBER) for number in range(14))
TREES, DEPTH = 100, 5
SERVER = (
    "import sys; from pathlib import Path; from lepton.serving import serve;"
    "serve({'tree': Path(sys.argv[1])}, port=0, announce=lambda line: print(line, flush=True))"
)


def write_tree(path: Path) -> None:
    """100 complete trees of depth 5 over 14 columns, about what a booster with 31 leaves gives."""
    random = np.random.default_rng(0)
    inner, leaves = 2**DEPTH - 1, 2**DEPTH
    nodes = np.arange(inner)
    children = {"true": 2 * nodes + 1, "false": 2 * nodes + 2}
    attributes: dict[str, object] = {
        "aggregate_function": 1,
        "n_targets": 1,
        "post_transform": 0,
        "tree_roots": [tree * inner for tree in range(TREES)],
        "nodes_featureids": random.integers(0, len(COLUMNS), TREES * inner).tolist(),
        "nodes_modes": np.zeros(TREES * inner, dtype=np.uint8),
        "nodes_splits": random.normal(size=TREES * inner),
        "leaf_targetids": [0] * (TREES * leaves),
        "leaf_weights": random.normal(size=TREES * leaves),
    }
    for side, child in children.items():
        leafs = (child >= inner).tolist()
        attributes[f"nodes_{side}leafs"] = [int(leaf) for leaf in leafs * TREES]
        attributes[f"nodes_{side}nodeids"] = [
            tree * leaves + node - inner if leaf else tree * inner + node
            for tree in range(TREES)
            for node, leaf in zip(child.tolist(), leafs, strict=True)
        ]
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", len(COLUMNS)])
    raw = builder.node("TreeEnsemble", [numbers], domain="ai.onnx.ml", **attributes)
    builder.output("prediction", builder.node("Squeeze", [raw, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name="tree",
        task="regression",
        inputs=COLUMNS,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(COLUMNS))}))


def calls_in_process(predictor: Predictor, seconds: float) -> float:
    tensors = {"numbers": np.random.default_rng(0).normal(size=(1, len(COLUMNS)))}
    names, session = ["prediction"], predictor._session
    count, ends = 0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for _ in range(100):
            session.run(names, tensors)
        count += 100
    return count / seconds


def requests_a_second(
    port: int, path: str, body: bytes, connections: int, seconds: float
) -> tuple[float, float, float]:
    """Answers a second, and the median and p99 of the time to one, in ms; stops at anything but 200."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(data)
        sent[connection] = time.perf_counter()
    took: list[float] = []
    ends = time.perf_counter() + seconds
    while (now := time.perf_counter()) < ends:
        for key, _ in selector.select(1):
            connection = key.fileobj  # type: ignore[assignment]
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            now = time.perf_counter()
            took.append(now - sent[connection])
            connection.send(data)
            sent[connection] = now
    for connection in sent:
        connection.close()
    median, p99 = np.percentile(took, [50, 99]) * 1e3
    return len(took) / seconds, float(median), float(p99)


def cpu_seconds(process: int) -> float:
    """Time that a process has computed so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 s a form (default)")
    parser.add_argument("--full", dest="seconds", action="store_const", const=30.0, help="30 s a form")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.set_defaults(seconds=5.0)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    row = np.random.default_rng(0).normal(size=len(COLUMNS)).tolist()
    bodies = {
        "infer, one wide tensor": (
            "/v2/models/tree/infer",
            {"inputs": [{"name": "numbers", "datatype": "FP64", "shape": [1, len(COLUMNS)], "data": row}]},
        ),
        "infer, a tensor per column": (
            "/v2/models/tree/infer",
            {
                "inputs": [
                    {"name": column.name, "datatype": "FP64", "shape": [1], "data": [value]}
                    for column, value in zip(COLUMNS, row, strict=True)
                ]
            },
        ),
        "rows": ("/v2/models/tree/rows", [dict(zip((c.name for c in COLUMNS), row, strict=True))]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree.lepton"
        write_tree(path)
        os.sched_setaffinity(0, {cores[0]})
        print(f"in process, onnxruntime: {calls_in_process(open_model(path), given.seconds):,.0f} calls/s")
        server = subprocess.Popen([sys.executable, "-c", SERVER, path], stdout=subprocess.PIPE, text=True)
        try:
            port = urlsplit(server.stdout.readline()).port or 0 if server.stdout else 0
            os.sched_setaffinity(0, {cores[-1]})
            for name, (address, value) in bodies.items():
                body = json.dumps(value).encode()
                before = cpu_seconds(server.pid)
                rate, median, p99 = requests_a_second(port, address, body, given.connections, given.seconds)
                cost = (cpu_seconds(server.pid) - before) / (rate * given.seconds) * 1e6
                print(
                    f"{name}: {rate:,.0f} requests/s, median {median:.2f} ms, p99 {p99:.2f} ms, "
                    f"{cost:.1f} µs of the server's core each ({1e6 / cost:,.0f} requests/s if it had it alone)"
                )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
