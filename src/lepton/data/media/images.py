"""Images: what the head of a file says, the picture itself within bounds, and small copies of it."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, MissingExtraError, printable
from lepton.data.media.signatures import HEAD, KIND_OF_FORMAT, format_of_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "MAX_PIXELS",
    "ImageFacts",
    "decode_image",
    "encode_image",
    "fault",
    "grey",
    "image_facts",
    "pillow",
    "thumbnail_uri",
]

MAX_PIXELS = 80_000_000
"""Images of more pixels are not decoded: a small file can claim any number. Pillow itself warns a little later."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_TURNED = frozenset({5, 6, 7, 8})
_ORIENTATION = 0x0112
_QUALITY = 92


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the head of an image says.

    Attributes:
        width: in pixels, as it is shown: an image that its EXIF turns by 90° is as wide as it is stored high.
        height: in pixels, as it is shown.
        mode: colours, as Pillow calls them: `L` grey, `RGB`, `RGBA`, `P` palette, `CMYK`, `I;16`, ...
        format: by its first bytes.
        animated: whether it has several frames; the first one is read.
    """

    width: int
    height: int
    mode: str
    format: str
    animated: bool


def pillow() -> Any:
    """The module `PIL.Image`.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pillow", "media", "reading images") from None
    return Image


def image_facts(file: BinaryIO) -> ImageFacts:
    """What the head of an image says; the pixels are not decoded.

    Raises:
        DataError: it is no image that is read, damaged, or larger than `MAX_PIXELS`.
    """
    image = _opened(file)
    try:
        width, height = image.size
        if _is_turned(image):
            width, height = height, width
        return ImageFacts(
            width, height, str(image.mode), str(image.format).lower(), bool(getattr(image, "is_animated", False))
        )
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise fault("damaged", error) from None


def decode_image(data: bytes, *, smallest: int | None = None) -> tuple[Image, int, int]:
    """The first frame of an image, upright, as 8-bit `RGB` or grey `L`, transparent parts on white.

    Images of 16 bits keep their upper 8; other deep ones are stretched between their extremes.

    Args:
        data: the file.
        smallest: a JPEG may be decoded at a fraction of its size, as long as neither side falls below this.

    Returns:
        The image, and the width and height that it has at full size.

    Raises:
        DataError: `UNREADABLE`, with `details["fault"]` of `truncated`, `damaged`, `refused` or `too large`.
    """
    image = _opened(io.BytesIO(data))
    try:
        width, height = image.size
        if smallest is not None:
            image.draft(None, (smallest, smallest))
        is_turned, says = _is_turned(image), _says_how_it_stands(image)
        image.load()
        plain = _plain(_upright(image) if says else image)
        return (plain, height, width) if is_turned else (plain, width, height)
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise fault("truncated" if _is_cut(error) else "damaged", error) from None


def grey(image: Image, width: int, height: int) -> NDArray[np.uint8]:
    """A small grey copy, `[height, width]`, every pixel the mean of what it covers."""
    small = image.convert("L").resize((width, height), pillow().Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)


def thumbnail_uri(image: Image, side: int = 96) -> tuple[str, int, int]:
    """A small copy as a data URI of a JPEG without metadata, and its width and height."""
    small = image.copy()
    small.thumbnail((side, side))
    data = encode_image(small, "jpeg", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii"), small.width, small.height


def encode_image(image: Image, form: str, *, quality: int = _QUALITY) -> bytes:
    """The bytes of a JPEG or PNG, without metadata.

    Args:
        image: `L` or `RGB`.
        form: `jpeg` or `png`.
        quality: of the JPEG.
    """
    out = io.BytesIO()
    plain = image.copy()
    plain.info = {}
    plain.save(out, "JPEG", quality=quality) if form == "jpeg" else plain.save(out, "PNG")
    return out.getvalue()


def fault(what: str, error: Exception | str) -> DataError:
    """The refusal of a file, with `what` under `details["fault"]`."""
    said = printable(str(error).partition("\n")[0], 120) or type(error).__name__
    return DataError(ErrorCode.UNREADABLE, f"{what}: {said}", details={"fault": what})


def _opened(file: BinaryIO) -> Any:
    """The image, of which the head was read; within the bounds."""
    image_module = pillow()
    start = file.read(HEAD)
    file.seek(0)
    if KIND_OF_FORMAT.get(format_of_bytes(start)) != "image":
        raise fault("empty" if not start else "refused", "it begins as none of " + ", ".join(_FORMATS))
    try:
        image = image_module.open(file, formats=_FORMATS)
        width, height = image.size
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning):
        raise fault("too large", f"it claims more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise fault("truncated" if _is_cut(error) else "damaged", error) from None
    if width * height > MAX_PIXELS:
        raise fault("too large", f"{width:,} x {height:,} pixels, where {MAX_PIXELS:,} are read at most")
    return image


def _says_how_it_stands(image: Any) -> bool:
    """Whether there may be EXIF; a PNG is asked only for what stands in its head, else it would be decoded for it."""
    return image.format != "PNG" or "exif" in image.info


def _is_turned(image: Any) -> bool:
    """Whether EXIF turns the image by 90°; of a TIFF, Pillow gives the size as it is shown."""
    return image.format != "TIFF" and _says_how_it_stands(image) and image.getexif().get(_ORIENTATION, 1) in _TURNED


def _is_cut(error: Exception) -> bool:
    said = str(error).lower()
    return "truncat" in said or "unexpected end" in said or isinstance(error, EOFError | struct.error | IndexError)


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - a damaged EXIF turns nothing
        return image


def _plain(image: Any) -> Image:
    image_module = pillow()
    if image.mode in ("L", "RGB"):
        return image  # type: ignore[no-any-return]
    if image.mode == "1":
        return image.convert("L")  # type: ignore[no-any-return]
    if image.mode.startswith("I;16"):
        return image_module.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # type: ignore[no-any-return]
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
        return image_module.fromarray(scaled.round().astype(np.uint8))  # type: ignore[no-any-return]
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = image_module.new("RGBA", image.size, (255, 255, 255, 255))
        image = image_module.alpha_composite(paper, image)
    return image.convert("RGB")  # type: ignore[no-any-return]
