"""Binary tensors, batches and overload of `lepton serve`, beside servers that people use, on the same models and cores.

    python bench/serving.py --quick            # under 4 minutes; peers that cannot be installed are left out, and said
    python bench/serving.py --seconds 1 --no-peers

One core for the server, one for the load, loopback, keep-alive. `tree` is a boosted tree of 14 columns, 100 trees;
`mlp` has three matrices of 8 MiB in double, so that a row takes as long as reading its weights does;
`resnet` takes about 4 ms a row, in batches or not. What comes back is compared with onnxruntime in-process before
anything is measured. Peers have environments of their own, made with uv in bench/out/peers and kept; each answers one
row of JSON, in the form that its own documentation shows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from peers.environments import interpreter
from serving_spine import COLUMNS, cpu_seconds, write_tree

from lepton.bundle import Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind

HERE = Path(__file__).parent
ENVIRONMENTS = {  # of each peer: what is installed
    "fastapi": ["fastapi", "uvicorn[standard]", "onnxruntime", "numpy"],
    "litserve": ["litserve", "onnxruntime", "numpy"],
    "mlserver": ["mlserver", "onnxruntime", "numpy"],
}
SERVER = """
import sys
from pathlib import Path
from lepton.serving import Limits, serve
models = {Path(path).stem: Path(path) for path in sys.argv[2:]}
serve(models, port=0, limits=Limits(max_batch=int(sys.argv[1])), announce=lambda line: print(line, flush=True))
"""
MLP_WIDTH, MLP_LAYERS = 1024, 3
TOLD: dict[str, Any] = {"capture_output": True, "text": True}


@dataclass
class Load:
    """What a load was answered with; times in milliseconds."""

    rate: float
    median: float
    p99: float
    cost: float = 0.0
    refused: int = 0
    refused_p99: float = 0.0

    def __str__(self) -> str:
        cost = f", {self.cost:.1f} µs of the server's core each" if self.cost else ""
        return f"{self.rate:,.0f} requests/s, median {self.median:.2f} ms, p99 {self.p99:.2f} ms{cost}"


def write_mlp(path: Path) -> None:
    """Three matrices of 1,024 × 1,024 doubles with ReLU between them."""
    random = np.random.default_rng(0)
    columns = tuple(ColumnRecord(f"column {number}", Kind.NUMBER) for number in range(MLP_WIDTH))
    builder = GraphBuilder()
    value = numbers = builder.input("numbers", "double", ["N", MLP_WIDTH])
    for _ in range(MLP_LAYERS):
        weights = builder.constant(random.normal(size=(MLP_WIDTH, MLP_WIDTH)) / np.sqrt(MLP_WIDTH))
        value = builder.node("Relu", [builder.node("MatMul", [value, weights])])
    total = builder.node("MatMul", [value, builder.constant(np.full((MLP_WIDTH, 1), 1 / MLP_WIDTH))])
    assert numbers == "numbers"
    builder.output("prediction", builder.node("Squeeze", [total, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name="mlp", task="regression", inputs=columns, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))


def write_net(path: Path, name: str, shape: tuple[int, int, int], layers: list[tuple[int, int]], width: int) -> None:
    """Convolutions of 3 × 3 (channels, stride) with ReLU, a dense layer of `width`, one number."""
    random = np.random.default_rng(0)
    columns = tuple(ColumnRecord(f"pixel {number}", Kind.NUMBER) for number in range(math.prod(shape)))
    builder = GraphBuilder()
    single = builder.node("Cast", [builder.input("numbers", "double", ["N", len(columns)])], to=1)
    value = builder.node("Reshape", [single, builder.constant(np.array([-1, *shape]))])
    channels, size = shape[0], shape[1]
    for out, stride in layers:
        kernel = random.normal(size=(out, channels, 3, 3)) / np.sqrt(9 * channels)
        made = builder.node(
            "Conv", [value, builder.constant(kernel.astype(np.float32))], pads=[1, 1, 1, 1], strides=[stride, stride]
        )
        if out == channels and stride == 1:
            made = builder.node("Add", [made, value])
        value, channels, size = builder.node("Relu", [made]), out, -(-size // stride)
    if width:
        value = builder.node("Reshape", [value, builder.constant(np.array([-1, channels * size * size]))])
        dense = random.normal(size=(channels * size * size, width)) / np.sqrt(channels * size * size)
        value = builder.node("Relu", [builder.node("MatMul", [value, builder.constant(dense.astype(np.float32))])])
        value = builder.node("ReduceMean", [value, builder.constant(np.array([1]))], keepdims=0)
    else:
        value = builder.node("ReduceMean", [value, builder.constant(np.array([1, 2, 3]))], keepdims=0)
    builder.output("prediction", builder.node("Cast", [value], to=11), "double", ["N"])
    manifest = Manifest(
        name=name, task="regression", inputs=columns, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))


def write_resnet(path: Path) -> None:
    """Pictures of 32 × 32 × 3 through 18 convolutions of 48 channels, most with what came in added: about 4 ms."""
    write_net(path, "resnet", (3, 32, 32), [(48, 1)] * 18, 0)


def json_request(path: str, value: Any) -> bytes:
    body = json.dumps(value).encode()
    return head(path, len(body), "Content-Type: application/json\r\n") + body


def infer_request(model: str, values: NDArray[np.float64]) -> bytes:
    tensor = {"name": "numbers", "datatype": "FP64", "shape": list(values.shape), "data": values.ravel().tolist()}
    return json_request(f"/v2/models/{model}/infer", {"inputs": [tensor]})


def binary_request(model: str, values: NDArray[np.float64]) -> bytes:
    tensor = {
        "name": "numbers",
        "datatype": "FP64",
        "shape": list(values.shape),
        "parameters": {"binary_data_size": values.nbytes},
    }
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    text += b" " * (-len(text) % 16)
    kind = f"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {len(text)}\r\n"
    body = text + values.tobytes()
    return head(f"/v2/models/{model}/infer", len(body), kind) + body


def head(path: str, length: int, more: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {length}\r\n\r\n".encode()


class Connection:
    """A socket with one request under way at most; tells when its answer is complete."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self.received = b""

    def send(self, data: bytes, now: float) -> None:
        self.received, self.began = b"", now
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes] | None:
        """Status and body, once all of it is here."""
        self.received += self.socket.recv(1 << 20)
        top, ends, body = self.received.partition(b"\r\n\r\n")
        if not ends:
            if not self.received:
                raise SystemExit("the server closed a connection")
            return None
        length = next(line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length[15:]):
            return None
        return int(top[9:12]), body


