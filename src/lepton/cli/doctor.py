"""`lepton doctor`: what is installed, what this machine can do, what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from typing import Any

import onnxruntime

from lepton.cli.options import Injected
from lepton.cli.output import Result
from lepton.core import cache_folder, show_size
from lepton.version import __version__

__all__ = ["doctor"]

_DISTRIBUTION = "lepton-ai"


def doctor(*, context: Injected) -> Result:
    """What is installed, what this machine can do, what is missing and the command that adds it. Exit code 6 if broken.

    Args:
        context: given by the command line.
    """
    parts = _parts()
    machine = _machine(context)
    broken = [name for name, part in parts.items() if name == "base" and part["missing"]]
    lines = [f"lepton {__version__} on Python {platform.python_version()} ({sys.executable})", ""]
    for name, part in parts.items():
        state = "ready" if not part["missing"] else "missing " + ", ".join(part["missing"])
        lines.append(f"  {name:<8}{state}")
        lines += [f"          {library} {version}" for library, version in part["installed"].items()]
    lines += ["", *(f"  {name:<12}{value}" for name, value in machine.items())]
    commands = tuple(f"pip install '{_DISTRIBUTION}[{name}]'" for name, part in parts.items() if part["missing"])
    return Result(
        data={"version": __version__, "python": platform.python_version(), "parts": parts, "machine": machine},
        text="\n".join(lines),
        next=commands or ("lepton demo",),
        exit_code=6 if broken else 0,
    )


def _parts() -> dict[str, dict[str, Any]]:
    """The base and every extra of the distribution, with the versions of the libraries that it brings."""
    required: dict[str, list[str]] = {"base": []}
    for line in importlib.metadata.requires(_DISTRIBUTION) or []:
        name = re.split(r"[ ;<>=!~\[(]", line, maxsplit=1)[0]
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        elsewhere = "sys_platform" in line and sys.platform == "win32"
        if name.lower() != _DISTRIBUTION and not elsewhere:
            required.setdefault(extra[1] if extra else "base", []).append(name)
    parts: dict[str, dict[str, Any]] = {}
    for extra_name, libraries in required.items():
        found = {library: _version(library) for library in libraries}
        parts[extra_name] = {
            "installed": {library: version for library, version in found.items() if version},
            "missing": [library for library, version in found.items() if not version],
        }
    return parts


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine(context: Injected) -> dict[str, str]:
    resources = context.resources()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(resources.cpus),
        "memory": show_size(memory) if memory else "unknown",
        "disk free": show_size(shutil.disk_usage(".").free),
        "providers": ", ".join(onnxruntime.get_available_providers()),
        "cache": str(cache_folder()),
    }
