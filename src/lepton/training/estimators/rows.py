"""Rows for an estimator, block by block and as often as needed: from arrays, or from a data set of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind, MissingExtraError, Role, UsageError
from lepton.data import Dataset, read

__all__ = ["Block", "Blocks", "Doubles", "StreamedRows", "Team", "Thinned", "is_stream", "product"]

Doubles = NDArray[np.float64]
Block = tuple[NDArray[Any], NDArray[Any], Doubles | None]
"""Features [n, K], targets [n] or [n, T], weights [n] or None."""
Blocks = Callable[[], Iterator[Block]]
"""Gives all rows from the start, each time it is called."""
R = TypeVar("R")

_NUMERIC = (Kind.NUMBER, Kind.BOOLEAN)
_PART_CELLS = 262_144
_MIN_PART_ROWS = 256
_MAX_PART_ROWS = 16_384
_PARTS_AHEAD = 64


def is_stream(source: Any) -> bool:
    """Whether `source` is read block by block: a `Dataset` or a path."""
    return isinstance(source, Dataset | str | Path)


class StreamedRows:
    """The numeric features of a data set, with its target and weights.

    Args:
        source: a data set or a path.
        target: name of the target; None for the column whose role that is, or for an estimator without one.
        kind: `regressor`, `classifier` or `clusterer`.

    Raises:
        DataError: a feature is no number, there is none, or the target is of the wrong kind.
        UsageError: the estimator needs a target and none is named.
    """

    def __init__(self, source: Dataset | str | Path, target: str | None, kind: str) -> None:
        self.dataset = source if isinstance(source, Dataset) else read(source)
        schema = self.dataset.schema
        if target is None and kind != "clusterer":
            named = schema.of_role(Role.TARGET)
            if len(named) != 1:
                raise UsageError(ErrorCode.USAGE, "the target is not named", fix='fit(table, target="column")')
            target = named[0].name
        self.target = None if target is None else schema[target]
        self._classifies = kind == "classifier"
        if self.target is not None:
            self._check_target(self.target.name, self.target.kind)
        features = [c for c in schema if c.role is Role.FEATURE and c is not self.target]
        if others := [c for c in features if c.kind not in _NUMERIC]:
            listed = ", ".join(f"{c.name!r} ({c.kind})" for c in others[:10])
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"{len(others)} of the columns hold no numbers: {listed}",
                wanted="numbers or booleans",
                fix='leave them out: table.with_roles({"name": "ignored"}); or use lepton.train, which encodes them',
            )
        if not features:
            raise DataError(ErrorCode.BAD_COLUMN_NAMES, "the table has no feature columns", wanted="at least one")
        self.features = tuple(features)
        self.names = tuple(c.name for c in features)
        weights = schema.of_role(Role.WEIGHT)
        if len(weights) > 1:
            listed = ", ".join(repr(c.name) for c in weights)
            raise DataError(ErrorCode.BAD_VALUE, f"the columns {listed} all have the role weight", wanted="at most one")
        self.weight = weights[0].name if weights else None

    def _check_target(self, name: str, kind: Kind) -> None:
        if self._classifies and kind is Kind.DATETIME:
            came = f"the target {name!r} holds dates"
            raise DataError(ErrorCode.BAD_TARGET, came, wanted="classes: texts, whole numbers or booleans")
        if not self._classifies and kind not in _NUMERIC:
            came = f"the target {name!r} is of kind {kind}"
            raise DataError(ErrorCode.BAD_TARGET, came, wanted="numbers", fix="use LogisticRegression for classes")

    def blocks(self) -> Iterator[Block]:
        """Features, targets (empty without one) and weights, in order.

        Raises:
            DataError: a value is missing or not finite; the message names the column and the way out.
        """
        target = None if self.target is None else self.target.name
        wanted = [*self.names, *filter(None, (target, self.weight))]
        seen = 0
        for frame in self.dataset.batches(columns=list(dict.fromkeys(wanted))):
            x = _numbers(frame.select(self.names), seen)
            y = np.empty(0) if target is None else self._targets(frame[target], seen)
            weight = None if self.weight is None else _numbers(frame.select(self.weight), seen)[:, 0]
            if weight is not None and (weight < 0).any():
                row = int(np.flatnonzero(weight < 0)[0])
                came = f"the weight in column {self.weight!r} is {weight[row]:g} in row {seen + row}"
                raise DataError(ErrorCode.BAD_VALUE, came, wanted="at least 0")
            seen += frame.height
            yield x, y, weight
        if seen == 0:
            raise DataError(ErrorCode.EMPTY_DATA, "the table has no rows", wanted="at least one row")

    def _targets(self, column: pl.Series, seen: int) -> NDArray[Any]:
        if not self._classifies or column.dtype.is_float():
            return _numbers(column.to_frame(), seen)[:, 0]
        if column.null_count():
            raise _missing(column, seen)
        # Booleans and whole numbers stay what they are: they are the classes.
        return column.to_numpy().astype(str) if column.dtype == pl.String else column.to_numpy()


def _numbers(frame: pl.DataFrame, seen: int) -> Doubles:
    """`frame` as doubles [n, K] in C order, or an error that names the first cell that is no finite number."""
    x = np.empty(frame.shape)
    for position, column in enumerate(frame):
        if column.null_count():
            raise _missing(column, seen)
        x[:, position] = column.to_numpy()
    # A sum is finite unless a cell is not (or it overflows): one pass without a mask.
    if not np.isfinite(x.sum()) and not (finite := np.isfinite(x)).all():
        row, position = (int(i) for i in np.argwhere(~finite)[0])
        came = f"column {frame.columns[position]!r} holds {x[row, position]} in row {seen + row}"
        raise DataError(ErrorCode.BAD_VALUE, came, wanted="finite numbers", fix="drop or clip such rows first")
    return x


def _missing(column: pl.Series, seen: int) -> DataError:
    return DataError(
        ErrorCode.BAD_VALUE,
        f"column {column.name!r} has no value in row {seen + int(column.is_null().arg_max() or 0)}",
        wanted="every cell filled: the textbook estimators do not guess",
        fix="drop the rows, fill the column, or use lepton.train, which handles missing values",
    )


def product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """`left @ right` beside other threads: numpy's `@` keeps the interpreter's lock for results below 500 cells."""
    return np.asarray(np.dot(left, right))


class Thinned:
    """Rows spread evenly over a source of unknown length: every one up to `limit`, then every second, fourth, ...

    Args:
        limit: at most so many rows are kept, and more than half of it of a longer source.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.num_rows = 0
        self._stride = 1
        self._kept: list[tuple[NDArray[Any], ...]] = []
        self._size = 0

    def add(self, *arrays: NDArray[Any]) -> None:
        """Take the next rows in, given as arrays of the same length."""
        length = len(arrays[0])
        self._keep(tuple(np.array(a[(-self.num_rows) % self._stride :: self._stride]) for a in arrays))
        self.num_rows += length
        while self._size > self.limit:
            halved = tuple(column[::2] for column in self.arrays())
            self._kept, self._size, self._stride = [], 0, self._stride * 2
            self._keep(halved)

    def _keep(self, arrays: tuple[NDArray[Any], ...]) -> None:
        self._kept.append(arrays)
        self._size += len(arrays[0])

    @property
    def is_whole(self) -> bool:
        """Whether every row was kept."""
        return self._stride == 1

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The rows that were kept, as arrays in the order of `add`."""
        return tuple(np.concatenate(parts) for parts in zip(*self._kept, strict=True))


class Team:
    """Threads that sum over rows, to be used as a context; they start when there is enough to share.

    Args:
        num_threads: how many parts are measured at once.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._stack = ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def total(self, blocks: Iterator[Block], measure: Callable[..., R], width: int = 1) -> R:
        """The sum of `measure(x, y, weight)` over all rows, in parts that stay in a core's cache.

        Parts are added in their order, so that the result does not depend on the number of threads.

        Args:
            blocks: the rows.
            measure: gives something that `+` adds.
            width: numbers that `measure` makes of each row, where they are more than the row has.

        Raises:
            DataError: there are no rows.
        """
        found: R | None = None
        for block in blocks:
            parts = _parts(*block, width)
            # What is measured ahead waits for its turn in memory: a few parts at a time.
            for start in range(0, len(parts), _PARTS_AHEAD):
                for record in self._measured(parts[start : start + _PARTS_AHEAD], measure):
                    found = record if found is None else found + record  # type: ignore[operator]
        if found is None:
            raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="at least one row")
        return found

    def _measured(self, parts: list[Block], measure: Callable[..., R]) -> Iterator[R]:
        if len(parts) == 1 and self._pool is None:
            return iter([measure(*parts[0])])
        if self._pool is None:
            try:
                from threadpoolctl import threadpool_limits
            except ImportError:
                raise MissingExtraError("scikit-learn", "train", "Fitting") from None
            # The parts are the threads: more of them inside each product of small matrices would only wait for each
            # other.
            self._stack.enter_context(threadpool_limits(1, "blas"))
            self._pool = self._stack.enter_context(ThreadPoolExecutor(self._num_threads))
        return self._pool.map(lambda part: measure(*part), parts)


def _parts(x: NDArray[Any], y: NDArray[Any], weight: Doubles | None, width: int) -> list[Block]:
    """Parts of equal size, whatever the number of threads; an even number of them, so that two end together."""
    most = min(max(_PART_CELLS // max(x.shape[1], width), _MIN_PART_ROWS), _MAX_PART_ROWS)
    pairs = 0 if len(x) <= most else -(-len(x) // (2 * most))
    rows = -(-len(x) // (2 * pairs)) if pairs else most
    slices = [slice(start, start + rows) for start in range(0, len(x), rows)]
    return [(x[part], y[part], None if weight is None else weight[part]) for part in slices]
