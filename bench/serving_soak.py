"""Whether `lepton serve` stays as it is for hours: memory, files and threads under mixed load.

    python bench/serving_soak.py --quick              # 3 minutes, as fast as one caller can ask
    python bench/serving_soak.py --minutes 60         # --rate 60 leaves the machine to others

One core for the server, one for the load. Callers ask for one row and for many, in JSON and in bytes, send wrong ones,
leave before they are answered, stop in the middle of a request, and come anew. Every tenth of the time the server's
memory, open files and threads are shown; the slope is that of the last half.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
from serving_spine import write_tree

from serving import COLUMNS, MLP_WIDTH, Connection, binary_request, infer_request, resident, serving, write_mlp


def requests() -> list[bytes]:
    """What is asked in turn."""
    random = np.random.default_rng(0)
    good = [
        infer_request("tree", random.normal(size=(1, len(COLUMNS)))),
        infer_request("tree", random.normal(size=(500, len(COLUMNS)))),
        binary_request("mlp", random.normal(size=(1, MLP_WIDTH))),
        binary_request("mlp", random.normal(size=(64, MLP_WIDTH))),
        b"GET /v2/models/tree HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    wrong = [good[0].replace(b"FP64", b"FP99"), good[0].replace(b"/tree/", b"/none/")]
    return good + wrong


def ask(connection: Connection, data: bytes) -> bool:
    """Whether the request was answered; the server may cut off a caller that a busy machine has kept waiting."""
    try:
        connection.send(data, 0.0)
        while connection.read() is None:
            pass
    except (OSError, SystemExit):
        return False
    return True


def leave(port: int, data: bytes, number: int) -> None:
    """Connect, and go away before the answer or in the middle of the request."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(data if number % 2 else data[: len(data) // 2])


def state(process: int) -> tuple[float, int, int]:
    """MiB in memory, open files, threads."""
    files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    threads = len(list(Path(f"/proc/{process}/task").iterdir()))
    return resident(process) / 2**20, files, threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="3 minutes")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second at most; 0 sets no limit")
    arguments = parser.parse_args()
    seconds = 180.0 if arguments.quick else arguments.minutes * 60
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_tree(folder / "tree.lepton")
        write_mlp(folder / "mlp.lepton")
        with serving(folder, 32, cores[0]) as (port, process):
            kinds, seen, count, cut = requests(), [], 0, 0
            started, shown = time.monotonic(), 0.0
            connections = [Connection(port) for _ in range(8)]
            for number in itertools.count():
                passed = time.monotonic() - started
                if passed >= shown:
                    seen.append((passed / 3600, *state(process)))
                    print(
                        f"{passed:6.0f} s: {seen[-1][1]:.1f} MiB, {seen[-1][2]} files, {seen[-1][3]} threads",
                        flush=True,
                    )
                    shown += seconds / 10
                if passed >= seconds:
                    break
                if arguments.rate and (ahead := number / arguments.rate - passed) > 0:
                    time.sleep(ahead)
                place = number % len(connections)
                if ask(connections[place], kinds[number % len(kinds)]):
                    count += 1
                else:
                    cut += 1
                    connections[place] = Connection(port)
                if number % 50 == 0:
                    leave(port, kinds[number // 50 % len(kinds)], number // 50)
                    connections[place].socket.close()
                    connections[place] = Connection(port)
            half = np.array(seen[len(seen) // 2 :])
            slope = np.polyfit(half[:, 0], half[:, 1], 1)[0]
            print(f"{count:,} requests, {cut} cut off; {slope:+.2f} MiB an hour over the last half (wanted: at most 1)")


if __name__ == "__main__":
    main()
