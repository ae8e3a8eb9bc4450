"""Finds the examples of a page and runs them: Python blocks as one program, console blocks line by line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["Block", "blocks", "make_houses", "run_page", "runnable"]

_FENCE = re.compile(r"^```(\w*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_SECONDS = r"(?:[5-9]|[1-9][0-9])s"


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words behind it, its text and its first line in the page."""

    language: str
    info: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(m[1], m[2], m[3], text[: m.start()].count("\n") + 2) for m in _FENCE.finditer(text)]


def runnable(page: Path) -> list[Block]:
    """The blocks of a page that are run: Python and console, unless they say `no-run`."""
    return [b for b in blocks(page) if b.language in ("python", "console") and "no-run" not in b.info]


def make_houses(path: Path, rows: int = 600) -> Path:
    """A small made-up table of houses, with a category, a date and missing cells."""
    rng = np.random.default_rng(0)
    town = rng.choice(["Oslo", "Bergen", "Ålesund", "Tromsø"], rows)
    area = rng.normal(110, 35, rows).clip(25)
    built = np.datetime64("1950-01-01") + rng.integers(0, 25_000, rows).astype("timedelta64[D]")
    value = {"Oslo": 9.0, "Bergen": 6.0, "Ålesund": 4.0, "Tromsø": 5.0}
    price = area * 1e4 * np.array([value[t] for t in town]) * rng.normal(1, 0.08, rows)
    frame = pl.DataFrame({"area": area.round(1), "town": town, "built": built, "price": price.round(-3)})
    gone = pl.Series(rng.random(rows) < 0.05)
    frame = frame.with_columns(area=pl.when(gone).then(None).otherwise(pl.col("area")))
    frame.write_csv(path)
    return path


def run_page(page: Path, folder: Path) -> int:
    """Run the page's examples in its order; returns how many blocks there are.

    The Python blocks are one program, run where the first of them stands; servers that a console block starts run until
    the page ends. They have a port of the page's own instead of 8080. Where a reader would give five seconds or more,
    one quick learner is trained, without hurry; the blocks that say `in-full` are run as they stand.
    """
    port = _free_port()
    found = [_adapted(block, port) for block in runnable(page)]
    program = "\n".join(b.text for b in found if b.language == "python")
    servers: list[subprocess.Popen[str]] = []
    try:
        for block in found:
            if block.language == "console":
                _run_console(block, page.name, folder, servers, port)
            elif program:
                _run([sys.executable, "-W", "error", "-c", program], page.name, folder)
                program = ""
    finally:
        for server in servers:
            server.terminate()
            server.communicate(timeout=20)
    return len(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _adapted(block: Block, port: int) -> Block:
    text = re.sub(r"\b8080\b", str(port), block.text)
    if "in-full" not in block.info:
        text = re.sub(rf"within=([\"']){_SECONDS}\1", 'within="90s", effort="fast", learners=["linear"]', text)
        text = re.sub(rf"--within {_SECONDS}", "--within 90s --effort fast --learners linear", text)
        text = text.replace("$ lepton demo", "$ lepton demo --within 7s")
    return replace(block, text=text)


def _run_console(block: Block, page: str, folder: Path, servers: list[subprocess.Popen[str]], port: int) -> None:
    """Run every `$ ` line of a console block; go on behind a server when it has said where it answers."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ lepton serve") and "--print" not in line:
            environment = {**_environment(), "LEPTON_PORT": str(port)}
            server = subprocess.Popen(
                shlex.split(line[2:]), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            )
            servers.append(server)
            assert server.stdout is not None
            assert server.stdout.readline() != "", f"{page}: {line}"
        elif line.startswith("$ curl") and shutil.which("curl") is None:
            continue
        elif line.startswith("$ "):
            _run(["bash", "-c", line[2:].replace("curl ", "curl --fail-with-body ")], page, folder)


def _run(command: list[str], page: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{page}: {command[-1][:200]}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
