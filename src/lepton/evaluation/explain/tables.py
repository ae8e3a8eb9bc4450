"""Why a model of tables answers a row as it does: Shapley values of its columns.

Each contribution is what a column adds on average over the orders in which the columns of the row may replace those of
rows from a background (Shapley 1953; as explanations Štrumbelj & Kononenko 2010, Lundberg & Lee 2017). Columns are
replaced one without the other, whether or not they go together in the data ("interventional" or "marginal" values):
that is what the model does, not what the world does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from lepton.bundle import Predictor, TableInputs
from lepton.core import ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.data.describe.associations import associations
from lepton.evaluation.explain.additive import Additive, additive_contributions, linear_with_products
from lepton.evaluation.explain.background import Background, Rows, background_of
from lepton.evaluation.explain.base import Question, question_of
from lepton.evaluation.explain.coalitions import Contributions, Game, enumerated, evaluations_of_all
from lepton.evaluation.explain.explanation import Explanation
from lepton.evaluation.explain.given import frame_of
from lepton.evaluation.explain.grouping import strongest_apart
from lepton.evaluation.explain.sampling import LEAST_WALKS, sampled

__all__ = ["Method", "explain_table"]

Method = Literal["auto", "graph", "enumeration", "sampling"]

BACKGROUND_ROWS = 100
_EXACT_BACKGROUND = 1_000  # trees and weights ask for each row of it once
_MOST_ENUMERATED = 2**21  # rows that the model is asked for
_MOST_PLAYERS = 12
_MOST_EVALUATIONS = 16_384  # for a row
_MOST_WALKS = 256
_TOLERANCE = 0.05
_TOGETHER = 0.8
_MOST_COMPARED = 200  # columns of which all pairs are looked at


def explain_table(
    predictor: Predictor,
    rows: Any,
    *,
    data: Dataset | None = None,
    label: Any = None,
    log_odds: bool | None = None,
    method: Method = "auto",
    samples: int | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Explanation:
    """What each column adds to what a model answers to each row.

    Args:
        predictor: an opened model of a table.
        rows: to explain, in any container, or a `Dataset`.
        data: rows to compare with, such as the training table; by default rows made from the statistics in the file.
        label: whose probability is explained; by default the positive one of two, or every one of more.
        log_odds: explain probabilities as log-odds; by default where that can be done exactly. False for
            probabilities in any case.
        method: `graph` takes contributions from the trees or weights in the model file, `enumeration` asks the model
            for all combinations of columns, both exactly; `sampling` draws; `auto` takes the first that serves.
        samples: rows that the model may be asked for, for each row that is explained, where contributions are drawn;
            by default as many as the tolerance takes, 16,384 at most.
        tolerance: half the width of the widest interval of a row, as a share of its largest contribution, from which
            no more is drawn; default 0.05.
        seed: of the background and of what is drawn.
        work: told of progress; when its time is over, drawing ends: intervals are wider then, or rows left out.

    Raises:
        DataError: no rows.
        SchemaError: rows or data do not have the model's columns.
        UsageError: a model whose answer is no number or that takes no table; no rows to compare with; a `method` that
            does not serve.
    """
    work = Work.of(work)
    if not isinstance(predictor.inputs, TableInputs):
        raise UsageError(ErrorCode.USAGE, "the model takes no table", fix="explain its files with explain_file")
    _check(method, samples, tolerance)
    plain = question_of(predictor, label, log_odds=bool(log_odds))
    cells = frame_of(predictor, rows)
    tensors = predictor.tensors(cells)
    wide = background_of(predictor, data, count=_EXACT_BACKGROUND, seed=seed)
    questions = _questions(predictor, plain, label, log_odds)
    exact = None
    if method in ("auto", "graph"):
        exact = additive_contributions(predictor, questions, tensors, wide.tensors, work)
    notes = _notes(data, wide)
    if exact is not None:
        return _from_graph(predictor, exact, (cells, wide, data), notes)
    background = wide.first(BACKGROUND_ROWS)
    rows_and_background = Rows(predictor.inputs, tensors, background.tensors)
    if method in ("auto", "graph"):
        exact = linear_with_products(predictor, questions, rows_and_background, _MOST_ENUMERATED, work)
        if exact is not None:
            return _from_graph(predictor, exact, (cells, background, data), notes)
    if method == "graph":
        raise UsageError(
            ErrorCode.USAGE,
            "the model's answer is no sum of trees or products in which each feature comes from one column",
            fix="method='auto' draws contributions",
        )
    game = Game(rows_and_background, plain.ask)
    names = predictor.inputs.names
    affordable = game.num_players <= _MOST_PLAYERS and evaluations_of_all(game) <= _MOST_ENUMERATED
    if method == "enumeration" and game.num_players > _MOST_PLAYERS:
        raise UsageError(
            ErrorCode.USAGE,
            f"got method='enumeration' for {game.num_players:,} columns",
            wanted=f"at most {_MOST_PLAYERS}",
            fix="method='sampling' draws",
        )
    if method == "enumeration" or (method == "auto" and affordable and samples is None):
        found, used = enumerated(game, work), "enumeration"
    else:
        game, names, note = strongest_apart(game, names, work)
        found, used = _drawn(game, samples, tolerance, seed, work), "sampling"
        notes += note
    if (lacking := len(cells) - len(found.values)) > 0:
        notes += (f"There was no time for the last {lacking:,} rows.",)
    return _explanation(plain, names, found, game, (predictor, cells, background, data), (used, notes))


def _check(method: str, samples: int | None, tolerance: float | None) -> None:
    if method not in ("auto", "graph", "enumeration", "sampling"):
        known = "'auto', 'graph', 'enumeration' or 'sampling'"
        raise UsageError(ErrorCode.USAGE, f"got method={method!r}", wanted=known)
    if samples is not None and samples < 1:
        raise UsageError(ErrorCode.USAGE, f"got samples={samples}", wanted="at least 1")
    if tolerance is not None and not tolerance > 0:
        raise UsageError(ErrorCode.USAGE, f"got tolerance={tolerance}", wanted="a share above 0, such as 0.05")


def _questions(predictor: Predictor, plain: Question, label: Any, log_odds: bool | None) -> list[Question]:
    """What may be explained exactly, in the order in which it is preferred."""
    if log_odds is not None or not predictor.task.classifies:
        return [plain]
    if plain.width == 1:
        return [question_of(predictor, label, log_odds=True), plain]
    scores = replace(plain, title="the score of each label", places=())
    return [plain, scores]


def _from_graph(
    predictor: Predictor, exact: Additive, given: tuple[Any, Background, Dataset | None], notes: tuple[str, ...]
) -> Explanation:
    cells, background, data = given
    if exact.question.log_odds:
        notes += ("Contributions are in log-odds, in which they add up; log_odds=False explains probabilities.",)
    elif exact.question.labels and not exact.question.places:
        notes += ("Contributions are to the scores before they become probabilities; log_odds=False explains those.",)
    zeros = np.zeros_like(exact.values)
    return Explanation(
        predictor.manifest.name,
        exact.question.title,
        tuple(column.name for column in predictor.manifest.inputs),
        exact.question.labels,
        exact.values,
        zeros,
        np.full(len(zeros), np.inf),
        exact.base,
        exact.answers,
        cells,
        exact.method,
        background.words,
        notes + _constant(exact.values),
        exact.evaluations,
        predictor,
        data,
    )


def _drawn(game: Game, samples: int | None, tolerance: float | None, seed: int, work: Work) -> Contributions:
    a_pair = max(1, 2 * (game.num_players - 1))
    most = min(_MOST_WALKS, max(LEAST_WALKS, _MOST_EVALUATIONS // a_pair))
    if samples is None:
        return sampled(game, walks=most, tolerance=tolerance or _TOLERANCE, seed=seed, work=work)
    walks = samples // a_pair
    if walks < 2:
        raise UsageError(
            ErrorCode.USAGE,
            f"got samples={samples} for {game.num_players:,} columns",
            wanted=f"at least {2 * a_pair:,}: each column once in each of four walks",
        )
    return sampled(game, walks=walks, tolerance=tolerance, seed=seed, work=work)


def _explanation(
    question: Question,
    names: tuple[str, ...],
    found: Contributions,
    game: Game,
    given: tuple[Predictor, Any, Background, Dataset | None],
    told: tuple[str, tuple[str, ...]],
) -> Explanation:
    predictor, cells, background, data = given
    method, notes = told
    count = len(found.values)
    return Explanation(
        predictor.manifest.name,
        question.title,
        names,
        question.labels,
        found.values,
        found.errors,
        found.degrees,
        game.base,
        game.answers[:count],
        cells.head(count),
        method,
        background.words,
        notes + _constant(found.values),
        found.evaluations,
        predictor,
        data,
    )


def _constant(values: Any) -> tuple[str, ...]:
    if np.abs(values).max(initial=0) > 0:
        return ()
    return ("The model answers these rows as it answers what they are compared with: there is nothing to explain.",)


def _notes(data: Dataset | None, background: Background) -> tuple[str, ...]:
    """What to know about columns that go together."""
    frame = background.frame
    if data is None or frame is None or frame.width > _MOST_COMPARED:
        return ()
    found = associations(frame, [data.schema[name] for name in frame.columns])
    if found is None:
        return ()
    pairs = [f"{printable(first)} and {printable(second)}" for first, second, _ in found.strongest(5, _TOGETHER)]
    if not pairs:
        return ()
    listed = "; ".join(pairs)
    return (f"Columns that go together: {listed}. What one of them adds may as well be put down to the other.",)
