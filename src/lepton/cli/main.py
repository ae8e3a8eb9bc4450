"""The command `lepton`: finds the command, calls it, prints what it gives, and turns errors into exit codes.

`lepton --help` is answered here, without the parser: `lepton.cli.app` is loaded when a command is called.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from lepton.cli.commands import COMMANDS, GROUPS
from lepton.cli.output import Console, exit_code_of
from lepton.core import ErrorCode, Interrupted, LeptonError, UsageError, WorkerError, load_settings
from lepton.core.imports import own_process
from lepton.core.memory import keep_little
from lepton.version import __version__

__all__ = ["front_page", "main", "run"]

_FORMATS = ("text", "json")


def main() -> None:
    """Entry point of the console script."""
    keep_little()
    own_process()
    try:
        code = run(sys.argv[1:])
    except BrokenPipeError:
        # The reader of our output has gone (`lepton ... | head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code. Nothing but `SystemExit` from the system itself is raised."""
    console = Console()
    command = ""
    try:
        words, console = _without_global_options(arguments)
        if not words or words[0] in ("--help", "-h", "help"):
            sys.stdout.write(front_page())
            return 0
        if words[0] == "--version":
            sys.stdout.write(f"lepton {__version__}\n")
            return 0
        command = _command_name(words)
        settings = load_settings()
        logging.basicConfig(level=settings.log.upper(), format="%(levelname)s %(name)s: %(message)s")
        result = importlib.import_module("lepton.cli.app").call(words, command, console, settings)
        if result is None:
            return 0
        console.show(command, result)
        return exit_code_of(result)
    except LeptonError as error:
        return _failed(console, command, error)
    except KeyboardInterrupt:
        return _failed(console, command, Interrupted(ErrorCode.INTERRUPTED, "stopped by Ctrl-C"))
    except MemoryError:
        fix = "give it fewer rows or columns, or more memory"
        return _failed(console, command, WorkerError(ErrorCode.OUT_OF_MEMORY, "the memory is not enough", fix=fix))
    except BrokenPipeError:
        raise
    except Exception as error:
        logging.getLogger("lepton").debug("internal error", exc_info=error)
        return _failed(console, command, _internal(error))


def _failed(console: Console, command: str, error: LeptonError) -> int:
    console.fail(command, error)
    return error.exit_code


def _internal(error: Exception) -> LeptonError:
    return LeptonError(
        ErrorCode.INTERNAL,
        f"{type(error).__name__}: {error}",
        fix="this is a fault of Lepton: run again with LEPTON_LOG=debug for the traceback and report it",
    )


def _without_global_options(arguments: Sequence[str]) -> tuple[list[str], Console]:
    """Take `--format` and `--quiet` out, wherever they stand before `--`."""
    words: list[str] = []
    chosen, quiet = "text", False
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            words += [word, *rest]
        elif word in ("--quiet", "-q"):
            quiet = True
        elif word == "--format" or word.startswith("--format="):
            chosen = word.partition("=")[2] if "=" in word else next(rest, "")
        else:
            words.append(word)
    if chosen not in _FORMATS:
        raise UsageError(ErrorCode.USAGE, f"got --format {chosen!r}", wanted="text or json")
    return words, Console(format=chosen, quiet=quiet)


def _command_name(words: Sequence[str]) -> str:
    return next((" ".join(c.path) for c in COMMANDS if tuple(words[: len(c.path)]) == c.path), words[0])


def front_page() -> str:
    """The text of `lepton --help`."""
    lines = [f"lepton {__version__}: from a table to a model that answers", "", "Usage: lepton COMMAND [ARGUMENTS]", ""]
    width = max(len(" ".join(c.path)) for c in COMMANDS) + 2
    for title, records in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {' '.join(record.path):<{width}}{record.help}" for record in records]
        lines.append("")
    lines += [
        "Everywhere:",
        f"  {'--format json':<{width}}One JSON envelope instead of text.",
        f"  {'--quiet':<{width}}The result alone: no progress, notes or suggestions.",
        f"  {'--help':<{width}}What a command takes: lepton train --help.",
        "",
        "A first model: lepton demo",
    ]
    return "\n".join(lines) + "\n"
