"""Which columns are learned from, and the steps that make features of them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from lepton.bundle.codecs import MAX_CHARACTERS
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema
from lepton.data.steps import (
    Block,
    Calendar,
    Clip,
    Cycles,
    DropTexts,
    Impute,
    MissingIndicators,
    OneHot,
    Ordinal,
    Standardise,
    Step,
    TextGrams,
    TextLength,
    TextTopics,
    apply_steps,
)
from lepton.training.base import Problem, Rows
from lepton.training.target_statistics import target_statistics

__all__ = ["FeaturePlan", "choose_features", "directions_of", "linear_steps", "plain_steps", "text_steps", "tree_steps"]

_RARE = 10  # rows: rarer categories of large tables are one category, which also keeps them out of the file
_LARGE = 10_000
_MAX_INDICATORS = 50
_TREE_GRAMS = 150  # trees look at every column in every node
_CHARACTER_GRAMS = 8_000
_WORD_GRAMS = 3_000

_USABLE = frozenset({Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME, Kind.CATEGORY, Kind.TEXT})


@dataclass(frozen=True)
class FeaturePlan:
    """Columns that a model takes, and why it takes no others.

    Attributes:
        columns: in the table's order.
        ignored: name → reason.
    """

    columns: tuple[ColumnRecord, ...]
    ignored: dict[str, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """The reasons, for people: one line for each, with its columns; and how texts are taken."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.ignored.items():
            by_reason.setdefault(reason, []).append(name)
        lines = []
        for reason, names in by_reason.items():
            shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            lines.append(f"not learned from ({reason}): {shown}")
        if texts := ", ".join(column.name for column in self.columns if column.kind is Kind.TEXT):
            lines.append(f"of texts ({texts}) the first {MAX_CHARACTERS:,} characters count, in any case")
        return tuple(lines)


def choose_features(frame: pl.DataFrame, schema: Schema, target: str) -> FeaturePlan:
    """The columns that can tell something about `target`.

    A time column orders the rows of cross-validation and is a feature too; protected columns are never learned from.

    Raises:
        DataError: nothing is left.
    """
    columns = []
    ignored = {}
    for column in schema:
        if column.name == target:
            continue
        reason = _reason_to_ignore(column, frame[column.name])
        if reason:
            ignored[column.name] = reason
        else:
            columns.append(column)
    if not columns:
        told = "; ".join(f"{name}: {reason}" for name, reason in list(ignored.items())[:10])
        fix = "give a column another kind: lepton.read(…, kinds={'NAME': 'category'})" if ignored else ""
        if any(column.kind in (Kind.IMAGE, Kind.AUDIO) for column in schema):
            fix = "no learner takes images or sounds yet; columns of what they show can be learned from"
        raise DataError(
            ErrorCode.EMPTY_DATA,
            f"there is no column to learn {target!r} from" + (f" ({told})" if told else ""),
            wanted="at least one column of numbers, categories, booleans or dates whose values differ",
            fix=fix,
        )
    return FeaturePlan(tuple(columns), ignored)


def _reason_to_ignore(column: ColumnRecord, values: pl.Series) -> str:
    if column.role not in {Role.FEATURE, Role.TIME}:
        return f"its role is {column.role}"
    if column.kind is Kind.IDENTIFIER:
        return "it names rows"
    if column.kind not in _USABLE:
        return f"its kind is {column.kind}"
    if values.null_count() == len(values):
        return "all values are missing"
    if values.null_count() == 0 and values.min() == values.max():
        return "its value never changes"
    return ""


def tree_steps(
    problem: Problem, block: Block, statistics_of: Rows | None = None, topics: bool = False
) -> tuple[tuple[Step, ...], Block]:
    """Steps for trees, fitted, and the block that they give: numbers, texts, calendar parts, then ordinal codes.

    Args:
        problem: kinds of the columns.
        block: rows to learn from.
        statistics_of: the same rows with their target, where its means by category shall stand behind the numbers,
            for categories of many values; None for none.
        topics: whether texts also come as positions in a space of few directions.
    """
    steps: list[Step] = []
    if problem.texts:
        words = TextGrams.fit(block, columns=problem.texts, unit="word", longest=1, min_count=5, max_grams=_TREE_GRAMS)
        steps = [words, TextGrams.fit(block, columns=problem.texts, longest=2, min_count=5, max_grams=_TREE_GRAMS)]
        if topics:
            steps.append(TextTopics.fit(block, columns=problem.texts))
        block = apply_steps(steps, block)
    if statistics_of is not None and problem.many_valued:
        of_target, block = target_statistics(problem, statistics_of, block, _min_count(block))
        steps.append(of_target)
    rest, block = plain_steps(problem, block)
    return (*steps, *rest), block


def directions_of(problem: Problem, block: Block) -> tuple[int, ...]:
    """For each column of features 1 where scores must not fall as it grows, -1 where they must not rise, else 0."""
    asked = dict(problem.monotone)
    return tuple(asked.get(name, 0) for name in block.number_names)


def plain_steps(problem: Problem, block: Block) -> tuple[tuple[Step, ...], Block]:
    """Steps for trees that know of texts their length only: lengths, calendar parts, then ordinal codes."""
    steps: list[Step] = []
    if problem.texts:
        steps = [TextLength.fit(block, columns=problem.texts), DropTexts.fit(block, columns=problem.texts)]
        block = apply_steps(steps, block)
    dates = problem.dates
    last = Calendar.fit(block, columns=dates), Cycles.fit(block, columns=dates), _ordinal(block)
    return (*steps, *last), apply_steps(last, block)


def linear_steps(problem: Problem, block: Block) -> tuple[tuple[Step, ...], Block]:
    """Steps for linear models, fitted, and the block that they give: everything filled, scaled and in indicators."""
    plain, block = plain_steps(problem, block)
    steps = list(plain)
    numbers = block.number_names[: len(block.number_names) - len(problem.categories)]
    for kind in (MissingIndicators, Impute, Clip, Standardise):
        steps.append(kind.fit(block, columns=numbers))
        block = steps[-1].apply(block)
    steps.append(OneHot.fit(block, columns=problem.categories, max_categories=_MAX_INDICATORS))
    return tuple(steps), steps[-1].apply(block)


def text_steps(problem: Problem, block: Block) -> tuple[TextGrams, ...]:
    """N-grams of texts for linear models: of characters, which need no spaces between words, and of words."""
    if not problem.texts:
        return ()
    of_characters = TextGrams.fit(block, columns=problem.texts, longest=4, max_grams=_CHARACTER_GRAMS)
    of_words = TextGrams.fit(block, columns=problem.texts, unit="word", longest=2, max_grams=_WORD_GRAMS)
    return of_characters, of_words


def _ordinal(block: Block) -> Ordinal:
    return Ordinal.fit(block, min_count=_min_count(block))


def _min_count(block: Block) -> int:
    return _RARE if block.num_rows >= _LARGE else 2
