"""Environments of the systems that benches compare with: made with uv in bench/out/peers, and kept."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PEERS = Path(os.environ.get("BENCH_PEERS", Path(__file__).parents[1] / "out" / "peers"))
"""Where they lie; the setting BENCH_PEERS moves them."""


def interpreter(name: str, packages: Sequence[str]) -> tuple[Path | None, str]:
    """The interpreter of an environment, made where it is not there; or None and why there is none."""
    python = PEERS / name / "bin" / "python"
    if (PEERS / name / "made").exists():
        return python, ""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    uv = shutil.which("uv", path=beside)
    if uv is None:
        return None, "uv is not installed"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for command in (
        [uv, "venv", "-q", "--clear", "--python", version, str(PEERS / name)],
        [uv, "pip", "install", "-q", "--python", str(python), *packages],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()[-300:]
    (PEERS / name / "made").touch()
    return python, ""
