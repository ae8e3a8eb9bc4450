"""Rules that must hold between answers: checked over the data, and searched for rows that break them.

A rule says what is changed about a row and what the answer must then do: raise the income, and the risk must not rise;
another name, and the answer must stay. No truth is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.robustness.asking import Replies, bounded, inputs_of, refuse_series
from lepton.evaluation.robustness.base import draws
from lepton.evaluation.robustness.binding import BoundRule, bind, refuse_contradictions
from lepton.evaluation.robustness.checking import Checker
from lepton.evaluation.robustness.file_rules import checked_files
from lepton.evaluation.robustness.metamorphic_result import Metamorphic, RuleResult, share_of
from lepton.evaluation.robustness.rules import MetamorphicRule, rules_of
from lepton.evaluation.robustness.search import Found, searched

__all__ = ["MAX_ROWS", "SEARCH", "metamorphic"]

MAX_ROWS = 2_000
SEARCH = 2_000
"""Rows that are made for each rule, where the data does not say otherwise."""

_EXAMPLES = 5
_NOT_TAKEN = "The model does not take what is changed, so its answer cannot depend on it; on what goes with it, it can."


def metamorphic(
    predictor: Predictor,
    dataset: Dataset,
    rules: Sequence[Mapping[str, Any] | MetamorphicRule],
    *,
    max_rows: int = MAX_ROWS,
    search: int = SEARCH,
    seed: int = 0,
    work: Work | None = None,
) -> Metamorphic:
    """Whether what must hold between answers holds.

    Args:
        predictor: an opened model of tables, texts, pictures or sounds.
        dataset: rows that the rules are checked over; no truth is needed.
        rules: as `{"change": {"income": "+10%"}, "answer": "not_increasing", "label": "default"}`, or
            `MetamorphicRule`.
        max_rows: of more rows, so many are drawn.
        search: how many rows are made and asked for each rule, beyond those of the data; 0 for none.
        seed: of every draw.
        work: cancel and progress; when its time is over, what was found so far stands.

    Raises:
        UsageError: a rule that names unknown columns or labels, changes nothing, does not fit its column, or
            contradicts another; the message says which.
        DataError: no rows.
        SchemaError: columns that the model needs are missing.
    """
    work = Work.of(work)
    refuse_series(predictor)
    if search < 0:
        raise UsageError(ErrorCode.USAGE, f"got search={search!r}", wanted="a number of rows, 0 for none")
    bound = [bind(rule, number, predictor, dataset) for number, rule in enumerate(rules_of(rules), 1)]
    refuse_contradictions(bound)
    inputs = inputs_of(predictor, dataset)
    sample = bounded(dataset, max_rows, len(inputs), seed)
    kept = dict.fromkeys((*inputs, *(name for each in bound for name in each.columns)))
    answers = gather(predictor, sample, columns=list(kept), labelled=False, work=work)
    if bound[0].changes[0].column == "":
        results = checked_files(predictor, sample, answers, bound, most=_EXAMPLES, seed=seed, work=work)
    else:
        results = []
        for number, each in enumerate(bound, 1):
            if results and work.stopped:
                results.append(RuleResult(each.rule, 0, 0, share_of(0, 0), note="There was no time to check it."))
                continue
            generator = draws(seed, "rule", number)
            results.append(_checked(each, number, predictor, answers, inputs, search, generator, work))
            work.report(number, len(bound), "rules", note=str(each.rule)[:60])
    return Metamorphic(predictor.manifest.name, tuple(results), answers.num_rows)


def _checked(
    bound: BoundRule,
    number: int,
    predictor: Predictor,
    answers: Answers,
    inputs: list[str],
    search: int,
    generator: np.random.Generator,
    work: Work,
) -> RuleResult:
    """One rule over the rows of a table, and beyond them."""
    fits = np.flatnonzero(bound.fits(answers.columns).to_numpy())
    if not len(fits):
        return RuleResult(bound.rule, 0, 0, share_of(0, 0))
    rows = answers.columns[fits]
    if not bound.taken:
        return RuleResult(bound.rule, len(fits), 0, share_of(0, len(fits)), note=_NOT_TAKEN)
    checker = Checker(bound, predictor, answers.columns, inputs, answers)
    probabilities = None if answers.probabilities is None else answers.probabilities[fits]
    before = Replies(answers.predicted[fits], probabilities, {}, np.ones(len(fits), dtype=bool))
    found = checker.check(rows, before, generator)
    num_rows = int((found.changed & ~found.refused).sum())
    if not found.changed.any():
        raise UsageError(
            ErrorCode.BAD_RULE,
            f"rule {number} ({bound.rule}): the rule changes nothing in any of the {len(fits):,} rows that it is about",
            wanted="a change that makes another row of one row at least",
            fix="look at the values of " + ", ".join(f"'{printable(name, 60)}'" for name in checker.columns),
        )
    made = Found()
    if search:
        made = searched(checker, rows, found.excess, search, most=_EXAMPLES, seed=generator, work=work)
    own = [checker.example(found, place, int(fits[place])) for place in found.worst(_EXAMPLES)]
    num_broken = int((found.excess > 0).sum())
    num_refused = int((found.refused & found.changed).sum())
    notes = [f"Why it refused: {printable(found.reason, 200)}."] if num_refused and found.reason else []
    if made.searched < search and not work.stopped and num_rows:
        notes.append("Nothing could be searched.")
    elif made.searched < search and work.stopped:
        notes.append("The search ended with its time.")
    return RuleResult(
        bound.rule,
        num_rows,
        num_broken,
        share_of(num_broken, num_rows),
        tuple([*own, *made.examples][: 2 * _EXAMPLES]),
        made.searched,
        made.num_found,
        num_refused,
        " ".join(notes),
    )
