"""`lepton new`: a first file of what one writes oneself."""

from __future__ import annotations

from pathlib import Path

from lepton.cli.output import Result
from lepton.serving.services.scaffold import write_service

__all__ = ["service"]


def service(name: Path, /) -> Result:
    """Write a service that runs at once, and a test of it.

    Args:
        name: the folder to make; the service is called as it.
    """
    title, files = write_service(name)
    return Result(
        data={"class": title, "files": [str(path) for path in files]},
        text="\n".join(f"wrote {path}" for path in files),
        next=(f"lepton serve {files[0]}:{title}", f"pytest {name}"),
    )
