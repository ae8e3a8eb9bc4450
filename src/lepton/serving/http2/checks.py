"""What the content of frames and blocks of headers must be like."""

from __future__ import annotations

from collections.abc import Mapping

from lepton.serving.http2.frames import FRAME_SIZE_ERROR, PROTOCOL_ERROR

__all__ = ["Broken", "as_mapping", "check_length", "unpadded"]


class Broken(Exception):
    """What the peer sent is not HTTP/2, or more than it may."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def as_mapping(found: list[tuple[str, str]] | None) -> Mapping[str, str] | None:
    """Headers by name; those that stand several times are one list, as HTTP has it."""
    if found is None:
        return None
    headers: dict[str, str] = {}
    for name, value in found:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def unpadded(content: bytes) -> bytes:
    """What stands in a padded frame."""
    if not content or content[0] >= len(content):
        raise Broken(PROTOCOL_ERROR, "more padding than there is room for")
    return content[1 : len(content) - content[0]]


def check_length(content: bytes, wanted: int) -> None:
    """Raise `Broken` unless a frame has the size of its kind."""
    if len(content) != wanted:
        raise Broken(FRAME_SIZE_ERROR, f"a frame of {len(content)} octets in place of {wanted}")