def closed_loop(port: int, data: bytes, connections: int, seconds: float, process: int = 0) -> Load:
    """Each connection sends again as soon as it is answered; stops at anything but 200."""
    selector = selectors.DefaultSelector()
    opened = [Connection(port) for _ in range(connections)]
    before = cpu_seconds(process) if process else 0.0
    for connection in opened:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(data, time.perf_counter())
    took: list[float] = []
    started = time.perf_counter()
    while (now := time.perf_counter()) < started + seconds:
        for key, _ in selector.select(1):
            answer = key.data.read()
            if answer is None:
                continue
            if answer[0] != 200:
                raise SystemExit(answer[1].decode())
            now = time.perf_counter()
            took.append(now - key.data.began)
            key.data.send(data, now)
    elapsed = time.perf_counter() - started
    cost = (cpu_seconds(process) - before) / len(took) * 1e6 if process else 0.0
    for connection in opened:
        connection.socket.close()
    median, p99 = np.percentile(took, [50, 99]) * 1e3
    return Load(len(took) / elapsed, float(median), float(p99), cost)


def open_loop(port: int, data: bytes, rate: float, seconds: float, connections: int = 256) -> Load:
    """Requests at a fixed rate, whether the ones before are answered or not, as far as there are connections."""
    selector = selectors.DefaultSelector()
    idle = [Connection(port) for _ in range(connections)]
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    took: list[float] = []
    refused: list[float] = []
    started = time.perf_counter()
    sent = 0
    while (now := time.perf_counter()) < started + seconds:
        while idle and started + sent / rate <= now:
            idle.pop().send(data, now)
            sent += 1
        wait = max(0.0, started + sent / rate - now) if idle else 0.01
        for key, _ in selector.select(min(wait, 0.01)):
            answer = key.data.read()
            if answer is None:
                continue
            if answer[0] not in {200, 503}:
                raise SystemExit(answer[1].decode())
            (took if answer[0] == 200 else refused).append(time.perf_counter() - key.data.began)
            idle.append(key.data)
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    median, p99 = np.percentile(took, [50, 99]) * 1e3
    refused_p99 = float(np.percentile(refused, 99)) * 1e3 if refused else 0.0
    return Load(len(took) / seconds, float(median), float(p99), 0.0, len(refused), refused_p99)


