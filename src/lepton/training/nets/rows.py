"""What `LeptonNet` takes as rows: the habits of other libraries, each understood or refused with one message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, SchemaError
from lepton.training.nets.spec import NetSpec

__all__ = ["Rows", "class_numbers"]

_BRIGHTEST = 255.0


@dataclass
class Rows:
    """Takes rows for the net of a spec.

    Attributes:
        spec: of the net.
        unit: whether decimal pixels go from 0 to 1, or to 255; learned from the first batch of them.
    """

    spec: NetSpec
    unit: bool | None = None

    def take(self, x: Any) -> NDArray[Any]:
        """Rows as the module takes them: pictures uint8 or float32 from 0 to 255, anything else float32.

        Raises:
            SchemaError: the shape does not fit.
            DataError: NaN, or values that are no pixels.
        """
        try:
            array = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
        except ValueError:  # rows of different sizes
            array = np.array(None)
        if array.dtype == object or array.dtype.kind not in "biuf":
            raise SchemaError(
                ErrorCode.WRONG_SHAPE, "got rows that make no array of numbers",
                wanted=f"one array {self._wanted()}", fix="make all rows equally large",
            )  # fmt: skip
        array = self._shaped(array)
        if self.spec.kind == "image":
            return self._pixels(array)
        array = array.astype(np.float32, copy=False)
        if self.spec.kind == "spectrogram" or np.isinf(array).any():
            _check_finite(array)
        return array

    def _wanted(self) -> str:
        return "[N, " + ", ".join("?" if size is None else str(size) for size in self.spec.input_shape) + "]"

    def _shaped(self, array: NDArray[Any]) -> NDArray[Any]:
        shape = self.spec.input_shape
        if _fits(array.shape[1:], shape):
            return array
        if self.spec.kind == "image":
            height, width, channels = shape
            if channels == 1 and _fits(array.shape[1:], (height, width)):
                return array[..., None]
            if _fits(array.shape[1:], (channels, height, width)):
                return np.ascontiguousarray(np.moveaxis(array, 1, -1))
        fix = ""
        if _fits(array.shape, shape):
            fix = "this is one row: x[None] is an array of one"
        elif self.spec.kind == "series" and _fits(array.shape[1:], shape[::-1]):
            fix = "steps come before features: numpy.swapaxes(x, 1, 2)"
        raise SchemaError(ErrorCode.WRONG_SHAPE, f"got rows of the shape {array.shape}", wanted=self._wanted(), fix=fix)

    def _pixels(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype == np.uint8:
            return array
        if array.dtype == bool:
            return array.astype(np.uint8) * np.uint8(_BRIGHTEST)
        if len(array) == 0:
            return array.astype(np.float32)
        least, most = float(array.min()), float(array.max())
        if not np.isfinite([least, most]).all():
            _check_finite(array)
        if least < 0 or most > _BRIGHTEST:
            raise DataError(
                ErrorCode.BAD_VALUE, f"got pixels from {least:g} to {most:g}", wanted="0 to 255, or 0 to 1",
                fix="give the pictures as they are: means and standard deviations are inside the net",
            )  # fmt: skip
        if array.dtype.kind in "iu":
            return array.astype(np.uint8)
        if self.unit is None:
            self.unit = most <= 1.0
        if self.unit and most > 1.0:
            raise DataError(
                ErrorCode.BAD_VALUE, f"got pixels up to {most:g} after pixels from 0 to 1", wanted="one scale",
                fix="divide by 255, or give uint8",
            )  # fmt: skip
        return array.astype(np.float32) * np.float32(_BRIGHTEST if self.unit else 1.0)


def class_numbers(y: Any) -> NDArray[np.int64]:
    """Targets, one-hot or numbers, as numbers [N]."""
    array = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    return array.reshape(len(array)).astype(np.int64)


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(w is None or f == w for f, w in zip(found, wanted, strict=True))


def _check_finite(array: NDArray[Any]) -> None:
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        raise DataError(
            ErrorCode.BAD_VALUE, f"row {int(bad.argmax())} holds NaN or infinity, one of {int(bad.sum())} such rows",
            wanted="finite numbers", fix="drop or mend those rows: numpy.isfinite finds them",
        )  # fmt: skip
