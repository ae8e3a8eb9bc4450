"""What a perturbation is: one way in which content goes wrong, at five strengths."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from lepton.core import ErrorCode, UsageError, printable

__all__ = ["STRENGTHS", "Perturbation", "draws", "unknown_name"]

STRENGTHS = (1, 2, 3, 4, 5)
"""Strengths of every perturbation, the mildest first."""

Change = Callable[[Any, float, np.random.Generator], Any]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One perturbation of single contents: a picture, a sound or a text.

    Attributes:
        name: as it is asked for.
        title: as it is shown.
        amounts: how much at each of the five strengths.
        says: what an amount means, as in "turned by {} degrees".
        change: `(content, amount, generator) -> content`; the same generator gives the same change.
        limits: least and greatest amount that a rule may ask for.
        signed: whether the amount may go either way, so that a rule has to hold both ways.
    """

    name: str
    title: str
    amounts: tuple[float, float, float, float, float]
    says: str
    change: Change
    limits: tuple[float, float]
    signed: bool = False

    def said(self, strength: int) -> str:
        """What a strength means."""
        return self.says.format(f"{self.amounts[strength - 1]:g}")


def draws(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for what `names` say, the same whatever was drawn elsewhere."""
    return np.random.default_rng([seed % 2**32, *(crc32(str(name).encode()) for name in names)])


def unknown_name(came: str, name: object, known: Iterable[str], code: ErrorCode = ErrorCode.USAGE) -> UsageError:
    """The refusal of a name that is none of `known`, with the closest one."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return UsageError(
        code,
        f"{came} {printable(str(name), 80)!r}",
        wanted="one of " + ", ".join(names[:40]),
        fix=f"did you mean {close[0]!r}?" if close else "",
    )
