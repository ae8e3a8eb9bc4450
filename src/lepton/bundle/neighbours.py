"""Rows that are like each other by what a model makes of them: exact search over embeddings, kept in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError, printable
from lepton.store import open_read, replace_file

__all__ = ["Index", "Neighbours"]

_MAGIC = b"lepton index 1\n"
_MOST_HEADER = 4_096
_MOST_SIZE = 65_536
_CELLS = 2**24  # similarities that are held at once


class Neighbours(NamedTuple):
    """What was found for M rows.

    Attributes:
        ids: int64 [M, k], positions of rows in the index, the nearest first; of equally near ones the lowest.
        distances: float64 [M, k], 1 less the cosine of the angle: 0 for the same direction, 1 for nothing in common.
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.float64]


class Index:
    """Embeddings of rows, searched whole: nothing is missed, at a time that grows with the rows.

    Args:
        embed: takes rows to their embeddings [N, D].
        model_id: of the model that does it.
        vectors: embeddings [N, D] of the rows that are searched.
    """

    def __init__(self, embed: Callable[[Any], NDArray[Any]], model_id: str, vectors: NDArray[Any]) -> None:
        self._embed = embed
        self.model_id = model_id
        self._vectors = _unit(vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(self, rows: Any, k: int = 5) -> Neighbours:
        """The rows of the index that are nearest to each of `rows`.

        Args:
            rows: as `Model.predict` takes them.
            k: how many; all, where there are fewer.

        Raises:
            UsageError: `k` is no whole number above 0.
        """
        most = min(_checked(k), len(self))
        asked = _unit(self._embed(rows))
        ids = np.empty((len(asked), most), dtype=np.int64)
        distances = np.empty((len(asked), most))
        step = max(1, _CELLS // max(len(self), 1))
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            ids[part], distances[part] = _nearest(1.0 - asked[part] @ self._vectors.T, most)
        return Neighbours(ids, distances)

    def save(self, path: str | Path) -> Path:
        """Write the index to one file, whole or not at all; it holds embeddings and the id of the model, no rows.

        Raises:
            StoreError: the disk refuses.
        """
        header = json.dumps({"model_id": self.model_id, "shape": list(self._vectors.shape)}).encode()
        with replace_file(path) as file:
            file.write(_MAGIC + len(header).to_bytes(4, "little") + header)
            file.write(np.ascontiguousarray(self._vectors, dtype="<f4").data)
        return Path(path)

    @classmethod
    def open(cls, path: str | Path, embed: Callable[[Any], NDArray[Any]], model_id: str) -> Index:
        """Read what `save` wrote.

        Raises:
            DataError: no index, a damaged one, or one of another model.
        """
        name = printable(Path(path).name)
        with open_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(len(_MAGIC) + 4)
            length = int.from_bytes(start[len(_MAGIC) :], "little")
            if not start.startswith(_MAGIC) or length > _MOST_HEADER:
                raise DataError(ErrorCode.BAD_VALUE, f"'{name}' is no index", wanted="a file that Index.save wrote")
            of_model, (num_rows, width) = _header(file.read(length), name)
            if of_model != model_id:
                raise DataError(
                    ErrorCode.BAD_VALUE,
                    f"'{name}' is of the model {printable(of_model[:12])}, and this one is {model_id[:12]}",
                    wanted="an index of this model",
                    fix="make it again: model.index(rows).save(…)",
                )
            if size != len(_MAGIC) + 4 + length + 4 * num_rows * width:
                raise DataError(
                    ErrorCode.BAD_VALUE, f"'{name}' is cut short, or longer than it says", fix="make it again"
                )
            vectors = np.frombuffer(file.read(), dtype="<f4").reshape(num_rows, width)
        if not np.isfinite(vectors).all():
            raise DataError(ErrorCode.BAD_VALUE, f"'{name}' holds NaN or infinity", fix="make it again")
        return cls(embed, model_id, vectors)


def _checked(k: Any) -> int:
    whole = int(k) if isinstance(k, int | np.integer) and not isinstance(k, bool | np.bool_) else 0
    if whole >= 1:
        return whole
    raise UsageError(ErrorCode.USAGE, f"got k={k!r}", wanted="a whole number of at least 1")


def _header(raw: bytes, name: str) -> tuple[str, tuple[int, int]]:
    try:
        found = json.loads(raw)
        num_rows, width = found["shape"]
        model_id = found["model_id"]
        known = type(num_rows) is int and type(width) is int and isinstance(model_id, str)
        known = known and num_rows >= 0 and 1 <= width <= _MOST_SIZE
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise DataError(ErrorCode.BAD_VALUE, f"the head of '{name}' cannot be read", fix="make the index again")
    return model_id, (num_rows, width)


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors of length 1; those of length 0 stay so."""
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0)[:, None], dtype=np.float32)


def _nearest(distances: NDArray[Any], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions [M, most] of the least of each row, in order, and these."""
    if most < distances.shape[1]:
        # All that are as near as the last one belong to the candidates, so that the lowest positions win.
        limit = np.partition(distances, most - 1, axis=1)[:, most - 1 : most]
        distances = np.where(distances <= limit, distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :most]
    return order.astype(np.int64), np.take_along_axis(distances, order, axis=1).astype(np.float64)