@contextlib.contextmanager
def serving(folder: Path, max_batch: int, core: int) -> Iterator[tuple[int, int]]:
    """Port and process of our server with all models, on one core."""
    command = ["taskset", "-c", str(core), sys.executable, "-c", SERVER, str(max_batch)]
    files = [str(path) for path in sorted(folder.glob("*.lepton"))]
    process = subprocess.Popen([*command, *files], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline()).port or 0
        process.stdout.readline()
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def check(port: int, data: bytes, expected: NDArray[np.float64]) -> None:
    """The answer is that of onnxruntime."""
    connection = Connection(port)
    connection.send(data, 0.0)
    while (answer := connection.read()) is None:
        pass
    status, body = answer
    end = body.rindex(b"}") + 1 if b"binary_data_size" in body else 0
    found = np.frombuffer(body[-expected.nbytes :]) if end else json.loads(body)["outputs"][0]["data"]
    assert status == 200, body
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    connection.socket.close()


def in_process(predictor: Predictor, values: NDArray[np.float64], seconds: float) -> float:
    """Calls of onnxruntime a second."""
    count, ends = 0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        predictor._session.run(["prediction"], {"numbers": values})
        count += 1
    return count / seconds


def measure_forms(folder: Path, seconds: float, connections: int, cores: list[int]) -> None:
    """JSON against bytes, on one row and on many, in turns."""
    random = np.random.default_rng(0)
    with serving(folder, 32, cores[0]) as (port, process):
        for model, rows in (("tree", 1), ("tree", 64), ("mlp", 1)):
            predictor = open_model(folder / f"{model}.lepton")
            values = random.normal(size=(rows, len(predictor.inputs.columns)))
            expected = predictor.run({"numbers": values})["prediction"]
            forms = {"JSON": infer_request(model, values), "binary": binary_request(model, values)}
            found: dict[str, list[Load]] = {form: [] for form in forms}
            for data in forms.values():
                check(port, data, expected)
            for _ in range(2):
                for form, data in forms.items():
                    found[form].append(closed_loop(port, data, connections, seconds, process))
            for form, loads in found.items():
                print(f"{model}, {rows} row{'s' * (rows > 1)}, {form}: {max(loads, key=lambda load: load.rate)}")
            ratio = min(load.cost for load in found["JSON"]) / min(load.cost for load in found["binary"])
            print(f"  bytes cost the server 1/{ratio:.2f} of what JSON does")


def measure_batches(folder: Path, seconds: float, connections: int, cores: list[int]) -> None:
    """The mlp with and without batches, alone and under load, in turns."""
    predictor = open_model(folder / "mlp.lepton")
    values = np.random.default_rng(1).normal(size=(1, MLP_WIDTH))
    data = binary_request("mlp", values)
    for rows in (1, 32):
        calls = in_process(predictor, np.repeat(values, rows, 0), min(seconds, 1.0))
        print(f"mlp, onnxruntime in process, {rows} row{'s' * (rows > 1)} a call: {calls * rows:,.0f} rows/s")
    with serving(folder, 32, cores[0]) as (port, _), serving(folder, 1, cores[0]) as (single_port, _):
        ports = {"in batches": port, "one by one": single_port}
        for each in ports.values():
            check(each, data, predictor.run({"numbers": values})["prediction"])
        alone: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(4):
            for name, each in ports.items():
                alone[name].append(closed_loop(each, data, 1, seconds / 2).median)
        ratios = np.array(alone["in batches"]) / np.array(alone["one by one"])
        shown = f"{np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})"
        print(f"mlp, a lone request: median with batches over that without: {shown}")
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(2):
            for name, each in ports.items():
                load = closed_loop(each, data, connections, seconds)
                rates[name].append(load.rate)
                print(f"mlp, {connections} connections, {name}: {load}")
        print(f"  batches give {max(rates['in batches']) / max(rates['one by one']):.2f} times the requests")


