"""What every command gives back, and the two ways of printing it: for people and as one JSON envelope."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from lepton.core import LeptonError, printable
from lepton.version import __version__

__all__ = ["Console", "Result", "exit_code_of"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gives back.

    Attributes:
        data: the stable, JSON-ready result.
        text: the same for people.
        notes: decisions and warnings that people should read.
        next: commands worth trying next.
        exit_code: 0, or the code of a verdict that says no.
        error: the error that goes with a result that is kept all the same (a budget missed, an interruption).
    """

    data: Mapping[str, Any]
    text: str = ""
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    exit_code: int = 0
    error: LeptonError | None = None


@dataclass(frozen=True, slots=True)
class Console:
    """Where and how a command's result is printed.

    Attributes:
        format: `text` or `json`.
        quiet: the result alone, no progress, notes or suggestions.
        color: whether terminals get colour.
    """

    format: str = "text"
    quiet: bool = False
    color: bool = field(default_factory=lambda: sys.stdout.isatty() and "NO_COLOR" not in os.environ)

    def show(self, command: str, result: Result) -> None:
        """Print `result` to standard output."""
        if self.format == "json":
            self._envelope(command, result.data, result.error, exit_code_of(result), result.notes, result.next)
            return
        if result.text:
            _write(sys.stdout, result.text)
        if result.error is not None:
            self._complain(result.error)
        if self.quiet:
            return
        for note in result.notes:
            _write(sys.stderr, self._faint(f"note: {note}"))
        if result.next:
            _write(sys.stdout, "\nNext:\n" + "\n".join(f"  {command}" for command in result.next))

    def fail(self, command: str, error: LeptonError) -> None:
        """Print `error`: to standard error for people, as an envelope on standard output for programs."""
        if self.format == "json":
            self._envelope(command, None, error, error.exit_code, (), ())
        else:
            self._complain(error)

    def _complain(self, error: LeptonError) -> None:
        head = f"error ({error.code}): "
        lines = [printable(error.came, 4000)]
        lines += [f"  wanted: {printable(error.wanted, 4000)}"] if error.wanted else []
        lines += [f"  fix:    {printable(error.fix, 4000)}"] if error.fix else []
        _write(sys.stderr, (f"\x1b[31m{head}\x1b[0m" if self.color else head) + "\n".join(lines))

    def _faint(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.color else text

    def _envelope(
        self,
        command: str,
        data: Mapping[str, Any] | None,
        error: LeptonError | None,
        exit_code: int,
        notes: tuple[str, ...],
        following: tuple[str, ...],
    ) -> None:
        envelope = {
            "lepton": __version__,
            "command": command,
            "ok": exit_code == 0,
            "exit_code": exit_code,
            "result": data,
            "error": None if error is None else error.to_dict(),
            "notes": list(notes),
            "next": list(following),
        }
        _write(sys.stdout, json.dumps(_plain(envelope), ensure_ascii=False, allow_nan=False, indent=2))


def exit_code_of(result: Result) -> int:
    """The exit code of a command that gave `result`."""
    return result.error.exit_code if result.error is not None else result.exit_code


def _plain(value: Any) -> Any:
    """`value` with what JSON cannot say (NaN, infinities, paths, numpy numbers) said otherwise."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
        stream.flush()
