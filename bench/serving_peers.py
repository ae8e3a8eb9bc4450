"""`lepton serve` beside servers that people use: a boosted tree, a small CNN and a ResNet, over HTTP and gRPC.

    python bench/serving_peers.py --quick    # about 6 minutes; peers that cannot be installed are left out, and said
    python bench/serving_peers.py --full     # longer loads, more rounds

One core for the server, one for the load, loopback, keep-alive, 32 connections. Ours runs as an operator would start
it: a token on every request, request ids, metrics, deadlines and validation on. Each system answers the same model
through onnxruntime on one thread, and one row a request in the JSON that its own documentation shows; systems take
turns, round by round, and a ratio is of the best rounds. `tree` has 14 columns and 100 trees of depth 5; `cnn` 28 × 28
pixels and 80,000 parameters; `resnet` 32 × 32 × 3 and about 4 ms. Batches: LitServe and MLServer up to 32 within 2 ms.
The load over HTTP is made by wrk where it is installed, with a hundred different rows in turn, to us each with an id of
its own; a loop in Python, which is the limit above some 20,000 requests/s, stands in for it elsewhere. That over gRPC
is `http2_load.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from peers.environments import interpreter
from serving_spine import COLUMNS, write_tree

from lepton.bundle import Predictor, open_model
from serving import (
    ENVIRONMENTS,
    HERE,
    Connection,
    Load,
    binary_request,
    check,
    closed_loop,
    infer_request,
    json_request,
    write_net,
    write_resnet,
)

PEERS = {**ENVIRONMENTS, "bentoml": ["bentoml", "onnxruntime", "numpy"]}
WIDTHS = {"tree": len(COLUMNS), "cnn": 28 * 28, "resnet": 32 * 32 * 3}
CORES = (0, 1)
SEVERAL = 100  # different requests, sent in turn
PLAIN = """
import sys, time
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
sessions = [onnxruntime.InferenceSession(path, options) for path in sys.argv[1:]]
for session in sessions:
    session.run(None, {"numbers": np.zeros((1, session.get_inputs()[0].shape[1]))})