def measure_overload(folder: Path, seconds: float, cores: list[int]) -> None:
    """Goodput at more than the server can: a model with a queue, and cheap ones that run where requests are read."""
    random = np.random.default_rng(1)
    kinds = {  # request, connections, times of the peak, least goodput at each
        "resnet": (binary_request("resnet", random.normal(size=(1, 32 * 32 * 3))), 256, {2: 0.95, 5: 0.85}),
        "mlp": (binary_request("mlp", random.normal(size=(1, MLP_WIDTH))), 256, {2: 0.95, 5: 0.85}),
        "tree, 64 rows": (infer_request("tree", random.normal(size=(64, len(COLUMNS)))), 512, {1.5: 0.5, 3: 0.5}),
        "tree, 1 row": (infer_request("tree", random.normal(size=(1, len(COLUMNS)))), 512, {1.5: 0.5}),
    }
    with serving(folder, 32, cores[0]) as (port, process):
        for name, (data, connections, loads) in kinds.items():
            base = closed_loop(port, data, 64, max(seconds, 2.0))
            alone = closed_loop(port, data, 1, min(seconds, 1.0))
            print(f"{name}, peak: {base}; alone p99 {alone.p99:.1f} ms")
            for times, least in loads.items():
                memory = resident(process)
                with probing(port) as health:
                    load = open_loop(port, data, base.rate * times, max(seconds, 4.0), connections)
                offered = load.rate + load.refused / max(seconds, 4.0)
                recovery = recovered(port, data, base)
                print(
                    f"  {times:g} × the peak ({offered:,.0f} offered/s): goodput {load.rate / base.rate:.0%} "
                    f"(wanted {least:.0%}), accepted p99 {load.p99:.0f} ms, {load.refused / max(seconds, 4.0):,.0f} "
                    f"refusals/s within {load.refused_p99:.1f} ms (p99), health p99 "
                    f"{np.percentile(health, 99) * 1e3:.0f} ms, recovered in {recovery:.1f} s, memory "
                    f"{(resident(process) - memory) / 2**20:+.1f} MiB"
                )


def resident(process: int) -> int:
    """Bytes that a process holds in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def probing(port: int) -> Iterator[list[float]]:
    """Seconds that the server's health took, asked 20 times a second beside the load."""
    took: list[float] = []
    ends = threading.Event()

    def probe() -> None:
        connection = Connection(port)
        while not ends.wait(0.05):
            connection.send(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n", time.perf_counter())
            while connection.read() is None:
                pass
            took.append(time.perf_counter() - connection.began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        ends.set()
        thread.join()


def recovered(port: int, data: bytes, base: Load) -> float:
    """Seconds until a quarter of a second goes by at nine tenths of the rate before, at most ten."""
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < 10.0:
        with contextlib.suppress(SystemExit):
            if closed_loop(port, data, 32, 0.25).rate >= 0.9 * base.rate:
                return passed
    return passed


def measure_peer(name: str, folder: Path, seconds: float, connections: int, cores: list[int]) -> None:
    """One row in JSON, on both models."""
    python, reason = interpreter(name, ENVIRONMENTS[name])
    if python is None:
        print(f"{name}: not installed: {reason}")
        return
    for model, width in (("tree", len(COLUMNS)), ("mlp", MLP_WIDTH)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["taskset", "-c", str(cores[0]), str(python), str(HERE / "peers" / "serving_peer.py")]
        log = (folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [*command, name, str(folder / f"{model}.onnx"), str(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
        try:
            values = np.random.default_rng(0).normal(size=(1, width))
            if name == "mlserver":
                data = infer_request("model", values)
            else:
                data = json_request("/predict", {"rows": values.tolist()})
            wait_for(port, process)
            print(f"{name}, {model}, 1 row, JSON: {closed_loop(port, data, connections, seconds)}")
        except (SystemExit, OSError) as error:
            print(f"{name}, {model}: {error}")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it may have workers that outlive it
            process.wait()
            log.close()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(2.0)
            return
        time.sleep(0.1)
    raise SystemExit("it does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 s a form (default)")
    parser.add_argument("--full", dest="seconds", action="store_const", const=20.0, help="20 s a form")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--overload", action="store_true", help="this part alone")
    parser.add_argument("--no-peers", action="store_true")
    parser.set_defaults(seconds=4.0)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_tree(folder / "tree.lepton")
        write_mlp(folder / "mlp.lepton")
        write_resnet(folder / "resnet.lepton")
        for name in ("tree", "mlp"):
            (folder / f"{name}.onnx").write_bytes(open_model(folder / f"{name}.lepton").bundle.graph)
        if not given.overload:
            measure_forms(folder, given.seconds, given.connections, cores)
        if not given.overload:
            measure_batches(folder, given.seconds, given.connections, cores)
        measure_overload(folder, given.seconds, cores)
        if given.overload:
            return
        if not given.no_peers:
            for name in ENVIRONMENTS:
                measure_peer(name, folder, given.seconds, given.connections, cores)


if __name__ == "__main__":
    main()
