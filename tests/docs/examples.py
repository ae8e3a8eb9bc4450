"""Finds the examples of a page and runs them: Python blocks in one namespace, console blocks line by line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["Block", "blocks", "make_houses", "run_console", "run_python"]

_FENCE = re.compile(r"^```(\w*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


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


def run_python(page: Path, folder: Path) -> int:
    """Run the page's Python blocks, in order, in one fresh interpreter; returns how many there are."""
    found = [b for b in blocks(page) if b.language == "python" and "no-run" not in b.info]
    if found:
        code = "\n".join(b.text for b in found)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, timeout=110
        )
        assert done.returncode == 0, f"{page.name}: {done.stderr[-3000:]}"
    return len(found)


def run_console(page: Path, folder: Path) -> int:
    """Run every `$ ` line of the page's console blocks; servers run until the page ends. Returns how many ran."""
    lines = [
        line[2:]
        for block in blocks(page)
        if block.language == "console" and "no-run" not in block.info
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    servers: list[subprocess.Popen[bytes]] = []
    ran = 0
    try:
        for line in lines:
            if line.startswith("lepton serve"):
                servers.append(subprocess.Popen(shlex.split(line), cwd=folder, env=environment))
                time.sleep(3)
                assert servers[-1].poll() is None, line
            else:
                done = subprocess.run(
                    line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=110
                )
                assert done.returncode == 0, f"{page.name}: {line}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
            ran += 1
    finally:
        for server in servers:
            server.terminate()
            server.wait(20)
    return ran
