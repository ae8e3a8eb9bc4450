"""Rows that are no dict: pictures, sounds and texts, as their bytes."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, printable

__all__ = ["CELLS", "cell_bytes", "cell_headers"]

CELLS = (bytes, str, os.PathLike)
"""Types of such rows."""


def cell_bytes(cell: bytes | str | os.PathLike[str]) -> bytes:
    """The bytes of one row that is no dict: a file, the file at a path, or a text."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "replace")
    if isinstance(cell, bytes):
        return cell
    try:
        return Path(cell).read_bytes()
    except OSError as error:
        raise DataError(ErrorCode.NOT_FOUND, f"the file '{printable(str(cell))}' cannot be read: {error}") from None


def cell_headers(body: bytes, cell: Any) -> dict[str, str]:
    """The content type of one row, and a header that no page of another site can send."""
    known = (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "audio/wav"), (b"fLaC", "audio/flac")
    found = next(
        (media for start, media in known if body.startswith(start) and not isinstance(cell, str)), "text/plain"
    )
    return {"content-type": found, "x-request-id": uuid.uuid4().hex}
