"""Checkpoints: all that a training needs to go on as if nothing had happened, verified before any of it is used.

A checkpoint is two files of one folder: tensors as safetensors, and then a JSON record that names their sha256 and
its own. The record is written last, so that a kill at any moment leaves whole checkpoints only. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from lepton.core import ErrorCode, LeptonError, UsageError
from lepton.store import make_folder, open_read, remove_leftovers, write_bytes, write_text
from lepton.training.trainer.batches import at_least_one

__all__ = ["Checkpoints", "Kept", "read_tensors", "write_tensors"]

_FORMAT = 1
_NAME = re.compile(r"step-(\d{10})\.json")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a checkpoint holds.

    Attributes:
        tensors: by name.
        record: what JSON can hold.
        skipped: why newer ones were not used, a sentence each.
    """

    tensors: dict[str, Any]
    record: dict[str, Any]
    skipped: tuple[str, ...] = ()


@dataclass(slots=True)
class Checkpoints:
    """Where and how often a training is kept.

    Attributes:
        folder: one training's own folder; made where it is not there.
        every_seconds: at most so much work is lost; None: at the ends of epochs only.
        every_steps: keep after so many batches too.
        every_epochs: keep at the end of each so many epochs.
        keep: how many of the newest stay.
    """

    folder: Path | str
    every_seconds: float | None = 60.0
    every_steps: int | None = None
    every_epochs: int = 1
    keep: int = 2
    _last: float = 0.0

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        for name, value in (
            ("every_steps", self.every_steps),
            ("every_epochs", self.every_epochs),
            ("keep", self.keep),
        ):
            if value is not None:
                at_least_one(name, value)
        if self.every_seconds is not None and not self.every_seconds > 0:
            raise UsageError(ErrorCode.USAGE, f"got every_seconds={self.every_seconds!r}", wanted="a number above 0")

    def begin(self) -> None:
        """Make the folder and start the clock."""
        remove_leftovers(make_folder(self.folder))
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether it is time to keep, after this many batches."""
        by_steps = self.every_steps is not None and step % self.every_steps == 0
        return by_steps or (self.every_seconds is not None and time.monotonic() - self._last >= self.every_seconds)

    def write(self, step: int, tensors: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Keep a state, whole or not at all, and remove the oldest.

        Raises:
            StoreError: the disk refuses; earlier checkpoints stay.
        """
        base = Path(self.folder) / f"step-{step:010d}"
        data = _packed(tensors)
        whole = {"format": _FORMAT, "step": step, "tensors": sha256(data).hexdigest(), "record": _plain(record)}
        base.with_suffix(".json").unlink(missing_ok=True)
        write_bytes(base.with_suffix(".safetensors"), data)
        whole["sha256"] = _digest(whole)
        write_text(base.with_suffix(".json"), json.dumps(whole, indent=1, allow_nan=False) + "\n")
        self._last = time.monotonic()
        for old in self.steps()[self.keep :]:
            for suffix in (".json", ".safetensors"):  # in this order: a record never outlives its tensors
                with suppress(OSError):
                    (Path(self.folder) / f"step-{old:010d}{suffix}").unlink()

    def steps(self) -> list[int]:
        """Numbers of the checkpoints that are there, newest first, whole or not."""
        folder = Path(self.folder)
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        return sorted((int(found[1]) for name in names if (found := _NAME.fullmatch(name))), reverse=True)

    def newest(self) -> Kept | None:
        """The newest checkpoint that is whole, or None without any."""
        skipped: list[str] = []
        for step in self.steps():
            base = Path(self.folder) / f"step-{step:010d}"
            try:
                tensors, record = _verified(base)
            except (LeptonError, OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
                skipped.append(f"{base.name} was left out: {error}")
            else:
                return Kept(tensors, record, tuple(skipped))
        if skipped:
            raise UsageError(
                ErrorCode.USAGE,
                "no checkpoint of the folder is whole; " + "; ".join(skipped),
                fix="start anew in another folder",
            )
        return None


def _verified(base: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with open_read(base.with_suffix(".json")) as file:
        whole = json.loads(file.read())
    if whole.pop("sha256") != _digest(whole) or whole["format"] != _FORMAT:
        raise ValueError("its record is damaged or of another format")
    with open_read(base.with_suffix(".safetensors")) as file:
        data = file.read()
    if sha256(data).hexdigest() != whole["tensors"]:
        raise ValueError("its tensors are damaged")
    return safetensors.torch.load(data), _unplain(whole["record"])


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    write_bytes(path, _packed(tensors))


def read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file.

    Raises:
        UsageError: it is none.
    """
    with open_read(path) as file:
        data = file.read()
    try:
        found: dict[str, Any] = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise UsageError(
            ErrorCode.USAGE, f"{path.name!r} cannot be read as safetensors: {error}", wanted="a file of save_weights"
        ) from None
    return found


def _packed(tensors: Mapping[str, Any]) -> bytes:
    """Tensors that share memory are written once each: safetensors refuses shared memory."""
    own = {
        name: torch.clone(tensor.detach().cpu(), memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    packed: bytes = safetensors.torch.save(own)
    return packed


def _digest(record: Mapping[str, Any]) -> str:
    return sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()


_ODD = "\N{DOUBLE DAGGER}"


def _plain(value: Any) -> Any:
    """`value` for strict JSON: floats that are not finite become marked texts, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return _ODD + repr(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _unplain(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_ODD):
        return float(value[1:])
    if isinstance(value, dict):
        return {name: _unplain(part) for name, part in value.items()}
    return [_unplain(part) for part in value] if isinstance(value, list) else value
