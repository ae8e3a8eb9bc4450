"""The hash of a table's content, whatever file it stands in and in whatever pieces it is read."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import polars as pl

from lepton.core import Schema

__all__ = ["Fingerprint"]


class Fingerprint:
    """sha256 of column names, kinds and values in order, from a stream of frames.

    Numbers count as doubles, datetimes as microseconds, texts in NFC, whatever is missing as missing.

    >>> from lepton.core import ColumnRecord, Kind
    >>> found = Fingerprint(Schema((ColumnRecord("rooms", Kind.NUMBER),)))
    >>> found.update(pl.DataFrame({"rooms": [3.0, None]}))
    >>> found.hexdigest()[:8]
    '3ad48183'
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._hashes = {name: (sha256(), sha256(), sha256()) for name in schema.names}
        self._num_rows = 0
        self._doubles = np.empty(0)  # used again for every column: new memory costs more than what is done with it
        self._ones = np.empty(0, dtype=np.uint8)

    def update(self, frame: pl.DataFrame) -> None:
        """Add rows, typed as the schema says."""
        self._num_rows += frame.height
        if frame.height > len(self._doubles):
            self._doubles, self._ones = np.empty(frame.height), np.ones(frame.height, dtype=np.uint8)
        for name, (present, sizes, values) in self._hashes.items():
            series = frame[name]
            if series.null_count():
                present.update(series.is_not_null().cast(pl.UInt8).to_numpy().data)
            else:
                present.update(self._ones[: frame.height].data)
            if isinstance(series.dtype, pl.String):
                texts = series.fill_null("")
                sizes.update(texts.str.len_bytes().cast(pl.UInt64).to_numpy().astype("<u8", copy=False).data)
                values.update((texts.str.join("")[0] or "").encode())
            else:
                values.update(self._canonical(series))

    def _canonical(self, series: pl.Series) -> memoryview:
        """Numbers and booleans as doubles, datetimes as integers, little-endian; missing is 0; -0.0 is 0.0."""
        if isinstance(series.dtype, pl.Datetime):
            return series.to_physical().fill_null(0).to_numpy().astype("<i8", copy=False).data
        doubles = np.add(series.cast(pl.Float64).fill_null(0.0).to_numpy(), 0.0, out=self._doubles[: len(series)])
        held: memoryview = doubles.astype("<f8", copy=False).data
        return held

    def hexdigest(self) -> str:
        """64 hexadecimal digits for the rows so far."""
        whole = sha256(f"{self._num_rows}\n".encode())
        for record in self._schema:
            whole.update(repr((record.name, str(record.kind), record.time_zone)).encode())
            for part in self._hashes[record.name]:
                whole.update(part.digest())
        return whole.hexdigest()
