"""Raising bundles of older formats to the current one; format N reads N-1, `migrate` reads them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from lepton.bundle.archive import open_archive, write_archive
from lepton.bundle.documents import MAX_DOCUMENT, parse_document
from lepton.bundle.files import inspect_archive
from lepton.bundle.manifest import FORMAT, MANIFEST, format_of
from lepton.core import BundleError, ErrorCode
from lepton.store import replace_file, scratch_folder

__all__ = ["migrate_bundle"]

PathLike = str | os.PathLike[str]
Migration = Callable[[Path, Path], None]

_MIGRATIONS: Mapping[int, Migration] = {}
"""Format → function that writes the bundle at its first argument to its second, one format higher. None yet."""


def migrate_bundle(path: PathLike, out: PathLike) -> str:
    """Write the bundle at `path` to `out` in the current format; one of the current format is checked and copied.

    Returns:
        The `model_id` of the new file.

    Raises:
        BundleError: the bundle is damaged, unsafe or of a newer format.
    """
    source = Path(path)
    with scratch_folder() as scratch:
        for older in range(_format_at(source), FORMAT):
            if older not in _MIGRATIONS:
                raise BundleError(ErrorCode.BUNDLE_TOO_OLD, f"format {older} can no longer be raised")
            raised = scratch / f"{older + 1}.lepton"
            _MIGRATIONS[older](source, raised)
            source = raised
        with replace_file(out) as file, open_archive(source) as archive:
            bundle = inspect_archive(archive, source, lambda check, note: None)
            write_archive(file, {name: archive.chunks(name) for name in archive.names})
    return bundle.model_id


def _format_at(path: Path) -> int:
    with open_archive(path) as archive:
        if MANIFEST not in archive.names:
            raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"the bundle has no {MANIFEST}")
        return format_of(parse_document(archive.read(MANIFEST, MAX_DOCUMENT), MANIFEST))
