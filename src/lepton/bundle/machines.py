"""What a measurement is true of: the machine and the versions it was made with."""

from __future__ import annotations

import functools
import platform
import re
from pathlib import Path
from typing import Any

import onnxruntime

from lepton.core import Resources

__all__ = ["machine", "machine_type"]


def machine() -> dict[str, Any]:
    """The machine and versions that a measurement speaks of: no names of hosts or users."""
    return {
        "cpu": _cpu_model(),
        "cores": Resources().cpus,
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def machine_type() -> dict[str, Any]:
    """What of `machine` decides which settings are quickest."""
    here = machine()
    return {name: here[name] for name in ("cpu", "cores", "architecture", "onnxruntime")}


@functools.cache
def _cpu_model() -> str:
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*: (.+)$", described, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"
