"""Codec `jpeg-png-to-rgb8/1`: the bytes of a JPEG or PNG become pixels of 8 bits."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, MissingExtraError, printable

__all__ = ["MAX_PIXELS", "decode_picture", "is_picture", "unreadable"]

MAX_PIXELS = 80_000_000
"""Pictures of more pixels are refused by their head: a small file can claim any number."""

_ORIENTATION = 0x0112


def is_picture(data: bytes) -> bool:
    """Whether `data` begins as a JPEG or PNG does."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))


def decode_picture(data: bytes, channels: int = 3) -> NDArray[np.uint8]:
    """Codec `jpeg-png-to-rgb8/1`: the pixels of a JPEG or PNG, upright, transparent parts on white.

    Args:
        data: the file.
        channels: 3 for red, green and blue, 1 for grey.

    Returns:
        `[height, width, channels]`.

    Raises:
        DataError: `UNREADABLE`, with `details["fault"]` of `empty`, `refused`, `truncated`, `damaged` or `too large`.
        MissingExtraError: Pillow is not installed.
    """
    image = _opened(data)
    try:
        turn = int(image.getexif().get(_ORIENTATION, 1)) if image.format != "PNG" or "exif" in image.info else 1
    except Exception:  # noqa: BLE001 - a damaged EXIF turns nothing
        turn = 1
    try:
        image.load()
        pixels: NDArray[np.uint8] = np.asarray(_plain(image, "L" if channels == 1 else "RGB"), dtype=np.uint8)
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise unreadable("truncated" if _is_cut(error) else "damaged", error) from None
    upright = _turned(pixels.reshape(*pixels.shape[:2], channels), turn)
    return np.ascontiguousarray(upright)


def unreadable(what: str, error: Exception | str) -> DataError:
    """The refusal of a file, with `what` under `details["fault"]`."""
    said = printable(str(error).partition("\n")[0], 120) or type(error).__name__
    return DataError(ErrorCode.UNREADABLE, f"{what}: {said}", details={"fault": what})


def _opened(data: bytes) -> Any:
    """The picture, of which the head was read; within the bounds."""
    if not is_picture(data):
        raise unreadable("refused" if data else "empty", "it begins as neither JPEG nor PNG")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("pillow", "media", "decoding pictures") from None
    file: BinaryIO = io.BytesIO(data)
    try:
        image = Image.open(file, formats=("JPEG", "PNG"))
        width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise unreadable("too large", f"it claims more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:  # its message names an object of Python's
        raise unreadable("damaged", "its head is cut, or is none of a picture") from None
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise unreadable("truncated" if _is_cut(error) else "damaged", error) from None
    if width * height > MAX_PIXELS:
        raise unreadable("too large", f"{width:,} x {height:,} pixels, where {MAX_PIXELS:,} are read at most")
    return image


def _is_cut(error: Exception) -> bool:
    said = str(error).lower()
    return "truncat" in said or "unexpected end" in said or isinstance(error, EOFError | struct.error | IndexError)


def _plain(image: Any, mode: str) -> Any:
    """The picture in `L` or `RGB`; of 16 bits the upper 8."""
    from PIL import Image

    if image.mode.startswith("I"):  # a grey PNG of 16 bits, whichever way Pillow holds it
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    if mode == "L" and image.mode not in ("1", "L"):
        image = image.convert("RGB")
    return image.convert(mode)


def _turned(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """As the camera was held: the eight orientations of EXIF."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
