"""Texts that are one value in several spellings: alike but for case and accents, or a rare slip of a frequent one."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["distance", "merged_spellings", "normal"]

_MOST_VALUES = 20_000
_MOST_TRIED = 3_000
_LONG = 12
"""Letters from which a text may have two slips."""
_TELLING = frozenset("<>=+&#%$@*")  # "<=50K" is not ">50K", "C" not "C++"


def normal(text: str) -> str:
    """A text without case, accents, punctuation and outer white space; signs such as < stay, runs of spaces are one."""
    plain = (c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or c in _TELLING else " " for c in plain).split())


def distance(one: str, other: str, most: int) -> int:
    """Letters to change, add, leave out or swap with their neighbour to make `other` of `one`; `most` + 1 if more.

    (Damerau 1964, in the form in which no part is edited twice.)
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above, row = row, [i]
        for j, b in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before = above
    return min(row[-1], most + 1)


def merged_spellings(
    counts: Sequence[tuple[str, int]], *, rarer: float = 10.0, shortest: int = 4
) -> dict[str, dict[str, str | int]]:
    """Which values are other spellings of which.

    Values of one normal form become the most frequent of them, however frequent they are: they differ by case, accents
    and punctuation only. A value becomes another one that is at least `rarer` times as frequent and one edit away (two
    from twelve letters on). Values with other digits are never the same, nor texts shorter than `shortest`.

    Args:
        counts: values with their rows, the most frequent first.
        rarer: how many times as frequent the other must be.
        shortest: letters that a value must have to be taken for a slip.

    Returns:
        spelling → `{"to": value, "rows": rows, "why": "case, accents or punctuation" or "N letters"}`.
    """
    groups: dict[str, list[tuple[str, int]]] = {}
    for value, rows in counts[:_MOST_VALUES]:
        groups.setdefault(normal(value) or value, []).append((value, rows))
    found: dict[str, dict[str, str | int]] = {}
    for members in groups.values():
        for value, rows in members[1:]:
            found[value] = {"to": members[0][0], "rows": rows, "why": "case, accents or punctuation"}
    forms = [
        _Form(form, members[0][0].casefold().strip(), sum(rows for _, rows in members))
        for form, members in groups.items()
    ]
    frequent = sorted(forms, key=lambda form: (-form.rows, form.normal))[:_MOST_TRIED]
    for form in forms:
        near = _nearest(form, frequent, rarer, shortest)
        if near is not None:
            for value, own in groups[form.normal]:
                found[value] = {
                    "to": groups[near[0]][0][0],
                    "rows": own,
                    "why": f"{near[1]} letter" + "s" * (near[1] > 1),
                }
    return _resolved(found)


@dataclass(frozen=True)
class _Form:
    """Values of one normal form: that, the most frequent of them in lower case, and their rows."""

    normal: str
    written: str
    rows: int


def _nearest(form: _Form, frequent: Sequence[_Form], rarer: float, shortest: int) -> tuple[str, int] | None:
    """The frequent form of which this one is a slip, and by how many letters."""
    length = len(form.normal)
    if length < shortest:
        return None
    most = 1 if length < _LONG else 2
    best: tuple[str, int] | None = None
    for other in frequent:
        if other.rows < rarer * form.rows:
            break
        if len(other.normal) < shortest or abs(len(other.written) - len(form.written)) > most:
            continue
        far = min(distance(form.normal, other.normal, most), distance(form.written, other.written, most))
        if 0 < far <= most and (best is None or far < best[1]) and _may_be(form.normal, other.normal):
            best = other.normal, far
    return best


def _may_be(text: str, other: str) -> bool:
    """Whether the digits allow that a text is a slip of another: they are the same, or a letter took the place of one.

    "2019" is no slip of "2018", but "2o18" is one.
    """
    mine, theirs = _digits(text), _digits(other)
    if len(mine) == len(theirs):
        return mine == theirs
    alike = len(text) == len(other) and all(
        a == b or (b.isdigit() and a.isalpha()) for a, b in zip(text, other, strict=True)
    )
    return alike or (not mine and len(theirs) == 1)


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def _resolved(found: dict[str, dict[str, str | int]]) -> dict[str, dict[str, str | int]]:
    """The same, where a value that is itself merged is no aim."""
    for each in found.values():
        while str(each["to"]) in found:
            each["to"] = found[str(each["to"])]["to"]
    return found
