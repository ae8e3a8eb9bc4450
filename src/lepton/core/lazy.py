"""Modules that are imported when they are first used: what a program never asks for, it does not wait for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module until one of its names is used.

    For type checkers the module is imported as usual beside it:

        if TYPE_CHECKING:
            from lepton import serving
        else:
            serving = LazyModule("lepton.serving")

    >>> tables = LazyModule("fractions")
    >>> tables.Fraction(1, 2)
    Fraction(1, 2)

    Args:
        name: absolute name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"<LazyModule {self._name!r}>"
