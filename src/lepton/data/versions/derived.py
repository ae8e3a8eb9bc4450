"""What was made from a table: other saved tables and models whose lineage names it, and copies."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.bundle import read_bundle
from lepton.core import DataError, ErrorCode, LeptonError, Work, printable
from lepton.data.versions.folder import beside, is_table_folder, numbers_of, read_beside, read_version
from lepton.data.versions.manifest import TableVersion

__all__ = ["DerivedRecord", "derived_from"]

_SIDECAR = ".manifest.json"


@dataclass(frozen=True)
class DerivedRecord:
    """Something that was made from a table, directly or by way of another one.

    Attributes:
        path: where it lies, within the folder that was searched.
        what: `table`, `model`, `copy` for a table of the same rows, or `unreadable` for what could not be looked into.
        by: the path of what it was made from, or "" for the table itself.
    """

    path: str
    what: str
    by: str = ""


@dataclass(frozen=True)
class _Found:
    path: Path
    what: str
    ids: frozenset[str]
    parents: frozenset[str]


def derived_from(
    ids: Collection[str], among: Path, work: Work, *, but: Path | None = None
) -> tuple[DerivedRecord, ...]:
    """The saved tables and models below a folder that were made from any version of `ids`.

    Args:
        ids: hashes that lineages name: ids of versions, fingerprints, sha256 of files.
        among: the folder; links are not followed.
        work: stops it.
        but: a table that is not looked at.
    """
    if not among.is_dir():
        raise DataError(ErrorCode.NOT_FOUND, f"there is no folder {printable(among.name)}", wanted="a folder to search")
    everything = [found for found in _everything(among, work) if found.path != but]
    known = dict.fromkeys(ids, "")
    records = [DerivedRecord(_within(f.path, among), f.what) for f in everything if f.what == "unreadable"]
    records += [DerivedRecord(_within(f.path, among), "copy") for f in everything if f.ids & set(ids)]
    left = [found for found in everything if found.what != "unreadable" and not found.ids & set(ids)]
    while hit := [found for found in left if found.parents & known.keys()]:
        for found in hit:
            by = known[next(iter(sorted(found.parents & known.keys())))]
            records.append(DerivedRecord(_within(found.path, among), found.what, by))
            known |= dict.fromkeys(found.ids - known.keys(), _within(found.path, among))
        left = [found for found in left if found not in hit]
    return tuple(sorted(records, key=lambda record: record.path))


def _within(path: Path, among: Path) -> str:
    return path.relative_to(among).as_posix()


def _everything(among: Path, work: Work) -> Iterator[_Found]:
    for place, folders, files in os.walk(among):
        work.check()
        folder = Path(place)
        try:
            if is_table_folder(folder):
                folders.clear()
                versions = [read_version(folder, number) for number in numbers_of(folder)]
                yield _table(folder, versions)
                continue
        except LeptonError:
            yield _Found(folder, "unreadable", frozenset(), frozenset())
            continue
        for name in sorted(files):
            path = folder / name
            try:
                if name.endswith(_SIDECAR) and beside(table := folder / name.removesuffix(_SIDECAR)) == path:
                    version, is_current = read_beside(table) if table.is_file() else (None, False)
                    if version is not None and is_current:
                        yield _table(table, [version])
                elif name.endswith(".lepton"):
                    lineage = read_bundle(path).manifest.lineage
                    yield _Found(path, "model", frozenset(), _named(lineage))
            except LeptonError:
                yield _Found(path, "unreadable", frozenset(), frozenset())


def _named(lineage: Mapping[str, Any]) -> frozenset[str]:
    """The hashes that the lineage of a model names; it may come from anyone."""
    parents, origin = lineage.get("parents"), lineage.get("dataset")
    found = [parent for parent in parents if isinstance(parent, str)] if isinstance(parents, list) else []
    if isinstance(origin, Mapping) and isinstance(origin.get("fingerprint"), str):
        found.append(origin["fingerprint"])
    return frozenset(found)


def _table(path: Path, versions: Sequence[TableVersion]) -> _Found:
    parents = {str(p.get("id") or p.get("sha256")) for version in versions for p in version.parents}
    ids = {version.id for version in versions} | {part.sha256 for version in versions for part in version.parts}
    return _Found(path, "table", frozenset(ids), frozenset(parents))
