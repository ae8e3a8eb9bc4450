"""The overview of a model as a page and as a screen of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lepton.core import printable
from lepton.report import Block, Facts, Page, Points, Table, Text, bars, plain_table, plural, show_number

if TYPE_CHECKING:
    from lepton.evaluation.explain.effects import Effect
    from lepton.evaluation.explain.whole import Overview

__all__ = ["overview_page", "overview_text"]

_SHOWN_BARS = 20
_SHOWN_LINES = 10
_PARTS = {
    "importance": "What it leans on",
    "strengths": "What moves its answers",
    "together": "How closely columns go together",
    "effects": "What each column does",
    "interactions": "What it does not add up",
    "surrogate": "The model as a few rules",
    "prototypes": "Typical rows",
}


def overview_text(found: Overview) -> str:
    """What a model does, on one screen."""
    head = f"{printable(found.model)} answers {found.title} from {plural(found.num_columns, 'column')}"
    lines = [f"{head}, asked about {plural(found.num_rows, 'row')}.", ""]
    columns, rows = _weights(found)
    if rows:
        lines += [plain_table(columns, rows[:_SHOWN_LINES]), ""]
    lines += _together(found)
    lines += [_sentence(each) for each in found.effects]
    lines += _interactions(found)
    if found.surrogate is not None:
        refused = found.surrogate.verdict == "refused"
        lines += ["", *([] if refused else found.surrogate.rules()), found.surrogate.statement()]
    if found.prototypes is not None:
        lines += ["", f"Typical rows: {', '.join(str(each.row) for each in found.prototypes.prototypes)}"]
        if found.prototypes.criticisms:
            lines[-1] += f"; unlike them: {', '.join(str(each.row) for each in found.prototypes.criticisms)}"
    return "\n".join([*lines, "", *_missing(found), *found.notes]).rstrip()


def overview_page(found: Overview) -> Page:
    """What a model does, drawn."""
    page = Page(f"What {found.model} does", subtitle=f"{found.title}, on {plural(found.num_rows, 'row')}")
    facts = {"rows": found.num_rows, "columns": found.num_columns}
    if found.surrogate is not None and found.surrogate.fidelity.value is not None:
        facts["R² of a small tree"] = round(found.surrogate.fidelity.value, 3)  # type: ignore[assignment]
    limits: list[Block] = [Facts(facts)]
    if told := [*_missing(found), *found.notes]:
        limits.append(Points(told))
    page.section("At a glance", *limits)
    _lean_on(page, found)
    if found.effects:
        figures = [figure for each in found.effects for figure in each.figures()]
        notes = [f"{each.column}: {note}" for each in found.effects for note in each.notes[:-1]]
        last = [effect.notes[-1] for effect in found.effects[:1] if effect.notes]
        page.section(_PARTS["effects"], *figures, Points([*dict.fromkeys(notes), *last]))
    if found.interactions is not None:
        page.section(_PARTS["interactions"], *found.interactions.blocks())
    if found.surrogate is not None:
        page.section(_PARTS["surrogate"], *found.surrogate.blocks())
    if found.prototypes is not None:
        page.section(_PARTS["prototypes"], *found.prototypes.blocks())
    return page


def _lean_on(page: Page, found: Overview) -> None:
    if found.importance is not None:
        page.extend(found.importance.page())
    if found.strengths is not None:
        told = [each for each in found.strengths.columns if each.moved.value is not None][:_SHOWN_BARS]
        ends = np.array([[e.moved.value, e.moved.lower, e.moved.upper] for e in told], dtype=np.float64).reshape(-1, 3)
        figure = bars(
            [each.column for each in told],
            ends[:, 0],
            title="How far the answers move when a column is shuffled",
            lower=ends[:, 1],
            upper=ends[:, 2],
        )
        what = Text("This is about the answers, not about how right they are: it needs no labels.", tone="note")
        page.section(_PARTS["strengths"], figure, what)
    if found.together:
        said = Text("What one of these does alone can hardly be told from these rows.", tone="warning")
        pairs = [(f"{a} and {b}", value) for a, b, value in found.together[:_SHOWN_BARS]]
        page.section(_PARTS["together"], said, Table(("columns", "association"), pairs))


def _weights(found: Overview) -> tuple[list[str], list[list[object]]]:
    if found.importance is not None:
        rows: list[list[object]] = [
            [each.columns[0], each.loss.value, each.loss.interval, "" if each.matters else "none shown"]
            for each in found.importance.features
        ]
        return ["column", f"loss of {found.importance.metric}", "95 % interval", ""], rows
    if found.strengths is None:
        return [], []
    moved: list[list[object]] = [[e.column, e.moved.value, e.moved.interval] for e in found.strengths.columns]
    return ["column", "moves the answer by", "95 % interval"], moved


def _together(found: Overview) -> list[str]:
    groups = [] if found.importance is None else [each.columns for each in found.importance.groups]
    if not groups:
        groups = [(a, b) for a, b, _ in found.together]
    if not groups:
        return []
    told = "; ".join(", ".join(map(printable, columns[:6])) for columns in groups[:5])
    return [f"These go together, so what one of them does alone can hardly be told: {told}.", ""]


def _sentence(effect: Effect) -> str:
    """The strongest movement of one column."""
    curve = max(effect.curves, key=lambda each: each.range, default=None)
    if curve is None:
        return effect.notes[0] if effect.notes else ""
    values = [np.nan if each.value is None else each.value for each in curve.values]
    if not np.isfinite(values).any():
        return f"{printable(effect.column)}: the model answers no finite number."
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    label = f" (label {printable(curve.label)})" if curve.label else ""
    first, last = (
        f"{show_number(values[place])} at {printable(effect.point_texts[place], 40)}" for place in (low, high)
    )
    guess = ", with few rows in places" if effect.thin else ""
    return f"{printable(effect.column)}{label}: from {first} to {last}{guess}"


def _interactions(found: Overview) -> list[str]:
    if found.interactions is None:
        return []
    told = [each for each in found.interactions.pairs if each.told][:3]
    if not told:
        return ["", "No interaction is shown."] if found.interactions.pairs else []
    pairs = "; ".join(f"{' × '.join(map(printable, each.columns))} by {each.strength}" for each in told)
    return ["", f"Moved beyond the sum of both: {pairs}"]


def _missing(found: Overview) -> list[str]:
    return [f"Not here: {_PARTS[name].lower()}: {why.rstrip('.')}." for name, why in found.missing.items()]
