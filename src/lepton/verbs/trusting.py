"""Verbs about how far a model may be trusted: explain, verify and card, and the methods of `Model` beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from lepton.bundle import SeriesInputs, TensorInputs
from lepton.core import ErrorCode, UsageError, Work
from lepton.core.lazy import LazyModule
from lepton.verbs.model import Model, opened, rows_for
from lepton.verbs.tables import Source, read

if TYPE_CHECKING:
    from lepton.evaluation import (
        card as cards,
        explain as explaining,
        fairness as fair,
        privacy,
        robustness as robust,
        verify as verifying,
        weak,
    )
    from lepton.security import PrivateKey
    from lepton.serving import load as loads

    Card: TypeAlias = cards.Card
    Cases: TypeAlias = explaining.Cases
    Counterfactuals: TypeAlias = explaining.Counterfactuals
    Effect: TypeAlias = explaining.Effect
    Fairness: TypeAlias = fair.Fairness
    Membership: TypeAlias = privacy.Membership
    Metamorphic: TypeAlias = robust.Metamorphic
    Overview: TypeAlias = explaining.Overview
    Robustness: TypeAlias = robust.Robustness
    Verification: TypeAlias = verifying.Verification
    WeakPlaces: TypeAlias = weak.WeakPlaces
    Explained: TypeAlias = explaining.Explanation | explaining.FileExplanation
else:
    loads, privacy = LazyModule("lepton.serving.load"), LazyModule("lepton.evaluation.privacy")
    explaining, fair = LazyModule("lepton.evaluation.explain"), LazyModule("lepton.evaluation.fairness")
    robust, weak = LazyModule("lepton.evaluation.robustness"), LazyModule("lepton.evaluation.weak")
    verifying, cards = LazyModule("lepton.evaluation.verify"), LazyModule("lepton.evaluation.card")

__all__ = ["card", "explain", "verify"]

_MADE_ROWS = 1_000


def explain(
    model: Model | str | Path,
    rows: Any,
    *,
    data: Source | None = None,
    label: Any = None,
    seed: int = 0,
    work: Work | None = None,
    **options: Any,
) -> Explained:
    """Why a model answers rows as it does: what each column, word or region adds to the answer.

    Of tables these are Shapley values: what a column adds on average over all orders in which the columns of the row
    replace those of other rows. They sum to the answer, and are exact where the model allows it, for lines, trees and
    few columns; else they are sampled and their error is told.

    Args:
        model: a `Model` or the path of one.
        rows: as of `Model.predict`; a handful, such as `[{"age": 41, "income": 38000}]`.
        data: rows to compare with, such as those of the training; by default those that the training left here, or
            such as the statistics in the file say, each column for itself.
        label: the one label whose probability is explained; by default the positive one of two, each of more.
        seed: of what is sampled.
        work: time, cancel, progress and resources; replaces `seed`.
        options: `log_odds`, `method`, `samples`; for pictures, sounds and texts `gradients`, a callable
            `(array, label) -> array`.

    Returns:
        What was found, whose `plot()` and `page()` draw it; of tables with `counterfactuals(k=3)`: the nearest rows
        that are answered otherwise.

    Raises:
        UsageError: a model whose answer cannot be shared among its inputs: one of clusters or forecasts.
        SchemaError: rows that do not fit.
    """
    found = opened(model)
    work = Work(seed=seed) if work is None else work
    options = {"label": label, "seed": work.seed, "work": work, **options}
    if isinstance(found.predictor.inputs, SeriesInputs):
        _refuse_series()
    if not explaining.takes_files(found.predictor):
        given = _first(found, rows)
        return explaining.explain_table(found.predictor, given, data=_beside(found, data), **options)
    return explaining.explain_file(found.predictor, found._rows(rows), **options)


def similar(model: Model | str | Path, rows: Any, data: Source, *, k: int = 5, work: Work | None = None) -> Cases:
    """The rows of `data` that are most alike to each of `rows`, as the model sees them."""
    found = opened(model)
    given = found._rows(rows) if isinstance(found.predictor.inputs, TensorInputs) else _first(found, rows)
    return explaining.similar_cases(found.predictor, given, rows_for(found, data), k=k, work=work)


def counterfactuals(
    model: Model | str | Path, row: Any, *, data: Source | None = None, **options: Any
) -> Counterfactuals:
    """The nearest rows that are answered otherwise; options as of `Explanation.counterfactuals`."""
    found = opened(model)
    return explaining.counterfactuals(found.predictor, _first(found, row), data=_beside(found, data), **options)


def overview(model: Model, source: Source | None = None, **options: Any) -> Overview:
    """`Model.overview`."""
    return explaining.overview(model.predictor, _rows_to_show(model, source), **options)


def effect(model: Model, column: str, source: Source | None = None, **options: Any) -> Effect:
    """`Model.effect`."""
    return explaining.effect(model.predictor, _rows_to_show(model, source), column, **options)


def segments(model: Model, source: Source, **options: Any) -> WeakPlaces:
    """`Model.segments`."""
    return weak.weak_places(model.predictor, rows_for(model, source), **options)


def fairness(
    model: Model,
    source: Source,
    protected: str | Sequence[str] = (),
    *,
    target: str | None = None,
    seed: int = 0,
    work: Work | None = None,
    **options: Any,
) -> Fairness:
    """`Model.fairness`."""
    table = rows_for(model, source)
    names = (protected,) if isinstance(protected, str) else tuple(protected)
    return fair.fairness_of(model.predictor, table, names, target=target, seed=seed, work=Work.of(work), **options)


def robustness(model: Model, source: Source, **options: Any) -> Robustness:
    """`Model.robustness`."""
    return robust.robustness(model.predictor, rows_for(model, source), **options)


def metamorphic(model: Model, source: Source, rules: Sequence[Any], **options: Any) -> Metamorphic:
    """`Model.metamorphic`."""
    return robust.metamorphic(model.predictor, rows_for(model, source), rules, **options)


def membership(model: Model, trained_on: Source, held_out: Source, **options: Any) -> Membership:
    """`Model.membership`; a `reference` may be a model too."""
    if (reference := options.get("reference")) is not None:
        options["reference"] = opened(reference).predictor
    rows = (rows_for(model, each) for each in (trained_on, held_out))
    return privacy.membership(model.predictor, *rows, **options)


def verify(
    model: Model | str | Path,
    data: Source | None,
    rules: Any,
    *,
    target: str | None = None,
    training: Source | None = None,
    key: PrivateKey | None = None,
    save: bool = True,
    output: str | Path | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Verification:
    """Whether a model may go live: rules about how good, even, fair, robust, quick and documented it is.

    What came of each rule, with its evidence, is kept in the reports of the model file; `lepton serve --require
    verified` refuses a model that has none.

    Args:
        model: a `Model` or the path of one.
        data: rows with the target that the model was not trained on; None for rules that need none.
        rules: a YAML file, or a list such as `[{"metric": {"metric": "accuracy", "least": 0.9}}]`.
        target: column of the truth, where it is another one than in training.
        training: rows that the model was trained on, for rules about leakage and privacy.
        key: signs the result, so that a server can tell who verified the model.
        save: keep the result in the model file.
        output: a file to write in place of the model's own.
        seed: of what is sampled.
        work: time, cancel, progress and resources; replaces `seed`.

    Raises:
        DataError: a rule speaks of a column that is not there; or the rules contradict each other.
        UsageError: a rule that cannot be meant.
    """
    found = opened(model)
    work = Work(seed=seed) if work is None else work
    wanted = verifying.load_rules(rules) if isinstance(rules, str | Path) else verifying.rules_of(rules)
    result = verifying.verify(
        found.predictor,
        None if data is None else rows_for(found, data),
        wanted,
        target=target,
        training=None if training is None else rows_for(found, training),
        seed=work.seed,
        work=work,
    )
    if save:
        verifying.save(found.path, result, output=output, key=key)
    return result


def card(model: Model | str | Path, *, intended_use: str = "", out_of_scope: str = "", **options: Any) -> Card:
    """The model card: what the file and its reports say of the model, and what nobody has found out.

    Args:
        model: a `Model` or the path of one.
        intended_use: what it is for, in words: the only text that is not generated.
        out_of_scope: what it must not be used for.
        options: as of `lepton.evaluation.card.card_of`.
    """
    found = opened(model)
    return cards.card_of(found.predictor, intended_use=intended_use, out_of_scope=out_of_scope, **options)


def _first(model: Model, rows: Any) -> pl.DataFrame:
    """Rows as a table of the model's columns: one as a dict is a row, a path is read."""
    return explaining.frame_of(model.predictor, model._rows(rows))


def _beside(model: Model, data: Source | None) -> Any:
    """Rows to compare with: the caller's, or those of the training where it was here."""
    if data is not None:
        return rows_for(model, data)
    return None if model._table is None else rows_for(model, model._table)


def _rows_to_show(model: Model, source: Source | None) -> Any:
    """The caller's rows, those of the training, or such as the statistics in the file say."""
    if isinstance(model.predictor.inputs, SeriesInputs):
        _refuse_series()
    given = _beside(model, source)
    if given is not None:
        return given
    if isinstance(model.predictor.inputs, TensorInputs):
        raise UsageError(ErrorCode.USAGE, "got no rows", wanted="rows, for a model that takes no table")
    made: Mapping[str, Any] = pl.DataFrame(
        loads.rows_like(model.predictor.bundle, _MADE_ROWS, 0), infer_schema_length=None
    ).to_dict(as_series=False)
    return rows_for(model, read(pl.DataFrame(made)))


def _refuse_series() -> None:
    raise UsageError(
        ErrorCode.USAGE,
        "got a model of forecasts",
        wanted="a model that answers row by row",
        fix="its leaderboard says how good it was on later windows",
    )
