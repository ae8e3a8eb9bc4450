"""DICOM: the pictures of a file and its technical facts. No other element of the header is ever read.

Source: DICOM PS3.3 (C.7.6.3 image pixels, C.7.6.16 multi-frame groups, C.11 look-up tables) and PS3.10 (files).
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import LeptonError, MissingExtraError
from lepton.data.media.images import MAX_PIXELS, fault, pillow
from lepton.data.media.scans.frames import MAX_VALUES, Facts, Scan, ScanFrame, finite
from lepton.data.media.scans.options import FrameOptions
from lepton.data.media.scans.windows import Shape, Window, plain_grey, usual_window
from lepton.data.media.signatures import HEAD, format_of_bytes

__all__ = ["MODALITIES", "read_dicom", "transfer_syntax"]

_ALLOWED = (
    "StudyInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber", "BurnedInAnnotation",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PhotometricInterpretation", "PixelPaddingValue", "FloatPixelData", "DoubleFloatPixelData",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
    "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
"""Elements that are read. Names, numbers, dates, places and free text of a patient are not among them."""

MODALITIES = frozenset({
    "CR", "CT", "DX", "ECG", "ES", "GM", "IO", "IVOCT", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX",
    "RF", "RG", "SC", "SM", "TG", "US", "XA", "XC",
})  # fmt: skip
"""Words of the table; another one, which could be anything, is left out."""

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_CODECS: Mapping[str, tuple[str, str]] = {
    "1.2.840.10008.1.2.4.51": ("JPEG Extended", "python-gdcm"),
    "1.2.840.10008.1.2.4.57": ("JPEG Lossless", "python-gdcm"),
    "1.2.840.10008.1.2.4.70": ("JPEG Lossless", "python-gdcm"),
    "1.2.840.10008.1.2.4.80": ("JPEG-LS", "pyjpegls"),
    "1.2.840.10008.1.2.4.81": ("JPEG-LS", "pyjpegls"),
    "1.2.840.10008.1.2.4.90": ("JPEG 2000", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.91": ("JPEG 2000", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.201": ("HTJ2K", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.202": ("HTJ2K", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.203": ("HTJ2K", "pylibjpeg-openjpeg"),
}
"""Transfer syntax → its name, and a library under a permissive licence that decodes it."""

_KINDS = frozenset({
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT",
})  # fmt: skip
_TAG = 8  # bytes of an element before its value, at least
_LOOKED_AT = 16  # frames that a window is taken from
_LONG_VR = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


def read_dicom(data: bytes, options: FrameOptions) -> Scan:
    """The pictures of a DICOM file.

    Values go through the modality look-up table or rescale, then through the window: as the caller says, or the first
    one of the header; else, 8-bit values stay as they are and deeper ones are shown from where 0.5 % lie below to where
    0.5 % lie above. `MONOCHROME1` is inverted. Colours become RGB.

    Args:
        data: the file.
        options: what the caller says of windows.

    Raises:
        DataError: `UNREADABLE`; what the file says is never part of the message.
        MissingExtraError: pydicom, Pillow, or the decoder of the file's transfer syntax is not installed.
    """
    pydicom, pillow_image = _pydicom(), pillow()
    syntax = transfer_syntax(data)
    with _guarded(pillow_image):
        stream = io.BytesIO(data)
        header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_ALLOWED))
        pixels = _Pixels.of(header, syntax, data, stream.tell())
        window, how = _window_of(header, pixels, options)
        study, series = (str(header.get(uid, "") or "") for uid in ("StudyInstanceUID", "SeriesInstanceUID"))
    return Scan(_frames(header, pixels, window, pillow_image), how, study, series)


def transfer_syntax(data: bytes) -> str:
    """The UID that says how a DICOM file is packed, from its file meta information.

    Raises:
        DataError: this is no DICOM file, or is cut.
    """
    if data[128:132] != b"DICM":
        begins = format_of_bytes(data[:HEAD])
        raise fault(
            "refused" if data else "empty", "it begins as no DICOM file" + (f", but as {begins}" if begins else "")
        )
    place = 132
    while place + 8 <= len(data) and data[place : place + 2] == b"\x02\0":
        element, vr, length = struct.unpack_from("<2xH2sH", data, place)
        place += 8
        if vr in _LONG_VR:
            (length,) = struct.unpack_from("<I", data.ljust(place + 4, b"\0"), place)
            place += 4
        if element == 0x0010:
            return data[place : place + min(length, 64)].rstrip(b"\0 ").decode("ascii", "replace")
        place += length
    raise fault("truncated" if place >= len(data) else "damaged", "no transfer syntax stands in its head")


def _pydicom() -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError:
        raise MissingExtraError("pydicom", "media", "reading DICOM files") from None
    return pydicom


@contextmanager
def _guarded(pillow_image: Any) -> Iterator[None]:
    """Nothing that the library says of a file leaves: its errors, warnings and log lines can quote the header."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow_image.DecompressionBombWarning)
            yield
    except LeptonError:
        raise
    except MemoryError:
        raise fault("too large", "there is no memory for what its header claims") from None
    except Exception as error:  # noqa: BLE001 - a parser raises anything at all on a hostile file
        raise fault("damaged", f"it cannot be parsed ({type(error).__name__})") from None
    finally:
        logger.setLevel(level)


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What the pixels are, checked before any of them is decoded."""

    data: bytes
    frames: int
    kind: str
    bits: int
    syntax: str

    @classmethod
    def of(cls, header: Any, syntax: str, data: bytes, start: int) -> _Pixels:
        rows, columns = _whole(header, "Rows"), _whole(header, "Columns")
        if not rows or not columns:
            raise fault("no picture", "the file holds no pixels")
        frames, samples = _whole(header, "NumberOfFrames") or 1, _whole(header, "SamplesPerPixel") or 1
        allocated = _whole(header, "BitsAllocated") or 16
        values = rows * columns * frames * samples
        if rows * columns > MAX_PIXELS or values > MAX_VALUES:
            came = f"{frames:,} pictures of {columns:,} x {rows:,} pixels"
            raise fault("too large", f"{came}, where {MAX_PIXELS:,} pixels and {MAX_VALUES:,} values are read at most")
        if syntax == _DEFLATED:
            raise fault("refused", "its header is deflated, which is not unpacked; write it again without")
        kind = str(header.get("PhotometricInterpretation", "") or "").strip().upper()
        if kind not in _KINDS:
            raise fault("refused", "its colours are of a kind that is not read")
        if syntax in _NATIVE:
            share = 2 / 3 if kind == "YBR_FULL_422" else 1
            wanted, there = int(values * share * allocated / 8), max(len(data) - start - _TAG, 0)
            if wanted > there:
                raise fault("truncated", f"{there:,} of {wanted:,} bytes of pixels are there")
        else:
            _check_codec(syntax)
        return cls(data, frames, kind, _whole(header, "BitsStored") or allocated, syntax)

    def decoded(self, indices: list[int] | None = None) -> Iterator[NDArray[Any]]:
        from pydicom.pixels import iter_pixels

        return iter_pixels(io.BytesIO(self.data), indices=indices)  # type: ignore[no-any-return]

    @property
    def grey(self) -> bool:
        return self.kind in ("MONOCHROME1", "MONOCHROME2")


def _check_codec(syntax: str) -> None:
    from pydicom.pixels import get_decoder

    name, library = _CODECS.get(syntax, ("", ""))
    try:
        ready = get_decoder(syntax).is_available
    except NotImplementedError:
        raise fault("refused", "it is packed in a way that is not read; write it again without compression") from None
    if not ready:
        raise MissingExtraError(library or "pylibjpeg", "", f"decoding a DICOM file packed as {name or syntax}")


def _window_of(header: Any, pixels: _Pixels, options: FrameOptions) -> tuple[Window | None, str]:
    """The window of all frames, and why; None where each frame has its own, or needs none."""
    if not pixels.grey:
        return None, "colours, as they are"
    if options.window is not None:
        return Window(*options.window), "by the window that was asked for"
    if all(_own_window(header, index) is not None for index in range(pixels.frames)):
        return None, "by the window of the header"
    if header.get("VOILUTSequence"):
        return None, "by the look-up table of the header"
    if pixels.bits <= 8 and "ModalityLUTSequence" not in header and _rescale(header, 0) == (1.0, 0.0):
        return None, "8 bits, as they are"
    step = max(pixels.frames // _LOOKED_AT, 1)
    some = list(range(0, pixels.frames, step))
    padding = finite(header.get("PixelPaddingValue"))
    slope, intercept = _rescale(header, 0)
    values = [_values(header, raw, index) for index, raw in zip(some, pixels.decoded(some), strict=True)]
    found = usual_window(values, None if padding is None else padding * slope + intercept)
    return found or Window.between(0, 1), "from where 0.5 % of the values lie below to where 0.5 % lie above"


def _frames(header: Any, pixels: _Pixels, window: Window | None, pillow_image: Any) -> Iterator[ScanFrame]:
    with _guarded(pillow_image):
        decoded = pixels.decoded()
        common = _common_facts(header)
    for index in range(pixels.frames):
        with _guarded(pillow_image):
            raw = next(decoded, None)
            if raw is None:
                raise fault("truncated", f"{index:,} of {pixels.frames:,} pictures are there")
            shown = window or (_own_window(header, index) if pixels.grey else None)
            picture = _grey(header, pixels, raw, index, shown) if pixels.grey else _colours(header, pixels, raw)
            facts = _facts(header, index, pixels.frames, shown)
        yield ScanFrame(np.ascontiguousarray(picture), {**common, **facts})


def _grey(header: Any, pixels: _Pixels, raw: NDArray[Any], index: int, window: Window | None) -> NDArray[np.uint8]:
    values = _values(header, raw, index)
    if window is not None:
        picture = window.grey(values)
    elif tables := header.get("VOILUTSequence"):
        from pydicom.pixels import apply_voi

        bits = int(tables[0].LUTDescriptor[2])
        looked_up = apply_voi(np.rint(values).astype(np.int64), header).astype(np.float64)
        picture = Window.between(0, 2**bits - 1).grey(looked_up)
    else:
        picture = plain_grey(values if _is_unsigned(header) else values + 2 ** (pixels.bits - 1))
    return 255 - picture if pixels.kind == "MONOCHROME1" else picture


def _values(header: Any, raw: NDArray[Any], index: int) -> NDArray[np.float64]:
    """The values that a frame stands for, by the modality look-up table or by rescale."""
    if header.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        values: NDArray[np.float64] = apply_modality_lut(raw, header).astype(np.float64)
        return values
    slope, intercept = _rescale(header, index)
    scaled: NDArray[np.float64] = raw.astype(np.float64) * slope + intercept
    return scaled


def _colours(header: Any, pixels: _Pixels, raw: NDArray[Any]) -> NDArray[np.uint8]:
    bits = pixels.bits
    if pixels.kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        raw = apply_color_lut(raw, header)
        bits = 8 * raw.dtype.itemsize
    if raw.ndim != 3 or raw.shape[2] != 3:
        raise fault("refused", "its colours are of a kind that is not read")
    return (raw >> max(bits - 8, 0)).astype(np.uint8)


def _common_facts(header: Any) -> Facts:
    modality = str(header.get("Modality", "") or "").strip().upper()
    burned_in = str(header.get("BurnedInAnnotation", "") or "").strip().upper()
    return {
        "format": "dicom",
        "modality": modality if modality in MODALITIES else None,
        "burned_in": burned_in.lower() if burned_in in ("YES", "NO") else None,
    }


def _facts(header: Any, index: int, frames: int, window: Window | None) -> Facts:
    spacing = _numbers(_of_frame(header, index, "PixelMeasuresSequence", "PixelSpacing"), 2)
    spacing = spacing or _numbers(header.get("ImagerPixelSpacing"), 2)
    return {
        "slice": index + 1 if frames > 1 else _whole(header, "InstanceNumber"),
        "position": _position(header, index),
        "row_spacing": spacing[0] if spacing else None,
        "column_spacing": spacing[1] if spacing else None,
        "thickness": finite(_of_frame(header, index, "PixelMeasuresSequence", "SliceThickness")),
        "window_center": window.center if window else None,
        "window_width": window.width if window else None,
    }


def _position(header: Any, index: int) -> float | None:
    """Where the slice lies along the normal of its plane, in mm."""
    corner = _numbers(_of_frame(header, index, "PlanePositionSequence", "ImagePositionPatient"), 3)
    plane = _numbers(_of_frame(header, index, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    if not corner or not plane:
        return None
    return finite(np.dot(np.cross(plane[:3], plane[3:]), corner))


def _own_window(header: Any, index: int) -> Window | None:
    """The first window that the header gives for a frame."""
    center = _first(_of_frame(header, index, "FrameVOILUTSequence", "WindowCenter"))
    width = _first(_of_frame(header, index, "FrameVOILUTSequence", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    named = str(_of_frame(header, index, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR").strip().upper()
    return Window(center, width, Shape(named) if named in set(Shape) else Shape.LINEAR)


def _rescale(header: Any, index: int) -> tuple[float, float]:
    slope = finite(_of_frame(header, index, "PixelValueTransformationSequence", "RescaleSlope"))
    intercept = finite(_of_frame(header, index, "PixelValueTransformationSequence", "RescaleIntercept"))
    return slope or 1.0, intercept or 0.0


def _of_frame(header: Any, index: int, group: str, keyword: str) -> Any:
    """What the header says of a frame: by the frame's own group, by that of all frames, or by itself."""
    each = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for groups in (each[index : index + 1], shared[:1]):
        for item in groups:
            if (found := item.get(group)) and found[0].get(keyword) is not None:
                return found[0].get(keyword)
    return header.get(keyword)


def _first(value: Any) -> float | None:
    if isinstance(value, str | bytes) or not hasattr(value, "__getitem__"):
        return finite(value)
    return finite(value[0]) if len(value) else None


def _numbers(value: Any, count: int) -> list[float] | None:
    if not hasattr(value, "__len__") or isinstance(value, str | bytes) or len(value) != count:
        return None
    found = [finite(each) for each in value]
    return None if None in found else [each for each in found if each is not None]


def _whole(header: Any, keyword: str) -> int | None:
    number = finite(header.get(keyword))
    return None if number is None or number != int(number) or abs(number) >= 2**31 else int(number)


def _is_unsigned(header: Any) -> bool:
    return _whole(header, "PixelRepresentation") != 1
