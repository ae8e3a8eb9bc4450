"""NIfTI: the slices of a volume. Of the header only sizes, types, scales and the place in space are read.

Source: the NIfTI-1 and NIfTI-2 data formats. Free texts of the header and its extensions, which may hold a whole DICOM
header, are never looked at.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import LeptonError, MissingExtraError
from lepton.data.media.images import MAX_PIXELS, fault
from lepton.data.media.scans.frames import MAX_VALUES, Scan, ScanFrame, finite
from lepton.data.media.scans.options import AXES, FrameOptions
from lepton.data.media.scans.windows import Window, plain_grey, usual_window

__all__ = ["read_nifti"]

_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
_MOST_OFFSET = 16 * 2**20  # bytes between the header and the voxels: extensions, which are skipped
_SAMPLE = 2_000_000


def read_nifti(data: bytes, options: FrameOptions) -> Scan:
    """The slices of a NIfTI volume, packed by gzip or not; volumes of a series one after the other.

    The axes are turned so that they go to the right, to the front and up of the patient, by the best transform that the
    header gives. Slices are shown as radiologists hang them, the patient's right on the left: axial ones with the front
    above, others with the head above. Voxels that are no numbers are black.

    Args:
        data: the file.
        options: the axis, and the window in place of that of the header.

    Raises:
        DataError: `UNREADABLE`; what the file says is never part of the message.
        MissingExtraError: nibabel is not installed.
    """
    try:
        volume = _Volume.of(data)
        window, how = volume.window(options)
        holes = volume.holes()
    except LeptonError:
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise fault("truncated" if isinstance(error, EOFError) else "damaged", "the gzip stream is not whole") from None
    except MemoryError:
        raise fault("too large", "there is no memory for what its header claims") from None
    except Exception as error:  # noqa: BLE001 - a parser raises anything at all on a hostile file
        raise fault("damaged", f"it cannot be parsed ({type(error).__name__})") from None
    return Scan(volume.slices(AXES.index(options.axis), window), how, holes=holes)


@dataclass(frozen=True, slots=True)
class _Volume:
    """Voxels `[right, front, up, times]`, or with colours `[right, front, up, times, 3]`, as they are stored."""

    voxels: NDArray[Any]
    slope: float
    intercept: float
    spacing: tuple[float | None, ...]
    origin: tuple[float | None, ...]
    steps: tuple[float | None, ...]
    shown: tuple[float, float] | None

    @classmethod
    def of(cls, data: bytes) -> _Volume:
        nibabel = _nibabel()
        stream: Any = gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(b"\x1f\x8b") else io.BytesIO(data)
        start = stream.read(4)
        if len(start) < 4:
            raise fault("truncated" if start else "empty", "the header is not whole")
        size = next((n for n in _SIZES if start in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), 0)
        head = start + stream.read(max(size - 4, 0))
        if not size or (size == 348 and head[344:348] != b"n+1\0") or (size == 540 and head[4:8] != b"n+2\0"):
            raise fault("refused" if len(head) >= size else "truncated", "it begins as no NIfTI file in one part")
        header = getattr(nibabel, _SIZES[size])(head, check=False)
        shape, dtype = _shape(header), _dtype(header)
        offset = int(header["vox_offset"])
        if not size <= offset <= _MOST_OFFSET:
            raise fault("damaged", "the voxels start at an odd place")
        wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
        _skip(stream, offset - size)
        held = stream.read(wanted)  # never more than the header claims, whatever the stream would unpack to
        if len(held) < wanted:
            raise fault("truncated", f"{len(held):,} of {wanted:,} bytes of voxels are there")
        voxels = np.frombuffer(held, dtype).reshape(shape, order="F")
        if dtype.names:
            voxels = np.stack([voxels[name] for name in ("R", "G", "B")], axis=-1)
        return cls._turned(nibabel, header, voxels)

    @classmethod
    def _turned(cls, nibabel: Any, header: Any, voxels: NDArray[Any]) -> _Volume:
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        if not np.isfinite(affine).all():
            raise fault("damaged", "its place in space is no number")
        order = nibabel.io_orientation(affine)
        if np.isnan(order).any():
            raise fault("damaged", "its axes do not span a space")
        sizes = voxels.shape[:3]
        turned = affine @ nibabel.orientations.inv_ornt_aff(order, sizes)
        slope, intercept = finite(header["scl_slope"]), finite(header["scl_inter"])
        low, high = finite(header["cal_min"]), finite(header["cal_max"])
        is_shown = low is not None and high is not None and high > low
        return cls(
            nibabel.apply_orientation(voxels, order),
            slope or 1.0,
            (intercept or 0.0) if slope else 0.0,
            tuple(finite(each) for each in np.sqrt(np.square(turned[:3, :3]).sum(axis=0))),
            tuple(finite(each) for each in turned[:3, 3]),
            tuple(finite(each) for each in np.diag(turned[:3, :3])),
            (low or 0.0, high or 0.0) if is_shown else None,
        )

    @property
    def _in_colour(self) -> bool:
        return self.voxels.ndim == 5

    def _scaled(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            values: NDArray[np.float64] = stored.astype(np.float64) * self.slope + self.intercept
        return values

    def holes(self) -> bool:
        return self.voxels.dtype.kind == "f" and not all(
            np.isfinite(self.voxels[:, :, place]).all() for place in range(self.voxels.shape[2])
        )

    def window(self, options: FrameOptions) -> tuple[Window | None, str]:
        if self._in_colour:
            return None, "colours, as they are"
        if options.window is not None:
            return Window(*options.window), "by the window that was asked for"
        if self.shown is not None:
            return Window.between(*self.shown), "by the window of the header"
        if self.voxels.dtype == np.uint8 and (self.slope, self.intercept) == (1.0, 0.0):
            return None, "8 bits, as they are"
        step = math.ceil((self.voxels.size / _SAMPLE) ** (1 / 3))
        found = usual_window([self._scaled(self.voxels[::step, ::step, ::step])])
        if found is None:
            raise fault("empty", "no voxel is a number")
        return found, "from where 0.5 % of the values lie below to where 0.5 % lie above"

    def slices(self, axis: int, window: Window | None) -> Iterator[ScanFrame]:
        """The slices across one axis, of each volume; rows from above or in front, columns as seen from the feet."""
        across, down = ((1, 2), (0, 2), (0, 1))[axis]
        times = self.voxels.shape[3]
        for time in range(times):
            for place in range(self.voxels.shape[axis]):
                stored = np.take(self.voxels[:, :, :, time], place, axis)
                held = np.flip(np.swapaxes(stored, 0, 1), (0, 1))
                picture = held if self._in_colour else (window.grey if window else plain_grey)(self._scaled(held))
                origin, step = self.origin[axis], self.steps[axis]
                yield ScanFrame(
                    np.ascontiguousarray(picture),
                    {
                        "format": "nifti",
                        "volume": time + 1 if times > 1 else None,
                        "slice": place + 1,
                        "position": None if origin is None or step is None else origin + step * place,
                        "row_spacing": self.spacing[down],
                        "column_spacing": self.spacing[across],
                        "thickness": self.spacing[axis],
                        "window_center": window.center if window else None,
                        "window_width": window.width if window else None,
                    },
                )


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError("nibabel", "media", "reading NIfTI files") from None
    return nibabel


def _shape(header: Any) -> tuple[int, int, int, int]:
    """Sizes of the four axes, checked before anything of them is read."""
    sizes = [int(each) for each in header["dim"]]
    count = sizes[0]
    if (
        not 2 <= count <= 7
        or any(each < 1 for each in sizes[1 : count + 1])
        or any(each > 1 for each in sizes[5 : count + 1])
    ):
        raise fault("refused", "it is no volume, and no series of volumes")
    full = [*sizes[1 : count + 1], 1, 1][:4]
    total = int(np.prod(full, dtype=object))
    if total > MAX_VALUES or max(full[0] * full[1], full[0] * full[2], full[1] * full[2]) > MAX_PIXELS:
        came = " x ".join(f"{each:,}" for each in full)
        raise fault("too large", f"{came} voxels, where {MAX_VALUES:,} are read at most")
    return full[0], full[1], full[2], full[3]


def _dtype(header: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = header.get_data_dtype()
    if dtype.names is not None and dtype.names[:3] == ("R", "G", "B"):
        return dtype
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise fault("refused", "its voxels are no plain numbers")
    return dtype


def _skip(stream: Any, count: int) -> None:
    while count > 0:
        piece = stream.read(min(count, 2**16))
        if not piece:
            raise fault("truncated", "the voxels are not there")
        count -= len(piece)
