"""The rows and folds of a search as files, which every worker maps into its memory once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.steps import Block
from lepton.store import replace_file, replace_path
from lepton.training.base import Rows
from lepton.training.folds import Fold

__all__ = ["load_table", "save_table"]


def save_table(folder: Path, rows: Rows, folds: Sequence[Fold]) -> None:
    """Write rows and folds into `folder`, an empty one."""
    arrays: dict[str, NDArray[Any]] = {"numbers": rows.block.numbers, "target": rows.target}
    if rows.weight is not None:
        arrays["weight"] = rows.weight
    for position, fold in enumerate(folds):
        arrays |= {f"train-{position}": fold.train, f"valid-{position}": fold.valid}
    for name, array in arrays.items():
        with replace_file(folder / f"{name}.npy") as handle:
            np.save(handle, np.ascontiguousarray(array), allow_pickle=False)
    with replace_path(folder / "strings.arrow") as path:
        rows.block.strings.write_ipc(path)


@lru_cache(maxsize=1)
def load_table(folder: str, names: tuple[str, ...], num_folds: int) -> tuple[Rows, tuple[Fold, ...]]:
    """What `save_table` wrote, mapped rather than read.

    Args:
        folder: where it is.
        names: of the number columns.
        num_folds: how many of the folds are wanted.
    """
    here = Path(folder)

    def array(name: str) -> Any:
        return np.load(here / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    strings = pl.read_ipc(here / "strings.arrow")
    weight = array("weight") if (here / "weight.npy").exists() else None
    folds = tuple(Fold(array(f"train-{fold}"), array(f"valid-{fold}")) for fold in range(num_folds))
    return Rows(Block(array("numbers"), names, strings), array("target"), weight), folds