print("ready", flush=True)
sys.stdin.read()
"""


# --- models ------------------------------------------------------------------------------------------------------


def write_models(folder: Path) -> None:
    """The bundles, and the graph of each alone for the peers."""
    write_tree(folder / "tree.lepton")
    write_net(folder / "cnn.lepton", "cnn", (1, 28, 28), [(16, 2), (32, 2)], 48)
    write_resnet(folder / "resnet.lepton")
    for name in WIDTHS:
        (folder / f"{name}.onnx").write_bytes(open_model(folder / f"{name}.lepton").bundle.graph)


# --- servers -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], folder: Path, ports: list[int], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server on its core, once its ports take connections; ended with all that it started."""
    with (folder / "server.log").open("ab") as log:
        options = {"stdout": log, "stderr": log, "cwd": folder, "start_new_session": True, **options}
        running = subprocess.Popen(["taskset", "-c", str(CORES[0]), *command], **options)
        try:
            for port in ports:
                wait_for(port, running)
            yield running
        finally:
            for pid in family(running.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            running.wait()


def family(pid: int) -> list[int]:
    """A process and all that came of it; some peers' workers leave its group."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)
    raise OSError("it did not start")


@dataclass(frozen=True)
class Ours:
    """A running `lepton serve`."""

    port: int
    grpc_port: int
    process: int
    token: str

    def signed(self, data: bytes) -> bytes:
        """A request with the token and an id."""
        top, rest = data.split(b"\r\n", 1)
        more = f"\r\nAuthorization: Bearer {self.token}\r\nx-request-id: {uuid.uuid4().hex}\r\n"
        return top + more.encode() + rest

    def all_signed(self, requests: list[bytes]) -> list[bytes]:
        """The same for several, each with an id of its own."""
        return [self.signed(data) for data in requests]


@contextlib.contextmanager
def ours(folder: Path, names: list[str], *more: str, grpc: bool = False) -> Iterator[Ours]:
    """`lepton serve`, ready, on its core."""
    port, grpc_port = free_port(), free_port() if grpc else 0
    command = [sys.executable, "-m", "lepton", "serve", *(f"{name}.lepton" for name in names), "--port", str(port)]
    command += ["--require-token", *(["--grpc-port", str(grpc_port)] if grpc else []), *more]
    with process(command, folder, [port] + [grpc_port] * grpc, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        token = ""
        while not token:
            line = running.stdout.readline().decode()
            if not line:
                raise SystemExit((folder / "server.log").read_text()[-2_000:])
            token = line.partition("Token, shown this once: ")[2].strip()
        yield Ours(port, grpc_port, running.pid, token)


@contextlib.contextmanager
def peer(name: str, folder: Path, model: str) -> Iterator[tuple[int, int]]:
    """Port for HTTP and port for gRPC of a peer."""
    python, reason = interpreter(name, PEERS[name])
    if python is None:
        raise OSError(f"not installed: {reason}")
    port = free_port()
    command = [str(python), str(HERE / "peers" / "serving_peer.py"), name, str(folder / f"{model}.onnx"), str(port)]
    with process(command, folder, [port]):
        time.sleep(3.0)  # some take connections before they have a worker
        yield port, port + 1


# --- loads -------------------------------------------------------------------------------------------------------

WRK = """
local requests, file = {{}}, io.open("{path}", "rb")
for size in function() return file:read("*l") end do requests[#requests + 1] = file:read(tonumber(size)) end
file:close()
local number = 0
request = function() number = number % #requests + 1 return requests[number] end
"""


def load(port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    """Every connection sends the next request as soon as it is answered; ends the bench at anything but 200."""
    if shutil.which("wrk") is None:
        return closed_loop(port, requests[0], connections, seconds)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "requests").write_bytes(b"".join(b"%d\n%b" % (len(data), data) for data in requests))
        (Path(name) / "load.lua").write_text(WRK.format(path=f"{name}/requests"))
        command = ["taskset", "-c", str(CORES[1]), "wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}"]
        command += ["--latency", "--timeout", "30s", "-s", f"{name}/load.lua", f"http://127.0.0.1:{port}"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", told)[1])
    median, p99 = (milliseconds(re.search(rf"^\s+{share}%\s+(\S+)", told, re.MULTILINE)[1]) for share in (50, 99))
    return Load(rate, median, p99)


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


# --- requests a second -------------------------------------------------------------------------------------------


def http_rates(folder: Path, seconds: float, rounds: int) -> None:
    random = np.random.default_rng(0)
    print("| model, 1 row | requests/s | median, p99 ms | ours over it |\n|---|--:|---|--:|")
    for model, width in WIDTHS.items():
        rows = random.normal(size=(SEVERAL, 1, width))
        predictor = open_model(folder / f"{model}.lepton")
        expected = predictor.run({"numbers": rows[0]})["prediction"]
        names = [column.name for column in predictor.manifest.inputs]

        def plain(values: Any) -> bytes:
            return json_request("/predict", {"rows": values.tolist()})

        def named(values: Any, model: str = model, names: list[str] = names) -> bytes:
            return json_request(f"/v2/models/{model}/rows", [dict(zip(names, values[0].tolist(), strict=True))])

        asked = {"fastapi": plain, "litserve": plain, "bentoml": plain, "mlserver": partial(infer_request, "model")}
        forms: dict[str, Callable[[Any], bytes]] = {
            "lepton": partial(infer_request, model),
            "lepton, binary tensors": partial(binary_request, model),
        }
        if model == "tree":
            forms["lepton, plain rows"] = named
        found: dict[str, list[Load]] = {}
        for _ in range(rounds):
            with ours(folder, [model]) as server:
                for form, make in forms.items():
                    requests = server.all_signed([make(values) for values in rows])
                    if form != "lepton, plain rows":
                        check(server.port, requests[0], expected)
                    found.setdefault(form, []).append(load(server.port, requests, 32, seconds))
            for name, make in asked.items():
                try:
                    with peer(name, folder, model) as (port, _):
                        found.setdefault(name, []).append(load(port, [make(values) for values in rows], 32, seconds))
                except (OSError, SystemExit) as error:
                    print(f"| {model}, {name} | {error} | | |")
        best = {form: max(loads, key=lambda one: one.rate) for form, loads in found.items()}
        for form, one in best.items():
            ratio = "" if form.startswith("lepton") else f"{best['lepton'].rate / one.rate:.1f}"
            print(f"| {model}, {form} | {one.rate:,.0f} | {one.median:.2f}, {one.p99:.2f} | {ratio} |", flush=True)
        for batch in (1, 32):
            rate = rows_a_second(predictor, width, batch)
            print(f"| {model}, onnxruntime in process, {batch} a call | {rate:,.0f} | | |")


def rows_a_second(predictor: Predictor, width: int, rows: int) -> float:
    """What onnxruntime alone does on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[0]})
    values, done, ends = np.zeros((rows, width)), 0, time.perf_counter() + 1.0
    while time.perf_counter() < ends:
        predictor._session.run(["prediction"], {"numbers": values})
        done += rows
    os.sched_setaffinity(0, before)
    return done / (time.perf_counter() - ends + 1.0)


