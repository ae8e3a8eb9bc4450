"""Storage: the one place that opens files for writing; a file is replaced as a whole or not at all."""

from lepton.store.databases import database_errors, open_database
from lepton.store.fetch import FetchLimits, fetch
from lepton.store.files import (
    FileStamp,
    expand,
    hash_file,
    make_folder,
    new_folder,
    open_read,
    publish,
    remove_leftovers,
    replace_file,
    replace_path,
    scratch_folder,
    stamp,
    write_bytes,
    write_new,
    write_scratch,
    write_text,
)
from lepton.store.locks import locked

__all__ = [
    "FetchLimits",
    "FileStamp",
    "database_errors",
    "expand",
    "fetch",
    "hash_file",
    "locked",
    "make_folder",
    "new_folder",
    "open_database",
    "open_read",
    "publish",
    "remove_leftovers",
    "replace_file",
    "replace_path",
    "scratch_folder",
    "stamp",
    "write_bytes",
    "write_new",
    "write_scratch",
    "write_text",
]
