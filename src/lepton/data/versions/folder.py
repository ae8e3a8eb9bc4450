"""Where versions lie: a Parquet file with its manifest beside it, or a folder with a manifest for each version.

    claims.parquet  claims.parquet.manifest.json        one file, one version

    claims/manifest-000001.json                         a folder, all its versions
    claims/manifest-000002.json
    claims/rows-000001/part-000001-5f0c1b2a.parquet     rows that were saved as version 1
    claims/rows-000001/part-000002-9e4d7c10.parquet     and those that were appended to them

A version is there when its manifest is, and what a manifest names is there before it. Nothing but a manifest says which
parts are rows of a table, so a killed writer leaves files that no reader sees; the next writer removes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from lepton.core import DataError, ErrorCode, printable
from lepton.data.versions.manifest import TableVersion, read_manifest
from lepton.store import hash_file, open_read

__all__ = [
    "TAIL",
    "beside",
    "check_columns_of",
    "damage",
    "files_of",
    "is_table_folder",
    "manifest_path",
    "newest_number",
    "numbers_of",
    "read_beside",
    "read_version",
    "split_number",
    "sweep",
    "versions_at",
]

TAIL = 65_536
"""Bytes at the end of a file that are held against the manifest: in Parquet, where everything lies."""
_MANIFEST = re.compile(r"manifest-([0-9]{6})\.json")
_NUMBERED = re.compile(r"(?P<folder>.+)#(?P<number>[0-9]{1,6})", re.DOTALL)
_MAX_BYTES = 256 * 1024 * 1024


def split_number(place: str | Path) -> tuple[Path, int | None]:
    """`claims#2` as the folder and the number of a version; any other place as it is."""
    match = _NUMBERED.fullmatch(str(place))
    if match is None or Path(place).exists():
        return Path(place), None
    return Path(match["folder"]), int(match["number"])


def is_table_folder(folder: Path) -> bool:
    """Whether a folder holds versions of a table."""
    return folder.is_dir() and newest_number(folder) > 0


def numbers_of(folder: Path) -> list[int]:
    """Numbers of the versions in a folder, in order; those that a later one ended are left out."""
    found = sorted(int(match[1]) for path in folder.iterdir() if (match := _MANIFEST.fullmatch(path.name)))
    if not found:
        return []
    oldest = _read(folder, found[-1]).oldest
    return [number for number in found if number >= oldest]


def newest_number(folder: Path) -> int:
    """Number of the newest version, or 0 without one."""
    return max((int(match[1]) for path in folder.iterdir() if (match := _MANIFEST.fullmatch(path.name))), default=0)


def manifest_path(folder: Path, number: int) -> Path:
    """Where the manifest of a version lies."""
    return folder / f"manifest-{number:06}.json"


def read_version(folder: Path, number: int | None = None) -> TableVersion:
    """A version of a table in a folder; by default the newest.

    Raises:
        DataError: `NOT_FOUND` without a table or such a version; `BAD_VERSION` for a manifest that is none.
    """
    newest = newest_number(folder) if folder.is_dir() else 0
    shown = printable(folder.name)
    if not newest:
        raise DataError(
            ErrorCode.NOT_FOUND,
            f"there is no saved table {shown}",
            wanted="a folder that table.save('folder') made",
        )
    if number is None or number == newest:
        return _read(folder, newest)
    known = numbers_of(folder)
    if number not in known:
        listed = ", ".join(map(str, known[-20:]))
        gone = "; earlier ones went when rows were forgotten" if known[0] > 1 else ""
        raise DataError(
            ErrorCode.NOT_FOUND, f"the table {shown} has no version {number}", wanted=f"one of {listed}{gone}"
        )
    return _read(folder, number)


def _read(folder: Path, number: int) -> TableVersion:
    path = manifest_path(folder, number)
    found = read_manifest(_bytes(path), path.name)
    if found.number != number or not all(part.file for part in found.parts):
        raise DataError(
            ErrorCode.BAD_VERSION,
            f"the manifest {path.name} is not that of version {number} of a folder",
            fix="restore it from a copy",
        )
    return found


def _bytes(path: Path) -> bytes:
    with open_read(path) as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise DataError(
            ErrorCode.BAD_VERSION, f"the manifest {printable(path.name)} has more than {_MAX_BYTES:,} bytes"
        )
    return data


def files_of(folder: Path, version: TableVersion) -> tuple[Path, ...]:
    """The files of a version, each held against its size and its end.

    Raises:
        DataError: `BAD_VERSION` where one is gone, is a link, or is another file than the one that was written.
    """
    found = []
    for part in version.parts:
        path = folder / part.file
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            what = "is a link" if path.is_symlink() or path.parent.is_symlink() else "is not there"
        elif path.stat().st_size != part.num_bytes or hash_file(path, last=TAIL) != part.tail:
            what = "is not the file that was written"
        else:
            found.append(path)
            continue
        raise DataError(
            ErrorCode.BAD_VERSION,
            f"version {version.number} of {printable(folder.name)}: {part.file} {what}",
            wanted="every part as it was written",
            fix="restore it from a copy, or read another version",
        )
    return tuple(found)


def check_columns_of(
    version: TableVersion, columns: Mapping[str, pl.DataType], wanted: Mapping[str, pl.DataType]
) -> None:
    """`BAD_VERSION` unless the files hold the columns that the manifest names.

    Args:
        version: the manifest.
        columns: of the files.
        wanted: of the manifest, as they come in frames.
    """
    if list(columns.items()) != list(wanted.items()):
        odd = next((n for n in {**wanted, **columns} if columns.get(n) != wanted.get(n)), "their order")
        raise DataError(
            ErrorCode.BAD_VERSION,
            f"the files of version {version.number} do not hold the columns of its manifest: {printable(odd)}",
            fix="restore the table from a copy",
        )


def beside(path: Path) -> Path:
    """Where the manifest of a table lies that is one file."""
    return path.with_name(f"{path.name}.manifest.json")


def read_beside(path: Path) -> tuple[TableVersion | None, bool]:
    """The manifest beside a file, if there is one, and whether it is about the file as it is now.

    A file and its manifest cannot be replaced at one stroke: a kill between the two leaves one that is about other
    rows.
    """
    place = beside(path)
    if not place.is_file():
        return None, False
    version = read_manifest(_bytes(place), place.name)
    if len(version.parts) != 1 or version.parts[0].file:
        raise DataError(ErrorCode.BAD_VERSION, f"{printable(place.name)} is not the manifest of one file")
    part = version.parts[0]
    return version, path.stat().st_size == part.num_bytes and hash_file(path, last=TAIL) == part.tail


def sweep(folder: Path) -> int:
    """Remove what no version needs; returns how many files that was. Its caller holds the lock.

    Those are versions that the newest one ended, parts that no manifest names, and what killed writers left.
    """
    if not is_table_folder(folder):
        return 0
    known = numbers_of(folder)
    named = {folder / part.file for number in known for part in _read(folder, number).parts}
    odd = [path for path in folder.iterdir() if (m := _MANIFEST.fullmatch(path.name)) and int(m[1]) not in known]
    odd += [path for path in folder.iterdir() if path.name.startswith(".lepton-part-")]
    rows = [path for path in folder.glob("rows-??????") if path.is_dir() and not path.is_symlink()]
    odd += [path for place in rows for path in place.iterdir() if path not in named and _is_ours(path)]
    for path in odd:
        path.unlink()
    for place in rows:
        with suppress(OSError):  # not empty
            place.rmdir()
    return len(odd)


def _is_ours(path: Path) -> bool:
    return path.name.startswith((".lepton-part-", "part-")) and path.suffix == ".parquet"


def versions_at(source: str | Path) -> tuple[TableVersion, ...]:
    """The versions of a saved table, in order; of one file the one that is there.

    Raises:
        DataError: `NOT_FOUND` where there is none.
    """
    path, _ = split_number(source)
    if path.is_file():
        version, is_current = read_beside(path)
        if version is None or not is_current:
            what = "no manifest" if version is None else "a manifest that is about other rows"
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"there is {what} beside {printable(path.name)}",
                wanted="a table that table.save wrote",
                fix="lepton.read(...).save(...)",
            )
        return (version,)
    read_version(path)
    return tuple(read_version(path, number) for number in numbers_of(path))


def damage(source: str | Path) -> tuple[str, ...]:
    """What is wrong with the files of a saved table: each is read whole and held against its hash."""
    path, _ = split_number(source)
    found: dict[str, None] = {}
    for version in versions_at(path):
        for part in version.parts:
            file = path / part.file if part.file else path
            if not file.is_file():
                found[f"version {version.number}: {part.file or path.name} is not there"] = None
            elif hash_file(file) != part.sha256:
                found[f"version {version.number}: {part.file or path.name} is not the file that was written"] = None
    return tuple(found)
