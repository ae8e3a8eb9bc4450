"""Texts: the characters of a file."""

from __future__ import annotations

from lepton.core import DataError, ErrorCode, UsageError, printable

__all__ = ["MAX_TEXT", "decode_text"]

MAX_TEXT = 16 * 2**20
"""Bytes: longer texts are not read."""

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def decode_text(data: bytes, name: str, encoding: str | None = None) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or as `encoding` says.

    Args:
        data: the file.
        name: of the file, for messages.
        encoding: a codec such as `cp1252`.

    Raises:
        DataError: `BAD_ENCODING`.
        UsageError: no such codec.
    """
    codec = encoding or next((codec for mark, codec in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(codec)
    except LookupError:
        came = f"got encoding={printable(codec)!r}"
        raise UsageError(ErrorCode.USAGE, came, wanted="a codec such as 'cp1252'") from None
    except UnicodeDecodeError as error:
        raise DataError(
            ErrorCode.BAD_ENCODING,
            f"'{printable(name, 80)}' is not {codec}: byte {error.start:,} is 0x{data[error.start]:02x}",
            wanted="texts of one encoding",
            fix="say which: encoding='cp1252'; or leave the file out",
            details={"file": printable(name, 80), "fault": "encoding"},
        ) from None
    return text
