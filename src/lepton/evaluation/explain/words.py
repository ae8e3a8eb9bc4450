"""What the words of a text add to an answer: words, or phrases of long texts, are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lepton.core import ErrorCode, UsageError, Work, printable
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.base import Question
from lepton.evaluation.explain.explained_file import ExplainedFile, told_value
from lepton.evaluation.explain.hiding import Flags, left_out, shapley
from lepton.report import show_number
from lepton.report.svg import shown as escaped

__all__ = ["MOST_PARTS", "MarkedText", "explain_text", "parts_of"]

MOST_PARTS = 60
"""Longer texts are left out phrase by phrase."""

METHODS = ("auto", "shapley", "leave-one-out")
_SAMPLES = 2_000
_BATCH = 256
_MOST_LETTERS = 100_000
# Scripts that put no space between words are taken sign by sign.
_SIGN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_SIGN}]|[^\s{_SIGN}]+")
_SPACE = re.compile(r"\s+")
_END = re.compile(r"[.!?;:\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")


def parts_of(text: str, most: int = MOST_PARTS) -> list[tuple[int, int]]:
    """Where the parts of a text begin and end: words, or of long texts phrases of neighbouring words.

    >>> [("so it is.")[start:end] for start, end in parts_of("so it is.")]
    ['so', 'it', 'is.']
    """
    words = [match.span() for match in _WORD.finditer(text)]
    if len(words) <= most:
        return words
    size = -(-len(words) // most)
    cuts, start = [0], 0
    while len(words) - start > size:
        # A phrase ends at the end of a sentence where one is near.
        near = range(start + size, start + size // 2, -1)
        end = next((place for place in near if _END.search(text[slice(*words[place - 1])])), start + size)
        left = most - len(cuts)
        start = end if (len(words) - end) <= left * size else start + size
        cuts.append(start)
    return [(words[first][0], words[last - 1][1]) for first, last in pairwise([*cuts, len(words)])]


def without(text: str, parts: Sequence[tuple[int, int]], shown: Flags) -> str:
    """The text with the parts that are shown alone; a part goes with the space behind it."""
    if not parts:
        return text
    ends = [start for start, _ in parts[1:]] + [len(text)]
    stretches = zip(parts, ends, shown.tolist(), strict=True)
    return text[: parts[0][0]] + "".join(text[start:end] for (start, _), end, stays in stretches if stays)


def explain_text(
    text: str,
    question: Question,
    label: Any,
    pack: Callable[[list[str]], Any],
    method: str,
    samples: int | None,
    seed: int,
    work: Work,
) -> ExplainedFile:
    """What each part of a text adds.

    Args:
        text: it.
        question: the number, one a text.
        label: whose probability that is.
        pack: takes texts to the tensors of the graph.
        method: `auto`, `shapley` or `leave-one-out`.
        samples: texts that the model may be asked; by default 2,000.
        seed: of what is drawn.
        work: cancel, time and progress.

    Raises:
        UsageError: an unknown method, or too few samples.
    """
    if method not in METHODS:
        raise UsageError(ErrorCode.USAGE, f"got method={method!r} for a text", wanted="one of " + ", ".join(METHODS))
    parts = parts_of(text[:_MOST_LETTERS])
    words = sum(1 for _ in _WORD.finditer(text))

    def ask(flags: Flags) -> Floats:
        texts = [without(text, parts, row) for row in flags]
        answers = [question.ask(pack(texts[start : start + _BATCH]))[:, 0] for start in range(0, len(texts), _BATCH)]
        return np.concatenate(answers)

    ends = ask(np.array([[True] * len(parts), [False] * len(parts)], dtype=bool))
    notes = []
    if not parts:
        notes.append("The text is empty: there is nothing to leave out.")
    elif words > len(parts):
        notes.append(f"Its {words:,} words are left out {-(-words // len(parts))} or so at a time, as phrases.")
    if len(text) > _MOST_LETTERS:
        notes.append(f"Of its {len(text):,} letters the first {_MOST_LETTERS:,} are told apart.")
    if method == "leave-one-out":
        shares = left_out(ask, len(parts), work)
    else:
        shares = shapley(ask, len(parts), samples or max(_SAMPLES, 10 * len(parts)), seed, work)
    names = tuple(printable(text[start:end], 200) for start, end in parts)
    alt = told_value(names, shares.values, shares.errors, shares.margin)
    drawing = MarkedText(text, tuple(parts), shares.values, shares.errors, alt, shares.margin)
    return ExplainedFile(
        "text", question.title, label, float(ends[0]), float(ends[1]), shares.values, shares.errors, names,
        shares.values, shares.errors, shares.method, shares.asked + 2, tuple(notes), drawing,
        shares.margin,
    )  # fmt: skip


@dataclass(frozen=True)
class MarkedText:
    """A text whose parts are marked by what they add: blue for more, orange and underlined for less.

    Attributes:
        text: it.
        parts: where they begin and end.
        values: what each adds.
        errors: its standard error.
        alt: the same in words.
        margin: standard errors to either side of a 95 % interval.
    """

    text: str
    parts: tuple[tuple[int, int], ...]
    values: Floats
    errors: Floats
    alt: str
    margin: float

    def render(self) -> str:
        """The block for a page."""
        most = float(np.abs(self.values).max(initial=0.0))
        out, last = [], 0
        for (start, end), value, error in zip(self.parts, self.values.tolist(), self.errors.tolist(), strict=True):
            gap = self.text[last:start]
            out.append("\n" if "\n" in gap else " " if gap else "")
            share = abs(value) / most if most > 0 and np.isfinite(value) else 0.0
            colour = "42,111,176" if value > 0 else "205,102,20"
            line = ";border-bottom:2px solid rgb(205,102,20)" if value < 0 and share >= 0.1 else ""
            told = show_number(value) + (f" ± {show_number(self.margin * error)}" if error else "")
            out.append(
                f'<span title="{told}" style="background:rgba({colour},{0.7 * share:.2f});border-radius:3px{line}">'
                f"{escaped(_SPACE.sub(' ', self.text[start:end]), 5_000)}</span>"
            )
            last = end
        marked = "".join(out) or '<span class="note">(an empty text)</span>'
        key = "Blue parts add to it, orange and underlined ones take away; the stronger, the more."
        return (
            f'<figure><figcaption><strong>{escaped(self.alt)}</strong><span class="caption">{key}</span></figcaption>'
            f'<p style="line-height:1.9;max-width:none;white-space:pre-wrap">{marked}</p></figure>'
        )
