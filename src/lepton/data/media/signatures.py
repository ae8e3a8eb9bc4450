"""Which files are images, sounds and texts: by the ending of the name, and by the first bytes."""

from __future__ import annotations

import re

from lepton.core import Kind

__all__ = [
    "FORMAT_WORDS",
    "FRAME_WORDS",
    "HEAD",
    "KIND_OF_FORMAT",
    "REFUSED",
    "SCAN_FORMATS",
    "VIDEO_FORMATS",
    "WORD_OF_FORMAT",
    "format_of_bytes",
    "format_of_name",
    "looks_like_text",
]

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
    "dicom": ("dcm", "dicom", "ima"),
    "nifti": ("nii",),
    "mp4": ("mp4", "m4v", "mov"),
    "avi": ("avi",),
    "matroska": ("mkv", "webm"),
}
_BY_ENDING = {ending: name for name, endings in _ENDINGS.items() for ending in endings}

KIND_OF_FORMAT = {
    **dict.fromkeys(("jpeg", "png", "gif", "bmp", "webp", "tiff"), Kind.IMAGE),
    **dict.fromkeys(("wav", "flac", "ogg", "mp3", "aiff"), Kind.AUDIO),
    "text": Kind.TEXT,
}
"""Format → what a file of it is. No other format is opened."""

SCAN_FORMATS = frozenset({"dicom", "nifti"})
"""Formats of which every slice is a picture."""

VIDEO_FORMATS = frozenset({"mp4", "avi", "matroska"})
"""Formats of which frames are pictures."""

FORMAT_WORDS = {
    "images": Kind.IMAGE,
    "sounds": Kind.AUDIO,
    "texts": Kind.TEXT,
    "scans": Kind.IMAGE,
    "videos": Kind.IMAGE,
}
"""What `read(..., format=)` calls a folder of files, and what its rows are."""

FRAME_WORDS = frozenset({"scans", "videos"})
"""Those whose files become several pictures each."""

WORD_OF_FORMAT = {
    **{name: next(word for word, of in FORMAT_WORDS.items() if of is kind) for name, kind in KIND_OF_FORMAT.items()},
    **dict.fromkeys(SCAN_FORMATS, "scans"),
    **dict.fromkeys(VIDEO_FORMATS, "videos"),
}
"""Format → the word of `FORMAT_WORDS` for a folder of such files."""

REFUSED = frozenset({
    "svg", "svgz", "eps", "ps", "pdf", "psd", "ico", "icns", "heic", "heif", "avif", "jp2", "jxl",
    "raw", "cr2", "nef", "dng", "wmf", "emf", "xcf", "m4a", "aac", "wma", "amr", "ape", "mid", "midi", "mpg", "mpeg",
    "wmv", "flv", "doc", "docx", "odt", "rtf",
})  # fmt: skip
"""Endings of what looks like media and is not read: it can hold programs, or its decoder is not here."""

_ENDING = re.compile(r"\.([^./\\]{1,8})\Z")
_PACKED_NIFTI = ".nii.gz"
_VIDEO_BRANDS = (b"iso", b"mp4", b"avc", b"M4V", b"qt  ", b"dash", b"MSNV", b"3gp", b"3g2")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


def format_of_name(name: str) -> str:
    """The format that the ending of a file's name says; the bare ending for one that is not read; "" without one.

    >>> format_of_name("cat.JPG"), format_of_name("scan.svg"), format_of_name("51060"), format_of_name("a/v1.2")
    ('jpeg', 'svg', '', '')
    >>> format_of_name("brain.nii.gz"), format_of_name("1.2.840.10008")
    ('nifti', '')
    """
    name = name.rpartition("/")[2]
    if name.lower().endswith(_PACKED_NIFTI):
        return "nifti"
    found = _ENDING.search(name)
    if found is None or re.fullmatch("[0-9]+", found[1]):
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
        return {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12], "")
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
    if head[128:132] == b"DICM":
        return "dicom"
    if head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0":
        return "nifti"
    if (head[4:8] == b"ftyp" and head[8:12].startswith(_VIDEO_BRANDS)) or head[4:8] in (b"moov", b"mdat", b"wide"):
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
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
