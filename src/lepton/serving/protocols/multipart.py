"""One file in a `multipart/form-data` body, as browsers and `curl -F` send it (RFC 7578), and nothing beside it."""

from __future__ import annotations

import re
from email.message import Message
from pathlib import PurePosixPath

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.protocols.base import JSON
from lepton.serving.protocols.media import (
    ARROW_FILE,
    ARROW_STREAM,
    CSV,
    FILES,
    PARQUET,
    PLAIN_TEXT,
    TABLES,
    Media,
    media_of,
)

__all__ = ["read_file"]

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)
_MAX_HEAD = 4096
_HEADERS = frozenset({"content-disposition", "content-type"})
_ENDINGS = {
    ".csv": CSV,
    ".arrow": ARROW_FILE,
    ".feather": ARROW_FILE,
    ".arrows": ARROW_STREAM,
    ".parquet": PARQUET,
    ".json": JSON,
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".txt": PLAIN_TEXT,
}


def read_file(body: bytes, media: Media) -> tuple[Media, bytes]:
    """The content type and the bytes of the one file in a form.

    What the file is, is said by the `Content-Type` of its part, or where that says nothing, by the ending of its name.

    Args:
        body: the whole form.
        media: its content type, with the boundary.

    Raises:
        ServingError: not a form, not exactly one part, a part that is no file of a known type.
    """
    boundary = media.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _bad(f"the form has the boundary {printable(boundary, 80)!r}", "1 to 70 characters, as RFC 2046 says")
    line = b"--" + boundary.encode("ascii")
    if not body.startswith(line + b"\r\n"):
        raise _bad("the form does not begin with its boundary", "nothing before the first part")
    ends = body.find(b"\r\n" + line, len(line))
    rest = body[ends + 2 + len(line) :]
    if ends < 0 or rest not in {b"--", b"--\r\n"}:
        came = "has no end" if ends < 0 else "has more than one part, or something behind its end"
        raise _bad(f"the form {came}", "one file, and the boundary with -- behind it")
    part = body[len(line) + 2 : ends]
    head, blank, data = part.partition(b"\r\n\r\n")
    if not blank or len(head) > _MAX_HEAD:
        raise _bad("the part of the form has no end of its headers", f"a blank line within {_MAX_HEAD} bytes")
    headers = _headers(head)
    return _type_of(headers), data


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        found = _HEADER.fullmatch(line)
        name = "" if found is None else found[1].lower()
        if found is None or name not in _HEADERS or name in headers:
            raise _bad(
                f"the part has the header {printable(line, 80)!r}", "Content-Disposition and Content-Type, once each"
            )
        headers[name] = found[2].strip()
    return headers


def _type_of(headers: dict[str, str]) -> Media:
    name = _file_name(headers.get("content-disposition", ""))
    given = media_of(headers.get("content-type", ""))
    if given.essence in {JSON, *TABLES, *FILES}:
        return given
    known = _ENDINGS.get(PurePosixPath(name).suffix.lower())
    if known is None:
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the file '{printable(name, 80)}' has the type {printable(given.essence, 80)!r}",
            wanted="a file whose name ends in " + ", ".join(_ENDINGS),
            fix="name it so, or give the Content-Type of its part: curl -F 'file=@rows;type=text/csv'",
        )
    return Media(known, {})


def _file_name(disposition: str) -> str:
    message = Message()
    message["content-disposition"] = disposition
    name = message.get_filename()
    if message.get_content_disposition() != "form-data" or not name:
        raise _bad(
            f"the part has the Content-Disposition {printable(disposition, 80)!r}",
            'a file: form-data; name="file"; filename="rows.csv"',
        )
    return name


def _bad(came: str, wanted: str) -> ServingError:
    return ServingError(ErrorCode.BAD_REQUEST, came, wanted=wanted)
