"""`lepton card`: the model card, generated from a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, Output
from lepton.cli.output import Result
from lepton.core import DataError, ErrorCode
from lepton.store.files import open_read

__all__ = ["card"]

_MOST = 100_000


def card(
    model: Path,
    /,
    *,
    intended_use: Annotated[str, Parameter(name="--intended-use")] = "",
    out_of_scope: Annotated[str, Parameter(name="--out-of-scope")] = "",
    output: Output = None,
    context: Injected,
) -> Result:
    """What a model file and its reports say of the model, and what nobody has found out.

    Args:
        model: a .lepton file.
        intended_use: what it is for, in words, or @FILE with the text: the only text that is not generated.
        out_of_scope: what it must not be used for, in words or @FILE.
        output: page (.html), Markdown (.md) or JSON (.json) to write.
        context: given by the command line.
    """
    found = verbs.card(model, intended_use=_words(intended_use), out_of_scope=_words(out_of_scope))
    text = found.text()
    if output is not None:
        found.write(output)
        text += f"\n\nCard written: {output}"
    following = () if output else (f"lepton card {model} -o card.html",)
    return Result(data=found.to_dict(), text=text, next=following)


def _words(given: str) -> str:
    """The text, or that of the file behind an @."""
    if not given.startswith("@"):
        return given
    with open_read(Path(given[1:])) as file:
        data = file.read(_MOST + 1)
    try:
        return data[:_MOST].decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(
            ErrorCode.UNREADABLE, f"the file {given[1:]} is no text in UTF-8", fix="save it as UTF-8"
        ) from None
