"""Where batches come from: arrays held as tensors, data sets and loaders of torch, generators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lepton.core import DataError, ErrorCode, UsageError, Work
from lepton.training.trainer.batches import Batch, as_batch, as_inputs, as_tensor, at_least_one, each, leaves, num_rows
from lepton.training.trainer.devices import seed_globally

__all__ = ["ArrayFeed", "Feed", "StreamFeed", "feed_of"]

_RESIDENT = 1 << 30
"""Arrays up to this many bytes are put onto an accelerator once."""
_CHECKED = 1 << 24
_SAMPLED = 16


class Feed:
    """Gives the batches of an epoch, in an order that its number and the seed decide.

    Attributes:
        rows: rows of an epoch, or None where nobody knows.
        steps: batches of an epoch, or None.
    """

    rows: int | None = None
    steps: int | None = None

    def sample(self) -> Batch:
        """A few rows, to try the module on."""
        raise NotImplementedError

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `start` on, targets prepared, on the device."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """What a checkpoint keeps to know the data again."""
        return {"rows": self.rows, "steps": self.steps}


class ArrayFeed(Feed):
    """Rows of arrays, picked by index from tensors that are made once.

    Args:
        batch: all rows.
        batch_size: rows of a step; of the last one, what is left, and one row more where a single one would be.
        shuffle: in a new order each epoch.
        work: whose seed decides the order.
        device: where the rows go.
    """

    def __init__(self, batch: Batch, batch_size: int, shuffle: bool, work: Work, device: Any) -> None:
        self._batch = batch
        self._shuffle = shuffle
        self._work = work
        self._device = device
        self.rows = num_rows(batch.x)
        self.batch_size = min(batch_size, self.rows)
        self.steps = _steps(self.rows, self.batch_size)

    def sample(self) -> Batch:
        """The first rows."""
        return self._part(slice(0, _SAMPLED), self._batch)

    def prepare(self, targets: Callable[[Any], Any], weights: Callable[[Any, Any], Any]) -> None:
        """Check and shape all targets and weights at once, and put what fits onto the device."""
        x, y, weight = self._batch
        y = None if y is None else targets(y)
        self._batch = Batch(x, y, weights(y, weight))
        size = sum(leaf.numel() * leaf.element_size() for leaf in leaves(x))
        if self._device.type != "cpu" and size <= _RESIDENT:
            self._batch = _moved(self._batch, self._device)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch."""
        size, rows = self.batch_size, self.rows or 0
        held = leaves(self._batch.x)[0].device
        order = None
        if self._shuffle:
            generator = torch.Generator().manual_seed(self._work.seed_for("order", epoch))
            order = torch.randperm(rows, generator=generator).to(held)
        last = (self.steps or 1) - 1
        for step in range(start, last + 1):
            begin, end = step * size, rows if step == last else (step + 1) * size
            part = slice(begin, end) if order is None else order[begin:end]
            found = self._part(part, self._batch)
            yield found if held == self._device else _moved(found, self._device)

    def _part(self, part: Any, batch: Batch) -> Batch:
        def of(tensor: Any) -> Any:
            return tensor[part] if isinstance(part, slice) else tensor.index_select(0, part)

        x, y, weight = batch
        return Batch(each(of, x), None if y is None else of(y), None if weight is None else of(weight))

    def told(self) -> dict[str, Any]:
        """Sizes, kinds and a checksum of the first rows."""
        x, y, _ = self._batch
        first = [leaf[:64].reshape(-1)[:4096].double().sum().item() for leaf in leaves(x)]
        return {
            **super().told(),
            "shapes": [list(leaf.shape) for leaf in leaves(x)],
            "types": [str(leaf.dtype) for leaf in leaves(x)],
            "sums": first + ([] if y is None else [y.double().sum().item()]),
        }


