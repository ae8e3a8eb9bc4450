"""Storage: the one place that opens files for writing; a file is replaced as a whole or not at all."""

from lepton.store.fetch import FetchLimits, fetch
from lepton.store.files import (
    FileStamp,
    expand,
    make_folder,
    open_read,
    remove_leftovers,
    replace_file,
    replace_path,
    scratch_folder,
    stamp,
    write_bytes,
    write_new,
    write_text,
)

__all__ = [
    "FetchLimits",
    "FileStamp",
    "expand",
    "fetch",
    "make_folder",
    "open_read",
    "remove_leftovers",
    "replace_file",
    "replace_path",
    "scratch_folder",
    "stamp",
    "write_bytes",
    "write_new",
    "write_text",
]
