"""Verbs on tables: read, describe, clean, check, compare and forget."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lepton import data
from lepton.core import Work
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import training
    from lepton.data import quality, suggest as suggestions
    from lepton.data.versions import diff as differences, folder as folders, forget as forgetting, manifest
else:
    # Who loads a model to predict does not wait for the rooms that look at tables.
    training = LazyModule("lepton.training")
    quality, suggestions = LazyModule("lepton.data.quality"), LazyModule("lepton.data.suggest")
    differences, folders = LazyModule("lepton.data.versions.diff"), LazyModule("lepton.data.versions.folder")
    forgetting = LazyModule("lepton.data.versions.forget")

__all__ = ["Source", "check", "describe", "diff", "find_label_errors", "forget", "read", "suggest", "versions"]

P = ParamSpec("P")
R = TypeVar("R")

Source = Any
"""A `Dataset`, a path or glob, or a table in memory: whatever `read` takes."""


def _documented_as(wanted: Callable[P, R]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Gives a function that passes its options on the signature and the documentation of `wanted`."""
    return functools.wraps(wanted)


@_documented_as(data.read)
def read(source: Source, **options: Any) -> data.Dataset:
    """`lepton.data.read`, which a `Dataset` passes as it is."""
    return source if isinstance(source, data.Dataset) and not options else data.read(source, **options)


def describe(source: Source, target: str | None = None, work: Work | None = None) -> data.Description:
    """Counts, missing values, distributions, the relation to `target`, and what looks suspicious.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: name of the column to predict, if there is one.
        work: cancel, progress and resources; a description that runs out of time speaks of the rows seen.
    """
    return read(source).describe(target, work)


def suggest(source: Source, target: str | None = None, *, work: Work | None = None) -> suggestions.Suggestions:
    """Which steps would clean a table, each with its reason and its count, and what is left to a person.

    Nothing is changed: `.recipe` holds the suggested steps, to be read and edited before they are used.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: column that is to be predicted: it is looked at, and no step changes it.
        work: cancel, progress and resources.
    """
    table = read(source)
    return suggestions.suggest(table if target is None else table.with_roles({target: "target"}), work)


def check(
    source: Source,
    rules: Any = (),
    *,
    against: Source | None = None,
    tables: Mapping[str, Source] | None = None,
    personal: bool = False,
    work: Work | None = None,
) -> quality.Check:
    """Whether a table keeps rules, how far it has moved from a baseline, and whether its files are sound.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        rules: a YAML file of rules, or a list such as `[{"in_range": {"columns": "age", "least": 0}}]`.
        against: rows of the same table from before.
        tables: other tables by the names that `exists_in` uses.
        personal: look for personal data too, in the first 20,000 rows.
        work: cancel, progress and resources.

    Raises:
        DataError: a rule speaks of a column that is not there or of another kind.
        UsageError: a rule that cannot be meant, or neither rules nor a baseline nor a column of files.
    """
    wanted = quality.load_rules(rules) if isinstance(rules, str | Path) else quality.rules_of(rules)
    baseline = None if against is None else read(against)
    others = {name: read(table) for name, table in (tables or {}).items()}
    return quality.check(read(source), wanted, against=baseline, tables=others, personal=personal, work=work)


def find_label_errors(
    source: Source, *, target: str, learner: str = "forest", seed: int = 0, work: Work | None = None
) -> quality.LabelErrors:
    """Labels that are probably wrong, the most suspect first, by what a learner says that did not see them.

    Classes by confident learning (Northcutt et al. 2021), numbers by residuals that are out of line.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: the column of labels.
        learner: `forest`, `linear` or `lightgbm`.
        seed: of the folds and the learner.
        work: cancel, progress and resources; replaces `seed`.

    Raises:
        DataError: the table or the target cannot be learned from; the message says why.
    """
    found = training.out_of_fold(read(source), target=target, learner=learner, work=work or Work(seed=seed))
    suspects = (
        quality.suspect_numbers(found.truth, found.answers)
        if found.labels is None
        else quality.suspect_labels(found.truth, found.answers, names=found.labels)
    )
    return dataclasses.replace(suspects, rows=tuple(found.rows[list(suspects.rows)].tolist()))


def diff(old: Source, new: Source, *, key: str | Sequence[str] = (), work: Work | None = None) -> differences.TableDiff:
    """What differs between two tables: columns, rows and distributions.

    Args:
        old: a `Dataset`, a path or glob (`"claims#1"` is a version), or a table in memory.
        new: the other table.
        key: columns that say which rows are the same, so that their changes are counted by column; without it, rows
            are the same where all values are.
        work: cancel, progress and memory.

    Raises:
        DataError: the tables have no column in common, or a key is there twice.
    """
    return differences.diff(read(old), read(new), key=key, work=work)


def versions(path: str | Path) -> tuple[manifest.TableVersion, ...]:
    """The versions of a table that was saved, in order: number, time, rows, statistics, recipe, parents and records.

    Args:
        path: a Parquet file or a folder that `Dataset.save` wrote.

    Raises:
        DataError: there is no saved table.
    """
    return folders.versions_at(path)


def forget(
    path: str | Path, where: str, *, reference: str = "", among: str | Path | None = None, work: Work | None = None
) -> forgetting.Forgotten:
    """Remove the rows of a saved table for which a condition holds, from all its versions, and prove it.

    What holds none of them is not copied. Earlier versions of a folder go. That rows were forgotten, how many and by
    which columns is noted in the manifest; their values are not. Copies elsewhere are out of reach: backups, and the
    tables and models that were made from this one, which are listed.

    Args:
        path: a Parquet file, or a folder that `Dataset.save` wrote.
        where: an expression that is true for the rows: `"person_id = 17"`.
        reference: what asked for it, for the record: a ticket, never a name.
        among: folder to search for what was made from the table; by default the one in which it lies.
        work: cancel and progress.

    Raises:
        UsageError: the table is not one that can be rewritten as it is.
        DataError: the condition does not fit the columns.
    """
    return forgetting.forget(path, where, reference=reference, among=among, work=work)
