"""Options that several commands share, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lepton.cli.context import Context
from lepton.core import ErrorCode, Kind, UsageError, Work
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import data
else:
    data = LazyModule("lepton.data")  # who asks for help does not wait for it

__all__ = ["Injected", "Output", "ReadOptions", "Seed", "Tables", "Workers", "named_tables"]

Injected = Annotated[Context, Parameter(parse=False)]
"""The context of a command: given by `lepton.cli.app`, not by the user."""

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Seed = Annotated[int | None, Parameter(name="--seed")]
Workers = Annotated[int | None, Parameter(name="--workers")]
Tables = Annotated[tuple[str, ...], Parameter(name="--table")]


def named_tables(texts: tuple[str, ...]) -> dict[str, data.Dataset]:
    """The tables of `--table NAME=FILE`."""
    found = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise UsageError(ErrorCode.USAGE, f"got --table {text!r}", wanted="NAME=FILE")
        found[name] = data.read(place)
    return found


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a table, where detection should not decide."""

    delimiter: str | None = None
    "Character between the cells, such as ';'."
    encoding: str | None = None
    "Text encoding, such as 'utf-8' or 'cp1252'."
    header: bool | None = None
    "Whether the first row holds the names of the columns."
    missing: tuple[str, ...] = ()
    "Text that means 'missing', such as '?'; may be given several times."
    kind: tuple[str, ...] = ()
    "COLUMN=KIND, such as 'zip=category'; may be given several times."
    ignore: tuple[str, ...] = ()
    "Column to leave out; may be given several times."
    query: str | None = None
    "What to ask a database ('sql:sqlite:///FILE' or 'sql:postgresql://USER@HOST/NAME')."
    labels: Path | None = None
    "For a folder of images, sounds or texts: a table with their paths or names and their labels."
    allow_host: tuple[str, ...] = ()
    "HOST:PORT that may be fetched from although it is not public; may be given several times."
    max_download: str | None = None
    "Most to fetch, such as '20GB'; by default 4 GiB."

    def read(self, source: str | list[str], work: Work | None = None) -> data.Dataset:
        """The table at `source`, or in several files of the same columns."""
        roles: dict[str, str] = dict.fromkeys(self.ignore, "ignored")
        options: dict[str, Any] = {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "header": self.header,
            "missing": list(self.missing) or None,
            "kinds": dict(_pair(text) for text in self.kind) or None,
            "roles": roles or None,
            "query": self.query,
            "labels": self.labels,
            "allow_hosts": self.allow_host or None,
            "max_download": self.max_download,
            "work": work,
        }
        return data.read(source, **{name: value for name, value in options.items() if value is not None})


def _pair(text: str) -> tuple[str, str]:
    column, equals, kind = text.rpartition("=")
    if not equals or not column or kind not in set(Kind):
        wanted = "COLUMN=KIND with a kind of " + ", ".join(Kind)
        raise UsageError(ErrorCode.USAGE, f"got --kind {text!r}", wanted=wanted)
    return column, kind
