"""What stands beside the rows of a saved table: its columns, parts, statistics, recipe and parents, as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from lepton.core import DataError, ErrorCode, Schema, printable

__all__ = ["FORMAT", "ColumnSummary", "PartRecord", "TableVersion", "read_manifest", "summed"]

FORMAT = "table/1"
_OPERATIONS = ("saved", "appended", "forgot")
_PART = re.compile(r"rows-[0-9]{6}/part-[0-9]{6}-[0-9a-f]{8}\.parquet")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What one pass tells of a column, cheaply; `summed` joins those of several parts.

    Attributes:
        name: the column.
        missing: rows without a value.
        minimum: of numbers, of truth values as 0 and 1, and of datetimes as microseconds since 1970 UTC; of texts their
            length in characters. None without a value.
        maximum: as `minimum`.
        mean: as `minimum`.
        deviation: standard deviation over all values, as `minimum`.
    """

    name: str
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form; what is not there, or too large for a double, is left out."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: v for k, v in found.items() if v is not None and (isinstance(v, str) or math.isfinite(v))}


def summed(parts: Iterable[tuple[int, ColumnSummary]]) -> ColumnSummary:
    """The summary of one column over several parts, each with its number of rows (Chan, Golub & LeVeque 1979)."""
    whole: ColumnSummary | None = None
    present = 0
    for rows, part in parts:
        here = rows - part.missing
        if whole is None:
            whole, present = part, here
            continue
        missing = whole.missing + part.missing
        if part.mean is None or whole.mean is None:
            told = whole if part.mean is None else part
            whole = ColumnSummary(part.name, missing, told.minimum, told.maximum, told.mean, told.deviation)
        else:
            both, step = present + here, part.mean - whole.mean
            squares = _squared(whole.deviation, present) + _squared(part.deviation, here)
            squares += step * step * present * here / both
            ends = (min, whole.minimum, part.minimum), (max, whole.maximum, part.maximum)
            low, high = (choose(a, b) for choose, a, b in ends)  # type: ignore[type-var]  # there where a mean is
            whole = ColumnSummary(
                part.name, missing, low, high, whole.mean + step * here / both, math.sqrt(squares / both)
            )
        present += here
    if whole is None:
        raise ValueError("no part")
    return whole


def _squared(deviation: float | None, count: int) -> float:
    return 0.0 if deviation is None else deviation * deviation * count


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One Parquet file of a version.

    Attributes:
        file: its path in the folder of the table; "" for a table that is one file.
        num_rows: rows in it.
        num_bytes: its size.
        sha256: of the file.
        tail: sha256 of its last 64 KiB, which tells cheaply whether it is still that file.
        fingerprint: of its rows, as `Dataset.fingerprint` gives it.
        columns: a summary of each column.
    """

    file: str
    num_rows: int
    num_bytes: int
    sha256: str
    tail: str
    fingerprint: str
    columns: tuple[ColumnSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**found, "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> PartRecord:
        """Read the JSON form; `ValueError`, `KeyError` or `TypeError` on anything else."""
        columns = tuple(ColumnSummary(**column) for column in raw["columns"])
        part = cls(**{**raw, "columns": columns})
        if part.file and not _PART.fullmatch(part.file):
            raise ValueError(f"a part is called {part.file!r}")
        if not all(_is_count(n, 0) for n in (part.num_rows, part.num_bytes)):
            raise ValueError("rows and bytes of a part are no counts")
        if not all(_DIGEST.fullmatch(text) for text in (part.sha256, part.tail, part.fingerprint)):
            raise ValueError("a hash is no hash")
        return part


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a saved table. It never changes; another save, or more rows, make another one.

    Attributes:
        number: from 1.
        operation: what made it: `saved`, `appended` or `forgot`.
        created: when, in UTC.
        schema: the columns, with kinds, roles and units.
        parts: the files that hold its rows, in order.
        recipe: the fitted recipe that made the rows, as `Recipe.from_dict` reads it; None for rows that were read as
            they were.
        parents: what the rows were made from: the `id` of a saved version, or the `sha256` of a file, each with its
            `name`.
        records: what was forgotten of this table so far: when, how many rows, and by which columns, never by which
            values.
        oldest: number of the oldest version that is still there.
    """

    number: int
    operation: str
    created: str
    schema: Schema
    parts: tuple[PartRecord, ...]
    recipe: Mapping[str, Any] | None = None
    parents: tuple[Mapping[str, Any], ...] = ()
    records: tuple[Mapping[str, Any], ...] = field(default=())
    oldest: int = 1

    @property
    def num_rows(self) -> int:
        """Rows."""
        return sum(part.num_rows for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """Bytes of the files."""
        return sum(part.num_bytes for part in self.parts)

    @property
    def id(self) -> str:
        """Hash of the content: that of the one part, or of the hashes of the parts in order."""
        if len(self.parts) == 1:
            return self.parts[0].fingerprint
        return sha256("\n".join(part.fingerprint for part in self.parts).encode()).hexdigest()

    @property
    def statistics(self) -> tuple[ColumnSummary, ...]:
        """A summary of each column."""
        columns = zip(*(part.columns for part in self.parts), strict=True)
        rows = [part.num_rows for part in self.parts]
        return tuple(summed(zip(rows, column, strict=True)) for column in columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, as it stands in the manifest."""
        return {
            "lepton": FORMAT,
            "number": self.number,
            "operation": self.operation,
            "created": self.created,
            "id": self.id,
            "num_rows": self.num_rows,
            "columns": self.schema.to_dict(),
            "parts": [part.to_dict() for part in self.parts],
            "recipe": None if self.recipe is None else dict(self.recipe),
            "parents": [dict(parent) for parent in self.parents],
            "records": [dict(record) for record in self.records],
            "oldest": self.oldest,
        }

    def to_bytes(self) -> bytes:
        """The manifest."""
        return (json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def read_manifest(data: bytes, name: str) -> TableVersion:
    """Read a manifest, which may come from anyone.

    Args:
        data: the file.
        name: of the file, for messages.

    Raises:
        DataError: `BAD_VERSION`, saying what is wrong.
    """
    try:
        raw = json.loads(data)
        if raw["lepton"] != FORMAT:
            raise ValueError(f"it says lepton: {printable(str(raw['lepton']), 40)!r}, not {FORMAT!r}")
        found = TableVersion(
            number=raw["number"],
            operation=raw["operation"],
            created=raw["created"],
            schema=Schema.from_dict(raw["columns"]),
            parts=tuple(map(PartRecord.from_dict, raw["parts"])),
            recipe=_mapping(raw["recipe"]),
            parents=tuple(dict(parent) for parent in raw["parents"]),
            records=tuple(dict(record) for record in raw["records"]),
            oldest=raw["oldest"],
        )
        if found.operation not in _OPERATIONS or not _is_text(found.created) or not found.parts:
            raise ValueError("it does not say what made it, when, or of which parts it is")
        if not all(_is_count(n, 1) for n in (found.number, found.oldest)):
            raise ValueError("its number is no number")
        if any(tuple(c.name for c in part.columns) != found.schema.names for part in found.parts):
            raise ValueError("a part has other columns than the table")
        if raw["id"] != found.id:
            raise ValueError("its id is not that of its parts")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else printable(str(error), 200)
        raise DataError(
            ErrorCode.BAD_VERSION,
            f"the manifest {printable(name)} cannot be read: {said}",
            wanted="a manifest as Lepton writes it beside a table",
            fix="restore it from a copy, or save the table again",
        ) from None
    return found


def _mapping(value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError("its recipe is no mapping")
    return value


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_text(value: object) -> bool:
    return isinstance(value, str)
