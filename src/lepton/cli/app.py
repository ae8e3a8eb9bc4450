"""The parser of the command line: the tree of commands on cyclopts, and one call."""

from __future__ import annotations

from collections.abc import Sequence

import cyclopts

from lepton.cli.commands import COMMANDS, NOUNS
from lepton.cli.context import Context
from lepton.cli.output import Console, Result
from lepton.core import ErrorCode, Settings, UsageError
from lepton.version import __version__

__all__ = ["build_app", "call"]


def build_app() -> cyclopts.App:
    """The tree of commands; their modules are imported when they are called or asked for help."""
    app = cyclopts.App("lepton", help="From a table to a model that answers.", version=__version__)
    nouns = {name: cyclopts.App(name, help=text) for name, text in NOUNS.items()}
    for noun in nouns.values():
        app.command(noun)
    for record in COMMANDS:
        parent = nouns[record.path[0]] if len(record.path) > 1 else app
        parent.command(record.address, name=record.path[-1], help=record.help)
    return app


def call(words: Sequence[str], command: str, console: Console, settings: Settings) -> Result | None:
    """Parse `words` and call their command; None when it was help that was asked for.

    Raises:
        UsageError: words that no command takes.
        LeptonError: whatever the command refuses.
    """
    try:
        function, bound, ignored = build_app().parse_args(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        known = any(" ".join(record.path) == command for record in COMMANDS)
        hint = f"lepton {command} --help" if known else "lepton --help"
        raise UsageError(ErrorCode.USAGE, " ".join(str(error).split()), fix=f"see {hint}") from None
    if "context" in ignored:
        bound.arguments["context"] = Context(console, settings)
    result = function(*bound.args, **bound.kwargs)
    return result if isinstance(result, Result) else None
