"""Devices, threads and randomness of one call: chosen by one argument, and given back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from lepton.core import ErrorCode, UsageError, WorkerError
from lepton.core.memory import give_back, reusing_freed

__all__ = [
    "device_of",
    "order_channels_last",
    "own_memory",
    "own_randomness",
    "own_threads",
    "precision_of",
    "seed_globally",
    "told_failures",
]

_WORTH = 1_000_000
PRECISIONS = ("auto", "float32", "bfloat16")


def device_of(name: str) -> Any:
    """The device of that name: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best that is there.

    Raises:
        UsageError: no such device, or it is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in {"cpu", "cuda", "mps"}:
        raise UsageError(ErrorCode.USAGE, f"got device={name!r}", wanted="cpu, cuda, cuda:1, mps or auto")
    count = torch.cuda.device_count() if device.type == "cuda" and torch.cuda.is_available() else 0
    absent = (device.type == "mps" and not torch.backends.mps.is_available()) or (
        device.type == "cuda" and (device.index or 0) >= count
    )
    if absent:
        there = f"{count} CUDA device(s) are there" if device.type == "cuda" else "MPS is on Macs with Apple's chips"
        raise UsageError(
            ErrorCode.USAGE,
            f"got device={name!r}, which this machine or this build of torch does not have: {there}",
            fix="use device='cpu', or 'auto' for the best that is there",
        )
    return device


def precision_of(name: str, device: Any, module: Any) -> Any:
    """The context of the forward pass: bfloat16 where it pays, on CUDA devices that have it and for more than a toy."""
    if name not in PRECISIONS:
        raise UsageError(ErrorCode.USAGE, f"got precision={name!r}", wanted="one of " + ", ".join(PRECISIONS))
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if name == "bfloat16" or (name == "auto" and able and _size(module) >= _WORTH):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def order_channels_last(module: Any) -> None:
    """Lay the weights of convolutions out with the channels last: pictures follow, and the CPU takes half the time."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d) and not isinstance(part, torch.nn.LazyConv2d):
            part.to(memory_format=torch.channels_last)


def _size(module: Any) -> int:
    """Parameters that are there already: lazy layers make theirs from the first rows."""
    lazy = torch.nn.parameter.UninitializedParameter
    return sum(parameter.numel() for parameter in module.parameters() if not isinstance(parameter, lazy))


@contextmanager
def own_threads(threads: int) -> Iterator[None]:
    """Have torch use so many threads inside."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if before != threads:
            torch.set_num_threads(before)


@contextmanager
def own_memory(*, is_long: bool) -> Iterator[None]:
    """Use freed memory again inside; after what is long, what is left over goes back to the system."""
    with reusing_freed():
        yield
    if is_long:
        give_back()


@contextmanager
def own_randomness(device: Any) -> Iterator[None]:
    """Leave the global generators, which dropout draws from, as they were; and have cuDNN choose without timing."""
    cuda = device.type == "cuda"
    state = torch.default_generator.get_state()
    device_state = None
    if device.type != "cpu":
        device_state = torch.cuda.get_rng_state(device) if cuda else torch.mps.get_rng_state()
    flags = (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    if cuda:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
        if device.type == "mps":
            torch.mps.set_rng_state(device_state)
        if cuda:
            torch.cuda.set_rng_state(device_state, device)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags


def seed_globally(device: Any, seed: int) -> None:
    """Seed the generators that dropout draws from, inside `own_randomness`; quicker than `torch.manual_seed`."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


_ONE_ROW = "Expected more than 1 value per channel"
_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Unable to allocate")


@contextmanager
def told_failures(rows: int) -> Iterator[None]:
    """Turn what only shows in the steps into errors that say what to change.

    Args:
        rows: of a batch.

    Raises:
        WorkerError: memory ran out.
        UsageError: a batch of one row, in a module that normalises over the batch.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if _ONE_ROW in str(error):
            raise UsageError(
                ErrorCode.USAGE, "the module normalises over the batch, and a batch has one row",
                fix="use batch_size=2 or more",
            ) from None  # fmt: skip
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(t in str(error) for t in _MEMORY):
            raise
        half = f", say to {rows // 2} with accumulate=2, which takes the same steps" if rows > 1 else ""
        raise WorkerError(
            ErrorCode.OUT_OF_MEMORY,
            f"memory ran out with {rows} rows a batch",
            fix="lower batch_size" + half,
            details={"batch_size": rows},
        ) from None