class StreamFeed(Feed):
    """Batches of a data set, a loader or a generator, as they come.

    Args:
        make: gives an iterator over the batches of an epoch from number `start` on.
        rows: rows of an epoch, if known.
        steps: batches of an epoch, if known; an iterator that has more is left there.
        work: whose seed reaches what a loader draws.
        device: where the batches go.
        once: whether there is one epoch only.
    """

    def __init__(
        self,
        make: Callable[[int, int], Iterator[Any]],
        *,
        rows: int | None,
        steps: int | None,
        work: Work,
        device: Any,
        once: bool = False,
    ) -> None:
        self._make = make
        self.rows = rows
        self.steps = steps
        self._work = work
        self._device = device
        self.once = once
        self._first: list[Batch] = []
        self._targets: Callable[[Any], Any] | None = None
        self._weights: Callable[[Any, Any], Any] | None = None

    def sample(self) -> Batch:
        """The first batch, which is not lost where it comes once only."""
        iterator = self._make(0, 0)
        seed_globally(self._device, self._work.seed_for("fetch", 0, 0))
        found = next(iter(iterator), None)
        if found is None:
            raise _empty()
        batch = as_batch(found)
        if self.once:
            self._first = [batch]
        return Batch(
            each(lambda leaf: leaf[:_SAMPLED], batch.x),
            None if batch.y is None else batch.y[:_SAMPLED],
            None if batch.weight is None else batch.weight[:_SAMPLED],
        )

    def prepare(self, targets: Callable[[Any], Any], weights: Callable[[Any, Any], Any]) -> None:
        """Check and shape targets and weights as they come."""
        self._targets, self._weights = targets, weights

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch."""
        seed_globally(self._device, self._work.seed_for("fetch", epoch, start))
        came = itertools.chain(self._first, iter(self._make(epoch, start)))
        self._first = []
        number = start
        while self.steps is None or number < self.steps:
            if number > start:
                seed_globally(self._device, self._work.seed_for("fetch", epoch, number))
            value = next(came, None)
            if value is None:
                break
            x, y, weight = as_batch(value)
            y = y if self._targets is None or y is None else self._targets(y)
            weight = self._weights(y, weight) if self._weights is not None else weight
            yield _moved(Batch(x, y, weight), self._device)
            number += 1
        if number == 0:
            raise _empty()


def feed_of(
    x: Any,
    y: Any,
    weight: Any,
    *,
    batch_size: int,
    shuffle: bool,
    work: Work,
    device: Any,
    steps: int | None = None,
) -> ArrayFeed | StreamFeed:
    """The feed of whatever `fit`, `evaluate` and `predict` take.

    Raises:
        DataError: no rows, unequal numbers of rows, NaN in the inputs, text.
        UsageError: targets beside a data set that holds them; a batch size below 1.
    """
    at_least_one("batch_size", batch_size)
    if isinstance(x, TensorDataset):
        _no_targets(y, weight, "a data set")
        x, y, weight = _parts(x.tensors)
    if isinstance(x, ArrayFeed | StreamFeed):
        return x
    stream = isinstance(x, Dataset | DataLoader) or callable(x) or hasattr(x, "__next__")
    if not (stream or isinstance(x, Mapping | tuple | list) or hasattr(x, "__array__")) and hasattr(x, "__iter__"):
        batches, stream = x, True
        x = lambda: batches  # noqa: E731 - something that can be gone through again and again
    if not stream:
        return _of_arrays(x, y, weight, int(batch_size), shuffle, work, device)
    _no_targets(y, weight, type(x).__name__)
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset):
        return _of_dataset(x, int(batch_size), shuffle, work, device)
    if isinstance(x, IterableDataset):
        x = DataLoader(x, batch_size=int(batch_size))
    if isinstance(x, DataLoader):
        loader = x
        try:
            length: int | None = len(loader)
        except TypeError:
            length = None
        known = None if length is None or steps is not None else _rows_of(loader)
        return StreamFeed(
            lambda _, start: itertools.islice(iter(loader), start, None),
            rows=known,
            steps=steps or length,
            work=work,
            device=device,
        )
    if callable(x):
        function = x
        return StreamFeed(
            lambda _, start: itertools.islice(iter(function()), start, None),
            rows=None,
            steps=steps,
            work=work,
            device=device,
        )
    iterator = x
    return StreamFeed(lambda _, __: iterator, rows=None, steps=steps, work=work, device=device, once=True)


def _of_arrays(x: Any, y: Any, weight: Any, batch_size: int, shuffle: bool, work: Work, device: Any) -> ArrayFeed:
    inputs = as_inputs(x)
    rows = num_rows(inputs)
    if rows == 0:
        raise _empty()
    for name, leaf in _named(inputs):
        check_finite(leaf, name)
    targets = None if y is None else as_tensor(y, "y")
    weights = None if weight is None else as_tensor(weight, "sample_weight")
    for name, part in (("y", targets), ("sample_weight", weights)):
        if part is not None and len(part) != rows:
            raise DataError(ErrorCode.WRONG_SHAPE, f"x has {rows} rows and {name} has {len(part)}")
    return ArrayFeed(Batch(inputs, targets, weights), batch_size, shuffle, work, device)


def _of_dataset(data: Any, batch_size: int, shuffle: bool, work: Work, device: Any) -> StreamFeed:
    """A data set with an index: the order is ours, so that a resumed epoch skips rows without reading them."""
    rows = len(data)
    if rows == 0:
        raise _empty()
    size = min(batch_size, rows)
    steps = _steps(rows, size)

    def make(epoch: int, start: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(work.seed_for("order", epoch))
        order = torch.randperm(rows, generator=generator).tolist() if shuffle else list(range(rows))
        ends = [*range(size, steps * size, size), rows]
        lots = [order[begin:end] for begin, end in zip([0, *ends], ends, strict=False)][start:]
        return iter(DataLoader(data, batch_sampler=lots, generator=generator))

    return StreamFeed(make, rows=rows, steps=steps, work=work, device=device)


def _steps(rows: int, size: int) -> int:
    """Batches of an epoch; a row that is left over alone joins the last one: it has no variance to be normalised by."""
    steps, left = divmod(rows, size)
    return steps + (left > 0) - (left == 1 and steps > 0 and size > 1)


def check_finite(leaf: Any, name: str) -> None:
    """Refuse NaN and infinities, naming the row."""
    if not leaf.is_floating_point() or math.isfinite(leaf.sum().item()):
        return  # a sum is finite only where every part is; where it is not, it may have overflowed
    step = max(_CHECKED // max(leaf[0].numel(), 1), 1)
    for begin in range(0, len(leaf), step):
        part = leaf[begin : begin + step].reshape(min(step, len(leaf) - begin), -1)
        bad = torch.nonzero(~torch.isfinite(part).all(1))
        if len(bad):
            row = begin + int(bad[0])
            value = part[int(bad[0])]
            what = "NaN" if bool(torch.isnan(value).any()) else "infinity"
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"{name} holds {what} in row {row}",
                wanted="finite numbers",
                fix="fill what is missing, numpy.nan_to_num(x) for one way, or leave those rows out",
                details={"row": row},
            )


def _named(inputs: Any) -> list[tuple[str, Any]]:
    if isinstance(inputs, Mapping):
        return [(f"the input {name!r}", leaf) for name, leaf in inputs.items()]
    return [(f"input {place}" if isinstance(inputs, tuple) else "x", leaf) for place, leaf in enumerate(leaves(inputs))]


def _parts(tensors: Any) -> tuple[Any, Any, Any]:
    """x, y and weight of a data set of tensors: the last is y, where there are two; then a weight."""
    return (*tensors, None, None)[:3] if len(tensors) <= 3 else (tuple(tensors[:-1]), tensors[-1], None)


def _no_targets(y: Any, weight: Any, what: str) -> None:
    if y is not None or weight is not None:
        raise UsageError(
            ErrorCode.USAGE, f"got y or sample_weight beside {what}", wanted="batches of (x, y) or (x, y, weight)"
        )


def _rows_of(loader: Any) -> int | None:
    try:
        return len(loader.dataset)
    except (TypeError, AttributeError):
        return None


def _moved(batch: Batch, device: Any) -> Batch:
    def to(tensor: Any) -> Any:
        return tensor if tensor is None else tensor.to(device, non_blocking=True)

    return batch if device.type == "cpu" else Batch(each(to, batch.x), to(batch.y), to(batch.weight))


def _empty() -> DataError:
    return DataError(ErrorCode.EMPTY_DATA, "there is no row", wanted="at least one row to learn from")
