"""What the answer does when one column moves and the others stay: accumulated local effects or partial dependence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from lepton.bundle import Predictor
from lepton.core import ErrorCode, Kind, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.curves import (
    estimates_of,
    joint_dependence,
    local_curve,
    missing_effect,
    plain_curve,
    second_order,
)
from lepton.evaluation.explain.effect_pages import effect_figures, effect_table, surface_figures
from lepton.evaluation.explain.grids import Grid, grid_of, in_order_of_likeness, point_text
from lepton.evaluation.explain.interactions import MAX_ROWS, Interaction, pair_strength
from lepton.evaluation.explain.sample import FEW_ROWS, Sample, kind_of_curve, partners, sample_of
from lepton.report import Figure, Page, Points, Table, plain_table, plural, show_number, show_share

__all__ = ["Curve", "Effect", "Surface", "effect", "effect_of"]

_TITLES = {"ale": "accumulated local effects", "pdp": "partial dependence"}
_SURFACE_POINTS = 10
_SURFACE_ROWS = 300
_CELL_ROWS = 25
_SHOWN_TEXT = 12


@dataclass(frozen=True)
class Curve:
    """What the answer changes by at each place, for one label.

    Attributes:
        label: whose probability it is; "" where there is one number.
        base: the model's mean answer.
        values: change of the answer at each place, 0 on average over the rows, with 95 % intervals [P].
        missing: change when the value is missing in every row, where it is in some.
    """

    label: str
    base: float
    values: tuple[Estimate, ...]
    missing: Estimate | None = None

    @property
    def range(self) -> float:
        """From the lowest to the highest value."""
        found = [each.value for each in self.values if each.value is not None]
        return max(found) - min(found) if found else 0.0


@dataclass(frozen=True)
class Surface:
    """What two columns do together, for one label.

    Attributes:
        label: whose probability it is; "" where there is one number.
        beyond: what they do beyond the sum of both [P, Q].
        joint: all that they do, 0 on average [P, Q]; None where the model answers no finite number.
    """

    label: str
    beyond: tuple[tuple[float | None, ...], ...]
    joint: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Effect:
    """What the answer does when a column moves; made by `Model.effect`.

    Attributes:
        model: its name.
        title: what the number is.
        column: the column.
        kind: `ale` or `pdp`.
        sort: kind of the column.
        points: its places: numbers, microseconds since 1970 UTC, truth values or texts [P].
        point_texts: the same as people read them.
        num_near: rows in the stretch after each place [P - 1], or with each value [P].
        thin: the stretches or values that hold few rows, by their number.
        curves: one for each label, at most five.
        num_rows: rows that were asked about.
        marks: up to 51 quantiles of the column, where its rows lie.
        other: the second column, or "".
        surface_points: places of the first column along the surfaces, as text [P].
        other_points: those of the second [Q].
        surfaces: of both columns, one for each label.
        cells: rows behind each cell of the surfaces; none for partial dependence.
        interaction: how strong what they do together is, and what chance would give.
        notes: what limits all this.
    """

    model: str
    title: str
    column: str
    kind: str
    sort: str
    points: tuple[Any, ...]
    point_texts: tuple[str, ...]
    num_near: tuple[int, ...]
    thin: tuple[int, ...]
    curves: tuple[Curve, ...]
    num_rows: int
    marks: tuple[float, ...] = ()
    other: str = ""
    surface_points: tuple[str, ...] = ()
    other_points: tuple[str, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    cells: tuple[tuple[int, ...], ...] = ()
    interaction: Interaction | None = None
    notes: tuple[str, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether the places are numbers or moments."""
        return self.sort in (Kind.NUMBER, Kind.DATETIME)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        curves = [
            {
                "label": each.label,
                "base": each.base,
                "values": [value.to_dict() for value in each.values],
                "missing": None if each.missing is None else each.missing.to_dict(),
            }
            for each in self.curves
        ]
        raw = {
            "model": self.model,
            "title": self.title,
            "column": self.column,
            "kind": self.kind,
            "column_kind": str(self.sort),
            "points": [_moment(each) for each in self.points] if self.sort == Kind.DATETIME else list(self.points),
            "num_near": list(self.num_near),
            "thin": list(self.thin),
            "curves": curves,
            "num_rows": self.num_rows,
            "notes": list(self.notes),
        }
        if not self.other:
            return raw
        surfaces = [
            {"label": each.label, "beyond": [*map(list, each.beyond)], "joint": [*map(list, each.joint)]}
            for each in self.surfaces
        ]
        return {
            **raw,
            "other": self.other,
            "surface_points": list(self.surface_points),
            "other_points": list(self.other_points),
            "surfaces": surfaces,
            "cells": [list(row) for row in self.cells],
            "interaction": None if self.interaction is None else self.interaction.to_dict(),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        head = f"What '{printable(self.column)}' does to {self.title} ({_TITLES[self.kind]}, {self.num_rows:,} rows)"
        lines = [f"{head}; the mean answer is {', '.join(self._bases())}:", ""]
        columns, rows = effect_table(self)
        if rows:
            kept = sorted({round(place) for place in np.linspace(0, len(rows) - 1, min(_SHOWN_TEXT, len(rows)))})
            lines += [plain_table(columns, [rows[place] for place in kept]), ""]
        if self.interaction is not None:
            lines += [self.told_interaction(), ""]
        return "\n".join([*lines, *self.notes]).rstrip()

    def figures(self) -> list[Figure]:
        """The curves drawn, then the surfaces."""
        return [*effect_figures(self), *surface_figures(self)]

    def plot(self) -> Figure:
        """The first drawing."""
        return self.figures()[0]

    def page(self) -> Page:
        """A page with the curves drawn."""
        subtitle = f"{self.title}; {_TITLES[self.kind]} on {self.num_rows:,} rows; mean {', '.join(self._bases())}"
        page = Page(f"What {self.column} does in {self.model}", subtitle=subtitle)
        columns, rows = effect_table(self)
        blocks = [Table(columns, rows)] if rows else []
        page.section("Effect", *effect_figures(self), *blocks)
        if self.other:
            told = [self.told_interaction()] if self.interaction is not None else []
            page.section(f"Together with {self.other}", *surface_figures(self), Points(told))
        if self.notes:
            page.section("What limits this", Points(self.notes))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def told_interaction(self) -> str:
        """How strong what both columns do together is, in a sentence."""
        found = self.interaction
        if found is None or found.strength.value is None:
            return f"Whether '{printable(self.other)}' changes this effect is not known."
        if not found.told:
            return (
                f"No interaction with '{printable(self.other)}' is shown: what both do beyond their sum moves the "
                f"answer by {found.strength}, by chance alone up to {show_number(found.chance)}."
            )
        return (
            f"'{printable(self.other)}' changes this effect: what both do beyond their sum moves the answer by "
            f"{found.strength}, by chance alone up to {show_number(found.chance)}; "
            f"it is {show_share(found.share)} of the variance of what they do together."
        )

    def _bases(self) -> list[str]:
        return [f"{printable(c.label)}: {show_number(c.base)}" if c.label else show_number(c.base) for c in self.curves]


def effect(
    predictor: Predictor,
    dataset: Dataset,
    column: str,
    *,
    kind: Literal["ale", "pdp"] = "ale",
    other: str | None = None,
    label: Any = None,
    log_odds: bool = False,
    points: int = 20,
    max_rows: int = 2_000,
    seed: int = 0,
    work: Work | None = None,
) -> Effect:
    """What a model's answer does when one column moves, or two.

    Accumulated local effects move each row to both ends of the stretch that it lies in, so no row gets a value that is
    far from its own; partial dependence gives every value to every row, also where no such row can be.

    Args:
        predictor: an opened model of tables.
        dataset: rows to ask it about; no target is needed. Weights and groups count where columns have those roles.
        column: number, moment, truth value or category.
        kind: `ale` or `pdp`.
        other: a second column: what both do together.
        label: the one label whose probability is meant; by default the positive one, or up to five of more.
        log_odds: tell probabilities as log-odds.
        points: places, at least 2: quantiles, or the most frequent values.
        max_rows: of more rows, so many are drawn.
        seed: of draws and resamples.
        work: cancel and progress.

    Raises:
        DataError: no rows; a column that the model does not take.
        UsageError: a column of texts; a model without a number, or without a table.
    """
    if kind not in _TITLES:
        raise UsageError(ErrorCode.USAGE, f"got kind={kind!r}", wanted="'ale' or 'pdp'")
    if not 2 <= points <= 200:
        raise UsageError(ErrorCode.USAGE, f"got points={points}", wanted="2 to 200")
    options = {"label": label, "log_odds": log_odds, "max_rows": max_rows, "seed": seed, "work": work}
    sample = sample_of(predictor, dataset, **options)
    for name in filter(None, (column, other)):
        kind_of_curve(sample.record(name))
    if other is not None and other == column:
        raise UsageError(ErrorCode.USAGE, f"got '{printable(column)}' twice", wanted="two different columns")
    others = [name for name in sample.inputs.names if name != column]
    pairs = partners(sample, [column, *others])
    found = effect_of(sample, column, kind=kind, points=points, pairs=pairs, seed=seed)
    return found if other is None else _with_surface(found, sample, other, points, seed)


def effect_of(
    sample: Sample,
    column: str,
    *,
    kind: str = "ale",
    points: int = 20,
    pairs: Sequence[tuple[str, str, float]] = (),
    seed: int = 0,
) -> Effect:
    """`effect` of one column for rows that are packed already; `pairs` go together, as `partners` gives them."""
    grid = grid_of(sample, column, points)
    predictor, question = sample.question.predictor, sample.question
    sample.work.report(0, 1, "columns", note=f"effect of {printable(column)}")
    curves: tuple[Curve, ...] = ()
    if grid.width > 1:
        grid, curves = _curves(sample, grid, kind, seed)
    return Effect(
        predictor.manifest.name,
        question.title,
        column,
        kind,
        str(grid.record.kind),
        _plain_points(grid),
        tuple(point_text(grid.record, point) for point in grid.points),
        tuple(grid.counts.tolist()),
        tuple(grid.thin()),
        curves,
        sample.num_rows,
        _marks(sample, grid),
        notes=tuple(_notes(sample, grid, kind, pairs)),
    )


def _curves(sample: Sample, grid: Grid, kind: str, seed: int) -> tuple[Grid, tuple[Curve, ...]]:
    if kind == "ale":
        grid = in_order_of_likeness(grid, sample)
    statistic = local_curve(sample, grid) if kind == "ale" else plain_curve(sample, grid)
    values, told = estimates_of(statistic, sample, seed)
    if not grid.ordered and grid.record.kind is not Kind.BOOLEAN:  # as a list they read from high to low
        order = np.argsort(-np.nan_to_num(values[0]), kind="stable")
        grid, told = grid.reordered(order), [[row[place] for place in order] for row in told]
    missing: list[Estimate | None] = [None] * len(sample.labels)
    if grid.share_missing and grid.share_missing < 1:
        missing = [each[0] for each in estimates_of(missing_effect(sample, grid.record.name), sample, seed)[1]]
    bases = np.average(sample.answers, axis=0, weights=sample.mass).tolist()
    rows = zip(sample.labels, bases, told, missing, strict=True)
    return grid, tuple(Curve(label, base, tuple(each), gone) for label, base, each, gone in rows)


def _with_surface(found: Effect, sample: Sample, other: str, points: int, seed: int) -> Effect:
    few = min(points, _SURFACE_POINTS)
    if found.kind == "ale":  # a cell's difference is a mean over its rows, and cells add up
        few = max(min(few, int(np.sqrt(sample.num_rows / _CELL_ROWS)) + 1), 2)
    first, second = (grid_of(sample, name, few) for name in (found.column, other))
    if min(first.width, second.width) < 2:
        note = f"'{printable(other)}' has no two values in these rows: what both do together is not known."
        return replace(found, other=other, notes=(*found.notes, note))
    cells: Positions = np.zeros((0, 0), dtype=np.int64)
    if found.kind == "ale":
        first, second = (in_order_of_likeness(each, sample) for each in (first, second))
        beyond, cells = second_order(sample, first, second)
        mains = [local_curve(sample, grid)(sample.mass[None, :])[0] for grid in (first, second)]
        joint = beyond + mains[0][:, :, None] + mains[1][:, None, :]
    else:
        drawn = sample.draw(_SURFACE_ROWS, seed, 6)
        first, second = (grid_of(drawn, name, few) for name in (found.column, other))
        beyond, joint = joint_dependence(drawn, first, second)
    spread = float(np.sqrt(sample.answers.var(axis=0).sum()))
    strength = pair_strength(sample.draw(MAX_ROWS, seed, 3), found.column, other, spread=spread, seed=seed)
    empty = int((cells == 0).sum()) if cells.size else 0
    notes = list(found.notes)
    if empty:
        notes.append(f"{plural(empty, 'cell')} of {cells.size} of the surface hold no row: there it is a guess.")
    texts = [tuple(point_text(grid.record, point) for point in grid.points) for grid in (first, second)]
    return replace(
        found,
        other=other,
        other_points=texts[1],
        surfaces=tuple(
            Surface(label, _nested(one), _nested(two))
            for label, one, two in zip(sample.labels, beyond, joint, strict=True)
        ),
        cells=tuple(tuple(row) for row in cells.tolist()),
        interaction=strength,
        notes=tuple(notes),
        surface_points=texts[0],
    )


def _nested(values: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(float(each) if np.isfinite(each) else None for each in row) for row in values)


def _notes(sample: Sample, grid: Grid, kind: str, pairs: Sequence[tuple[str, str, float]]) -> list[str]:
    name = f"'{printable(grid.record.name)}'"
    notes = []
    if grid.width < 2:
        what = "no value" if not grid.width else "one value"
        return [f"{name} has {what} in these rows, so they do not show what it does."]
    if sample.num_rows < FEW_ROWS:
        notes.append(f"With {plural(sample.num_rows, 'row')} the intervals are too narrow.")
    if sample.unanswered:
        notes.append(f"{plural(sample.unanswered, 'row')} left out: the model answers no finite number to them.")
    if np.ptp(sample.answers, axis=0).max() == 0:
        notes.append("The model answers the same for all of these rows.")
    notes += _thin_notes(grid)
    if grid.share_missing:
        notes.append(f"{show_share(grid.share_missing)} of the rows have no number in {name}; they are told apart.")
    if grid.num_others:
        rows = f"{show_share(grid.share_others)} of the rows"
        notes.append(f"{plural(grid.num_others, 'rarer value')} of {name}, in {rows}, are left out.")
    if sample.labels_left_out:
        notes.append(f"{plural(sample.labels_left_out, 'label')} with smaller probabilities are left out.")
    near = [(b if a == grid.record.name else a, value) for a, b, value in pairs if grid.record.name in (a, b)]
    if near:
        told = ", ".join(f"'{printable(other)}' ({show_number(value, 3)})" for other, value in near[:3])
        notes.append(f"{name} goes together with {told}: what it does alone can hardly be told from these rows.")
        if kind == "pdp":
            notes.append(
                "Partial dependence asks about rows that cannot be, with those columns apart: kind='ale' does not."
            )
    notes.append("It says what the model does, not what the world would; intervals are about the rows alone.")
    return notes


def _thin_notes(grid: Grid) -> list[str]:
    thin, counts = grid.thin(), grid.counts
    if not thin:
        return []
    text = [point_text(grid.record, point) for point in grid.points]
    if grid.ordered:
        told = [f"{text[i]} to {text[i + 1]} ({plural(int(counts[i]), 'row')})" for i in thin[:3]]
    else:
        told = [f"'{printable(text[i])}' ({plural(int(counts[i]), 'row')})" for i in thin[:3]]
    more = f" and {len(thin) - 3:,} more" if len(thin) > 3 else ""
    return [f"Few rows lie at {', '.join(told)}{more}: there it is a guess."]


def _marks(sample: Sample, grid: Grid) -> tuple[float, ...]:
    if not grid.ordered:
        return ()
    values = sample.cells(grid.record.name)
    finite = values[np.isfinite(values)]
    return tuple(np.quantile(finite, np.linspace(0, 1, 51)).tolist()) if len(finite) else ()


def _plain_points(grid: Grid) -> tuple[Any, ...]:
    if grid.ordered:
        return tuple(float(point) for point in grid.points)
    return tuple(bool(p) if grid.record.kind is Kind.BOOLEAN else str(p) for p in grid.points)


def _moment(microseconds: float) -> str | float:
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return microseconds