def grpc_rates(folder: Path, seconds: float, rounds: int) -> None:
    """The tree over gRPC: 4 connections with 8 calls under way each."""
    command = [sys.executable, str(HERE / "http2_load.py"), str(seconds)]
    values = json.dumps(np.random.default_rng(0).normal(size=WIDTHS["tree"]).tolist())
    found: dict[str, list[list[float]]] = {"lepton": [], "mlserver": []}
    for _ in range(rounds):
        with ours(folder, ["tree"], grpc=True) as server:
            found["lepton"].append(grpc_told(command, server.grpc_port, "tree", server.token, values))
        with contextlib.suppress(OSError), peer("mlserver", folder, "tree") as (_, port):
            found["mlserver"].append(grpc_told(command, port, "model", "", values))
    print("\n| tree over gRPC | calls/s | median, p99 ms | ours over it |\n|---|--:|---|--:|")
    best = {name: max(runs) for name, runs in found.items() if runs}
    for name, (rate, median, p99) in best.items():
        ratio = "" if name == "lepton" else f"{best['lepton'][0] / rate:.2f}"
        print(f"| {name} | {rate:,.0f} | {median:.2f}, {p99:.2f} | {ratio} |", flush=True)


def grpc_told(command: list[str], port: int, model: str, token: str, values: str) -> list[float]:
    command = ["taskset", "-c", str(CORES[1]), *command, str(port), model, token, values]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, median, p99, _ = json.loads(told)
    return [rate, median, p99]


# --- what else an operator asks ----------------------------------------------------------------------------------


def tree_requests() -> list[bytes]:
    rows = np.random.default_rng(0).normal(size=(SEVERAL, 1, WIDTHS["tree"]))
    return [infer_request("tree", values) for values in rows]


def connections(folder: Path, seconds: float) -> None:
    print("\n| tree, JSON, connections | requests/s | median ms | p99 ms |\n|---|--:|--:|--:|")
    with ours(folder, ["tree"]) as server:
        requests = server.all_signed(tree_requests())
        for number in (1, 8, 32, 128):
            one = load(server.port, requests, number, seconds)
            print(f"| {number} | {one.rate:,.0f} | {one.median:.3f} | {one.p99:.3f} |", flush=True)


def watching(folder: Path, seconds: float, rounds: int) -> None:
    """Drift windows and feedback on, against off: the server's core, in turns."""
    ratios = []
    with ours(folder, ["tree"]) as off, ours(folder, ["tree"], "--state", "state") as on:
        for _ in range(2 * rounds):
            rates = [load(each.port, each.all_signed(tree_requests()), 32, seconds).rate for each in (off, on)]
            ratios.append(rates[1] / rates[0])
    print(
        f"\nWatching (`--state`): {statistics.median(ratios):.3f} of the requests/s without"
        f" ({min(ratios):.3f} to {max(ratios):.3f}; wanted 0.95)"
    )


def starting(folder: Path, rounds: int) -> None:
    """From the command to the first answer, and memory after a load, against onnxruntime with the same graphs."""
    data = infer_request("cnn", np.zeros((1, WIDTHS["cnn"])))
    took, held = [], []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        with ours(folder, ["tree", "cnn"]) as server:
            connection = Connection(server.port)
            while True:
                connection.send(server.signed(data), 0.0)
                while (answer := connection.read()) is None:
                    pass
                if answer[0] == 200:
                    break
                time.sleep(0.01)
            took.append(time.perf_counter() - began)
            load(server.port, [server.signed(data)], 32, 1.0)
            held.append(proportional(server.process))
    paths = [str(folder / f"{name}.onnx") for name in ("tree", "cnn")]
    plain = subprocess.Popen([sys.executable, "-c", PLAIN, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert plain.stdout is not None
    plain.stdout.readline()
    alone = proportional(plain.pid)
    plain.communicate()
    print(
        f"\nTree and CNN: ready after {statistics.median(took):.2f} s (wanted 1.5), {statistics.median(held):.0f} MB"
        f" after a load; onnxruntime alone {alone:.0f} MB (wanted at most 80 MB more)"
    )


def proportional(pid: int) -> float:
    """MB of a process and its children, pages that several share counted by their shares."""
    total = 0.0
    for process_id in [pid, *children(pid)]:
        told = Path(f"/proc/{process_id}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+)", told, re.MULTILINE)
        total += int(found[1]) / 1000 if found else 0.0
    return total


def children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="*", default=["http", "grpc", "connections", "watching", "starting"])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {CORES[1]})
    seconds, rounds = (5.0, 3) if arguments.full else (2.0, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder)
        if "http" in arguments.only:
            http_rates(folder, seconds, rounds)
        if "grpc" in arguments.only:
            grpc_rates(folder, seconds, rounds)
        if "connections" in arguments.only:
            connections(folder, seconds)
        if "watching" in arguments.only:
            watching(folder, seconds, rounds)
        if "starting" in arguments.only:
            starting(folder, rounds)


if __name__ == "__main__":
    main()
