"""Labels and targets of any table: are they written in one way, do annotators agree, does something give them away?

The verbs of `import lepton` for what `lepton.data.quality` does with a data set.
"""

from __future__ import annotations

from typing import Any, Literal

from lepton.core import Work
from lepton.data import quality
from lepton.data.dataset import Dataset
from lepton.data.read import read

__all__ = ["consensus_labels", "find_leakage", "measure_agreement", "unify_labels"]


def unify_labels(source: Any, column: str, *, work: Work | None = None) -> quality.LabelSpellings:
    """Labels that are the same but for spaces, case, accents, punctuation or a rare slip of a letter, with their rows.

    Nothing is changed: `recipe()` of the result is the step that would make them one.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        column: its labels.
        work: cancel and progress.

    Raises:
        DataError: there is no such column, it holds no texts, or more than 20,000 different ones.
    """
    return quality.unify_labels(_table(source), column, work=work)


def measure_agreement(
    source: Any,
    *,
    item: str,
    annotator: str,
    label: str,
    level: Literal["nominal", "ordinal", "interval", "ratio"] = "nominal",
    work: Work | None = None,
) -> quality.Agreement:
    """How far annotators agree: Krippendorff's alpha, Fleiss' kappa, and Cohen's kappa of every two of them.

    Args:
        source: a table with one row for each label that somebody gave: a `Dataset`, a path or glob, or in memory.
        item: column that says what was labelled.
        annotator: column that says by whom.
        label: column of labels; numbers unless the level is `nominal`.
        level: what a difference between labels means, for alpha.
        work: stops it.

    Raises:
        DataError: a column is not there, the labels are no numbers, or no item has labels of two annotators.
    """
    return quality.measure_agreement(
        _table(source), item=item, annotator=annotator, label=label, level=level, work=work
    )


def consensus_labels(
    source: Any, *, item: str, annotator: str, label: str, work: Work | None = None
) -> quality.Consensus:
    """The label that each item most likely has, by how reliable its annotators are (Dawid and Skene 1979).

    Args:
        source: a table with one row for each label that somebody gave: a `Dataset`, a path or glob, or in memory.
        item: column that says what was labelled.
        annotator: column that says by whom.
        label: column of labels.
        work: cancel and progress.

    Raises:
        DataError: a column is not there, or nobody gave labels.
    """
    return quality.consensus_labels(_table(source), item=item, annotator=annotator, label=label, work=work)


def find_leakage(source: Any, *, target: str, against: Any = None, work: Work | None = None) -> quality.Leakage:
    """What gives the target away, so that a model looks better than it will be; each is a suspicion.

    Columns that copy, encode or almost perfectly predict the target; missing values that say what it is; identifiers
    and an order of the rows that predict; rows that stand in both tables.

    Args:
        source: the rows to train with: a `Dataset`, a path or glob, or a table in memory.
        target: column to be predicted.
        against: the rows to test with.
        work: cancel, progress and seed.

    Raises:
        DataError: there is no such column, or fewer than 50 rows have a target.
    """
    other = None if against is None else _table(against)
    return quality.find_leakage(_table(source), target, against=other, work=work)


def _table(source: Any) -> Dataset:
    return source if isinstance(source, Dataset) else read(source)
