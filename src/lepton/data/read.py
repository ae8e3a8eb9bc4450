"""`read`: any table, from a file, several files or memory, as a lazy `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, Kind, Role, UsageError
from lepton.data.dataset import Dataset
from lepton.data.decisions import DecisionRecord
from lepton.data.detect import Wanted, detect
from lepton.data.formats import READERS, ReadOptions, Source, choose_format
from lepton.data.formats.memory import open_memory
from lepton.store import expand

__all__ = ["read"]


def read(
    source: Any,
    *,
    kinds: Mapping[str, Kind | str] | None = None,
    roles: Mapping[str, Role | str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    missing: Sequence[str | float] | Mapping[str, Sequence[str | float]] | None = None,
    format: str | None = None,  # noqa: A002
) -> Dataset:
    """Read a table. It is looked at now, on a bounded sample, and read when rows are asked for.

    What is not said is decided, and shown by `dataset.decisions` with the evidence and the argument that overrides
    it. A later row that breaks a decision is an error that names it, never a silent null.

    Args:
        source: a path, a glob or a list of paths (CSV or TSV, gzip'd too, JSON Lines, a JSON array, Parquet, Arrow);
            a Polars DataFrame or LazyFrame, a pandas DataFrame, an Arrow table, a numpy matrix or structured array,
            a dict of columns, or a list of dicts.
        kinds: column → `number`, `boolean`, `datetime` (or `datetime:%d/%m/%Y`), `category`, `text`, `identifier`.
        roles: column → `feature`, `target`, `weight`, `group`, `time`, `protected`, `ignored`.
        delimiter: one character, for delimited text.
        encoding: a codec name such as `cp1252`, for text.
        header: whether the first row names the columns, for delimited text.
        missing: texts or numbers that mean "missing", for every column or by column; they replace the usual ones.
        format: `csv`, `jsonl`, `json`, `parquet`, `arrow`, or the name of a plug-in reader.

    Raises:
        DataError: no such file, not a table, damaged, empty, ragged, too wide, or columns that are not there.
        UsageError: an argument that cannot be meant.
    """
    wanted = Wanted.of(kinds, roles, missing)
    options = ReadOptions(delimiter, encoding, header, tuple(wanted.kinds))
    opened, decisions = _open(source, options, format)
    plans, about = detect(opened, wanted)
    return Dataset(opened, plans, [*decisions, *opened.decisions, *about], wanted)


def _open(source: Any, options: ReadOptions, named: str | None) -> tuple[Source, list[DecisionRecord]]:
    if isinstance(source, str | Path) or (
        isinstance(source, Sequence) and source and all(isinstance(part, str | Path) for part in source)
    ):
        files = expand(source)
        chosen, decision = choose_format(files[0], named)
        for path in files[1:]:
            other, _ = choose_format(path, named)
            if other != chosen:
                raise DataError(
                    ErrorCode.UNREADABLE,
                    f"{path.name} is {other}, where {files[0].name} is {chosen}",
                    wanted="files of one format",
                )
        opened: Source = READERS.load(chosen)(files, options)
        return opened, [decision]
    if named is not None or options.delimiter is not None or options.encoding is not None or options.header is not None:
        raise UsageError(
            ErrorCode.USAGE, f"got format, delimiter, encoding or header for a {type(source).__name__}", wanted="a file"
        )
    return open_memory(source), []
