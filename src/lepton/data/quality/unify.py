"""Labels that are written in several ways, and what would make one of them: suggested, counted, decided by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from lepton.core import DataError, ErrorCode, Kind, UsageError, Work
from lepton.data.dataset import Dataset
from lepton.data.recipes import Recipe
from lepton.data.recipes.spellings import merged_spellings
from lepton.report import plain_table

__all__ = ["LabelSpelling", "LabelSpellings", "unify_labels"]

_MOST_LABELS = 20_000


@dataclass(frozen=True)
class LabelSpelling:
    """One way in which a label is written.

    Attributes:
        given: as it stands in the table.
        suggested: what it would become: the most frequent way.
        rows: that hold it.
        why: `spaces`, `case, accents or punctuation`, or how many letters differ.
        sure: whether no letter differs; what differs by a letter may be a label of its own.
    """

    given: str
    suggested: str
    rows: int
    why: str
    sure: bool


@dataclass(frozen=True)
class LabelSpellings:
    """Labels that are written in several ways. Nothing was changed.

    Attributes:
        column: the column of labels.
        rows: that have a label.
        labels: different labels.
        spellings: those that would change, the most frequent first.
    """

    column: str
    rows: int
    labels: int
    spellings: tuple[LabelSpelling, ...]

    def recipe(self, *, letters: bool = False, keep: Sequence[str] = ()) -> Recipe:
        """A recipe with the step that makes them one.

        Args:
            letters: change those that differ by letters as well.
            keep: labels that stay as they are.

        Raises:
            UsageError: a label to keep is none of those found.
        """
        known = {each.given for each in self.spellings}
        if strange := [label for label in keep if label not in known]:
            raise UsageError(ErrorCode.USAGE, f"got keep={strange[0]!r}", wanted="labels that were found to differ")
        values = {e.given: e.suggested for e in self.spellings if (e.sure or letters) and e.given not in keep}
        return Recipe().step("map_values", columns=[self.column], values=values) if values else Recipe()

    def frame(self) -> pl.DataFrame:
        """One row for each: given, suggested, rows, why, sure."""
        names = ("given", "suggested", "rows", "why", "sure")
        types = {"given": pl.String, "suggested": pl.String, "rows": pl.Int64, "why": pl.String, "sure": pl.Boolean}
        return pl.DataFrame({name: [getattr(each, name) for each in self.spellings] for name in names}, schema=types)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        spellings = [vars(each) for each in self.spellings]
        return {"column": self.column, "rows": self.rows, "labels": self.labels, "spellings": spellings}

    def text(self) -> str:
        """A table for a terminal."""
        head = f"{self.labels:,} labels in {self.rows:,} rows of {self.column!r}"
        if not self.spellings:
            return f"{head}: each is written in one way."
        rows = [(repr(e.given), repr(e.suggested), f"{e.rows:,}", e.why) for e in self.spellings]
        return f"{head}\n\n" + plain_table(("label", "would become", "rows", "differs by"), rows)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


def unify_labels(dataset: Dataset, column: str, *, work: Work | None = None) -> LabelSpellings:
    """Which labels of a column are the same but for spaces, case, accents, punctuation or a rare slip of a letter.

    Args:
        dataset: the table; all rows are counted.
        column: its labels.
        work: cancel and progress.

    Raises:
        DataError: there is no such column, it holds no texts, or more than 20,000 different ones.
    """
    record = dataset.schema[column]
    if record.kind not in (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER):
        came = f"column {record.name!r} is of kind {record.kind}"
        raise DataError(
            ErrorCode.WRONG_KIND, came, wanted="texts", fix=f'read(..., kinds={{"{record.name}": "category"}})'
        )
    work, counts, rows = Work.of(work), Counter[str](), 0
    for frame in dataset.batches(columns=[record.name]):
        work.check()
        values = frame[record.name].drop_nulls().rename("label")
        rows += len(values)
        counts.update(dict(values.value_counts(name="rows").iter_rows()))
        if len(counts) > _MOST_LABELS:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"column {record.name!r} has more than {_MOST_LABELS:,} different texts",
                wanted="labels, not free text",
            )
        work.report(rows, None, "rows")
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    found = merged_spellings(ordered)
    spellings = [
        LabelSpelling(given, str(each["to"]), int(each["rows"]), _why(given, each), "letter" not in str(each["why"]))
        for given, each in found.items()
    ]
    spellings.sort(key=lambda each: (not each.sure, -each.rows, each.given))
    return LabelSpellings(record.name, rows, len(counts), tuple(spellings))


def _why(given: str, each: dict[str, str | int]) -> str:
    same = "".join(given.split()) == "".join(str(each["to"]).split())
    return "spaces" if same else str(each["why"])
