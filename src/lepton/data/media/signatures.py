"""Which files are images, sounds and texts: by the ending of the name, and by the first bytes."""

from __future__ import annotations

import re

from lepton.core import Kind

__all__ = ["FORMAT_WORDS", "HEAD", "KIND_OF_FORMAT", "REFUSED", "format_of_bytes", "format_of_name", "looks_like_text"]

HEAD = 512
"""Bytes of a file that its format is told from."""

_ENDINGS = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "png": ("png",),
    "gif": ("gif",),
    "bmp": ("bmp", "dib"),
    "webp": ("webp",),
    "tiff": ("tif", "tiff"),
    "wav": ("wav", "wave"),
    "flac": ("flac",),
    "ogg": ("ogg", "oga", "opus"),
    "mp3": ("mp3",),
    "aiff": ("aif", "aiff"),
    "text": ("txt", "text", "md", "rst", "eml"),
}
_BY_ENDING = {ending: name for name, endings in _ENDINGS.items() for ending in endings}

KIND_OF_FORMAT = {
    **dict.fromkeys(("jpeg", "png", "gif", "bmp", "webp", "tiff"), Kind.IMAGE),
    **dict.fromkeys(("wav", "flac", "ogg", "mp3", "aiff"), Kind.AUDIO),
    "text": Kind.TEXT,
}
"""Format → what a file of it is. No other format is opened."""

FORMAT_WORDS = {"images": Kind.IMAGE, "sounds": Kind.AUDIO, "texts": Kind.TEXT}
"""What `read(..., format=)` calls a folder of files."""

REFUSED = frozenset({
    "svg", "svgz", "eps", "ps", "pdf", "psd", "ico", "icns", "heic", "heif", "avif", "jp2", "jxl", "dcm",
    "nii", "raw", "cr2", "nef", "dng", "wmf", "emf", "xcf", "m4a", "aac", "wma", "amr", "ape", "mid",
    "midi", "mp4", "mov", "avi", "mkv", "webm", "doc", "docx", "odt", "rtf",
})  # fmt: skip
"""Endings of what looks like media and is not read: it can hold programs, or its decoder is not here."""

_ENDING = re.compile(r"\.([^./\\]{1,8})\Z")
_NO_ENDING = re.compile(r"(?:[^.]|\.(?=[0-9]*\Z))+\Z")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


def format_of_name(name: str) -> str:
    """The format that the ending of a file's name says; the bare ending for one that is not read; "" without one.

    >>> format_of_name("cat.JPG"), format_of_name("scan.svg"), format_of_name("51060"), format_of_name("a/v1.2")
    ('jpeg', 'svg', '', '')
    """
    name = name.rpartition("/")[2]
    found = _ENDING.search(name)
    if found is None or _NO_ENDING.match(name):
        return ""
    ending = found[1].lower()
    return _BY_ENDING.get(ending, ending)


def format_of_bytes(head: bytes) -> str:
    """The format of a file that begins with `head`, or ""; text has no signature and is never told here."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12], "")
    if head.startswith((b"RIFX", b"RF64")) and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head.startswith(b"BM") and len(head) >= 18 and head[6:10] == b"\0\0\0\0":
        return "bmp"
    if head.startswith(b"ID3") or (len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return ""


def looks_like_text(head: bytes) -> bool:
    """Whether a file that begins with `head` can be text: no control characters, or a mark of UTF-16.

    >>> looks_like_text(b"From: me, hello"), looks_like_text(bytes(2)), looks_like_text(b"")
    (True, False, False)
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return bool(head) and not head.translate(None, bytes(set(range(256)) - set(_CONTROLS)))
