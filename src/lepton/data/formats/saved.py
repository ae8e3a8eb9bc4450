"""Tables that were saved with a manifest: it says which files hold the rows and what their columns are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lepton.core import Role, Schema
from lepton.data.convert import ColumnPlan, polars_type
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions, Source, shown
from lepton.data.formats.columnar import open_parquet
from lepton.data.versions.folder import (
    check_columns_of,
    files_of,
    is_table_folder,
    read_beside,
    read_version,
    split_number,
)

__all__ = ["kinds_of", "open_saved", "plans_of", "roles_of"]


def open_saved(source: Any, options: ReadOptions) -> tuple[Source | None, tuple[DecisionRecord, ...]]:
    """The table that `Dataset.save` wrote at `source`, whose `version` is set; None for anything else.

    Args:
        source: what `read` was given: a Parquet file, a folder, or a folder and the number of a version (`claims#2`).
        options: what the caller decided.

    Returns:
        The opened table, and what to say of it: a manifest that is about other rows is passed over.

    Raises:
        DataError: `BAD_VERSION` where files or manifest are damaged; `NOT_FOUND` for a version that is not there.
    """
    if not isinstance(source, str | Path) or not str(source) or "\0" in str(source) or "://" in str(source):
        return None, ()
    path, number = split_number(source)
    if number is not None or (path.is_dir() and is_table_folder(path)):
        version = read_version(path, number)
        opened = open_parquet(files_of(path, version), options)
    elif path.suffix == ".parquet" and path.is_file():
        found, is_current = read_beside(path)
        if found is None:
            return None, ()
        if not is_current:
            what = f"the manifest beside {shown(path)} is about other rows"
            return None, (DecisionRecord(None, "manifest", "passed over", what),)
        version, opened = found, open_parquet((path,), options)
    else:
        return None, ()
    check_columns_of(version, opened.columns, {column.name: polars_type(column) for column in version.schema})
    opened.version = version
    what = f"manifest of version {version.number} ({version.operation} {version.created})"
    return opened, (DecisionRecord(None, "columns", "as saved", what, "kinds="),)


def plans_of(schema: Schema) -> list[ColumnPlan]:
    """The columns, ready as they are."""
    return [ColumnPlan(column) for column in schema]


def kinds_of(schema: Schema) -> Mapping[str, str]:
    """The kinds, as `read` takes them."""
    return {column.name: str(column.kind) for column in schema}


def roles_of(schema: Schema) -> Mapping[str, str]:
    """The roles, as `read` takes them."""
    return {column.name: str(column.role) for column in schema if column.role is not Role.FEATURE}
