"""Libraries imported without what they could use besides, in processes where nobody but Lepton uses them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

__all__ = ["lean_import", "own_process", "shared_process"]

_BESIDES = ("cffi", "dask", "datatable", "distributed", "graphviz", "matplotlib", "pandas", "pyarrow", "sklearn")


class _Process:
    own = False
    lean: ClassVar[set[str]] = set()  # what was imported so


def own_process() -> None:
    """Say that this process is the command `lepton` or a worker, and no program that imports Lepton."""
    _Process.own = True


def shared_process() -> None:
    """Say that code of others runs here too: from now on imports are whole, and what was imported lean is forgotten."""
    _Process.own = False
    for name in list(sys.modules):
        if name.partition(".")[0] in _Process.lean:
            del sys.modules[name]
    _Process.lean.clear()


@contextmanager
def lean_import(library: str) -> Iterator[None]:
    """Import `library` inside, without the tables, plots and clusters that it would work with where they are installed.

    LightGBM and XGBoost take numpy's arrays as well as data frames, and import pandas, scikit-learn and more to know
    the latter. Without, LightGBM is there in 0.5 s instead of 3.2 s, and takes half the memory. A program that imports
    Lepton may go on to hand them data frames, so there everything is imported as usual.
    """
    package = library.partition(".")[0]
    if not _Process.own or package in sys.modules:
        yield
        return
    hidden = [name for name in _BESIDES if name != package and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None says that it is not installed
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
    _Process.lean.add(package)
