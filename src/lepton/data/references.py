"""From the cell of a table to the bytes of a file: a path below one folder, or the bytes themselves in base64."""

from __future__ import annotations

import base64
import binascii
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lepton.core import DataError, ErrorCode, printable, show_size
from lepton.store.files import open_read

__all__ = ["MAX_FILE", "References", "label_of"]

MAX_FILE = 256 * 2**20
"""Bytes: larger files are not opened."""

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}\Z", re.ASCII)
_LONGEST_PATH = 4_096


def label_of(name: str) -> str:
    r"""A path as text that a table can hold: bytes that are no UTF-8 are written as `\xNN`.

    >>> label_of("a/caf\udce9.png")
    'a/caf\\xe9.png'
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return name


@dataclass(frozen=True)
class References:
    """What the cells of a column of files mean. A cell never leads out of the folder.

    Attributes:
        root: the folder that paths start from; None where there is none, as for a table in memory.
        odd: path as the table says → path as the system has it, where they differ.
        texts: name of the column that holds the paths of text files, or "".
        encoding: of those texts, if the caller said so.
        holder: what keeps the folder there, if it is a temporary one.
    """

    root: Path | None = None
    odd: Mapping[str, str] = field(default_factory=dict)
    texts: str = ""
    encoding: str | None = None
    holder: object = field(default=None, repr=False, compare=False)

    def path(self, cell: str) -> Path:
        """The file that a cell names.

        Raises:
            DataError: `NOT_FOUND` without a folder; `BAD_VALUE` for a path that leads out of the folder, through a
                link too.
        """
        shown = printable(cell, 80)
        if self.root is None:
            came = f"got the path '{shown}' in a table that lies in no folder"
            raise DataError(ErrorCode.NOT_FOUND, came, fix="read the table from a file beside the folder of the files")
        root = _resolved(self.root.absolute())
        try:
            found = (root / self.odd.get(cell, cell)).resolve()
        except (OSError, ValueError, RuntimeError):  # a NUL, a loop of links
            found = root.parent
        if root not in found.parents:
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"the path '{shown}' leads out of the folder of the table",
                wanted="a path below it",
                fix="copy the files there; links out of it are not followed",
            )
        return found

    def read(self, cell: str, limit: int = MAX_FILE) -> bytes:
        """The bytes that a cell means.

        Args:
            cell: a path below the folder, a data URI, or base64.
            limit: most bytes.

        Raises:
            DataError: no such file, a path out of the folder, damaged base64, or more than `limit` bytes.
        """
        if (start := _DATA_URI.match(cell)) is not None:
            return _decoded(cell[start.end() :], limit)
        if len(cell) > _LONGEST_PATH or (self.root is None and _BASE64.match(cell)):
            return _decoded(cell, limit)
        try:
            with open_read(self.path(cell)) as file:
                size = os.fstat(file.fileno()).st_size
                _check_size(size, limit, cell)
                data = file.read(size)  # to ask for more than there is would set that much memory aside
        except DataError as error:
            if error.code is ErrorCode.NOT_FOUND and _BASE64.match(cell) and "/" not in cell[:1]:
                return _decoded(cell, limit)
            raise
        return data


@functools.lru_cache(maxsize=64)
def _resolved(root: Path) -> Path:
    return root.resolve()


def _decoded(text: str, limit: int) -> bytes:
    _check_size(len(text) * 3 // 4, limit, "base64")
    text = text.translate({ord("-"): "+", ord("_"): "/"})
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        came = f"'{printable(text, 40)}' is neither a file that is there nor base64"
        raise DataError(ErrorCode.NOT_FOUND, came, wanted="a path, or the bytes in base64") from None


def _check_size(size: int, limit: int, what: str) -> None:
    if size > limit:
        came = f"'{printable(what, 80)}' has more than {show_size(limit)}"
        raise DataError(ErrorCode.BAD_VALUE, came, wanted=f"at most {show_size(limit)} a file")
