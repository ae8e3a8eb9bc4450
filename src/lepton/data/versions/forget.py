"""Forgetting: the rows for which a condition holds go from a saved table, with every version that has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, Kind, UsageError, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.read import read
from lepton.data.recipes.expressions import parse
from lepton.data.versions.derived import DerivedRecord, derived_from
from lepton.data.versions.folder import is_table_folder, numbers_of, read_version, split_number
from lepton.data.versions.rewrite import count_rows, rewrite_file, rewrite_folder
from lepton.data.versions.write import now
from lepton.store import hash_file, locked, stamp

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True)
class Forgotten:
    """What `lepton.forget` did.

    Attributes:
        rows: how many rows went.
        rows_left: how many are left.
        columns: the columns of the condition.
        versions_removed: versions that went because they held such rows, or might have.
        derived: tables and models that were made from the table, and may hold what was forgotten still.
    """

    rows: int
    rows_left: int
    columns: tuple[str, ...]
    versions_removed: int
    derived: tuple[DerivedRecord, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        if not self.rows:
            lines = [f"No row fits the condition: all {self.rows_left:,} rows stay."]
        else:
            lines = [
                f"{self.rows:,} rows are gone, {self.rows_left:,} are left; read again, none fits the condition.",
            ]
        if self.versions_removed:
            lines.append(f"{self.versions_removed:,} earlier versions, which held them, are gone too.")
        if self.derived:
            lines += ["", "Made from this table, and not changed by this:"]
            lines += [
                f"  {r.what:10}  {printable(r.path)}" + (f"  (by way of {printable(r.by)})" if r.by else "")
                for r in self.derived
            ]
        return "\n".join(lines)


def forget(
    source: str | Path, where: str, *, reference: str = "", among: str | Path | None = None, work: Work | None = None
) -> Forgotten:
    """Remove rows for good; see `lepton.forget`."""
    work = Work.of(work)
    path, number = split_number(source)
    if number is not None:
        came = "got one version of a table"
        raise UsageError(ErrorCode.USAGE, came, wanted="the table: what is forgotten goes from all versions")
    condition = parse(where)
    in_folder = path.is_dir() and is_table_folder(path)
    if not in_folder and not path.is_dir():
        stamp(path)  # there is a file, or the error names the closest one
    if not in_folder and (path.suffix != ".parquet" or path.is_dir()):
        raise UsageError(
            ErrorCode.USAGE,
            f"{printable(path.name)} is no table that can be rewritten as it is",
            wanted="a .parquet file, or a folder that table.save made",
            fix="lepton.read(...).save('table.parquet') first, and delete the other file",
        )
    table = read(path)
    if (kind := condition.kind(table.schema)) is not Kind.BOOLEAN:
        raise DataError(
            ErrorCode.WRONG_KIND, f"the condition '{condition}' gives a {kind}", wanted="true or false: person_id = 17"
        )
    fits = condition.polars(table.schema)
    record = {"time": now(), "columns": list(condition.columns), "reference": reference}
    ids = _ids(path, table, in_folder)
    with locked(path if in_folder else path.absolute().parent, work):
        if in_folder:
            rows, versions_removed = rewrite_folder(path, fits, record, work)
        else:
            rows, versions_removed = rewrite_file(path, read(path), fits, record, work)
    after = read(path)
    if left := count_rows(after, fits, work):
        came = f"{left:,} rows that fit the condition are still there"
        raise DataError(ErrorCode.BAD_VERSION, came, fix="do it again")
    derived = derived_from(ids, path.absolute().parent if among is None else Path(among), work, but=path.absolute())
    return Forgotten(rows, after.num_rows, condition.columns, versions_removed, derived)


def _ids(path: Path, table: Dataset, in_folder: bool) -> set[str]:
    """Every hash by which lineages may name this table as it is now, or was."""
    found = {table.fingerprint()}
    if in_folder:
        return found | {read_version(path, number).id for number in numbers_of(path)}
    return found | {hash_file(path)} | ({table.version.id} if table.version else set())
