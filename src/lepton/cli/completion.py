"""`lepton completion`: the completion script of a shell."""

from __future__ import annotations

from typing import Literal

from lepton.cli.app import build_app
from lepton.cli.options import Injected
from lepton.cli.output import Result

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], *, context: Injected) -> Result:
    """Print the completion script of a shell, to be sourced in its start-up file.

    Args:
        shell: bash, zsh or fish.
        context: given by the command line.
    """
    script = build_app().generate_completion(shell=shell)
    return Result(data={"shell": shell, "script": script}, text=script)
