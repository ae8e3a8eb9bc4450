"""What `fairness` gives: groups, their rates, how far these lie apart, and three faces (dict, text, page)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.curves import Calibration
from lepton.evaluation.fairness.proxies import Proxy
from lepton.report import Block, Page, Points, Table, Text, bars, lines, plain_table, show_number

__all__ = ["CAUTION", "LAW", "Fairness", "Group", "GroupMeasures", "title_of"]

TITLES = {
    "base_rate": "base rate",
    "selection_rate": "selection rate",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
    "precision": "precision",
    "calibration_gap": "truth − probability",
    "calibration_error": "calibration error",
    "mean_prediction": "mean answer",
    "mean_error": "mean error (answer − truth)",
    "mean_absolute_error": "mean absolute error",
    "selection_rate_difference": "selection rate, difference",
    "selection_rate_ratio": "selection rate, ratio",
    "equal_opportunity_difference": "equal opportunity, difference",
    "equal_opportunity_ratio": "equal opportunity, ratio",
    "equalised_odds_difference": "equalised odds, difference",
    "equalised_odds_ratio": "equalised odds, ratio",
    "predictive_parity_difference": "predictive parity, difference",
    "predictive_parity_ratio": "predictive parity, ratio",
    "calibration_difference": "calibration, difference",
    "mean_prediction_difference": "mean answer, difference",
    "mean_error_difference": "mean error, difference",
    "mean_absolute_error_difference": "mean absolute error, difference",
    "mean_absolute_error_ratio": "mean absolute error, ratio",
}
CAUTION = (
    "These figures describe; they do not say what is just or lawful. The measures cannot all be equal at once where "
    "groups differ in truth (Chouldechova 2017; Kleinberg et al. 2016): choose the one that fits, and say why."
)
LAW = (
    "It uses the protected column. Where decisions about people are made, in lending, hiring, insurance and housing "
    "above all, the law may forbid that even to help a group: ask who knows the law there before it is used."
)
_SHOWN_GROUPS = 60


def title_of(measure: str) -> str:
    """A measure as it is shown."""
    return TITLES.get(measure, measure.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one group.

    Attributes:
        name: the value, or range, that they share.
        num_rows: how many.
        measures: name → rate with its interval; empty where the rows are too few.
        note: why there are none, or "".
        calibration: probabilities of the favourable answer against what came true, where there are some.
    """

    name: str
    num_rows: int
    measures: dict[str, Estimate]
    note: str = ""
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        raw: dict[str, Any] = {
            "name": self.name,
            "num_rows": self.num_rows,
            "measures": {name: each.to_dict() for name, each in self.measures.items()},
            "note": self.note,
        }
        return raw if self.calibration is None else {**raw, "calibration": self.calibration.to_dict()}


@dataclass(frozen=True, slots=True)
class GroupMeasures:
    """The groups of one protected column, or of two at once.

    Attributes:
        column: its name.
        groups: all of them, those too small for figures too.
        measures: name → how far groups lie apart, with an interval that allows for all pairs of them.
        notes: what limits them.
    """

    column: str
    groups: tuple[Group, ...]
    measures: dict[str, Estimate]
    notes: tuple[str, ...] = ()

    @property
    def conclusive(self) -> bool:
        """Whether at least two groups have rows enough to be compared."""
        return sum(bool(each.measures) for each in self.groups) > 1

    def shown(self, measure: str) -> bool:
        """Whether the rows show that groups differ: the interval leaves out 0, or 1 of a ratio."""
        found = self.measures[measure]
        if found.lower is None or found.upper is None:
            return False
        return found.upper < 1 if measure.endswith("_ratio") else found.lower > 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "conclusive": self.conclusive,
            "groups": [each.to_dict() for each in self.groups],
            "measures": {name: {**each.to_dict(), "shown": self.shown(name)} for name, each in self.measures.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Fairness:
    """How a model treats groups of people; made by `Model.fairness`.

    Attributes:
        model: its name.
        target: column of the truth.
        favourable: the label that is good for people; None for numbers.
        num_rows: rows that were judged.
        columns: protected column, or two of them → its groups and measures.
        proxies: inputs that tell a protected column.
        notes: what limits all this.
    """

    model: str
    target: str
    favourable: str | int | None
    num_rows: int
    columns: dict[str, GroupMeasures]
    proxies: tuple[Proxy, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form: None rather than NaN, and the reason where there is one."""
        return {
            "model": self.model,
            "target": self.target,
            "favourable": self.favourable,
            "num_rows": self.num_rows,
            "columns": {name: each.to_dict() for name, each in self.columns.items()},
            "proxies": [each.to_dict() for each in self.proxies],
            "notes": list(self.notes),
            "caution": CAUTION,
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        lines_ = [f"{self._head()}, {self.num_rows:,} rows"]
        for name, found in self.columns.items():
            lines_ += ["", f"By {printable(name)}:", "", plain_table(*_group_table(found, _short)), ""]
            lines_.append(plain_table(("how far groups lie apart", "value", "95 % interval", ""), _apart(found)))
            lines_ += [f"  {note}" for note in found.notes]
        if self.proxies:
            lines_ += ["", "Inputs that tell a protected column:", "", plain_table(_PROXY_HEAD, self._proxy_rows())]
        notes = [*self.notes, "Intervals of each group's own rates are in page() and to_dict()."]
        return "\n".join([*lines_, "", *notes, "", CAUTION])

    def page(self) -> Page:
        """A page with the rates drawn."""
        page = Page(f"How {self.model} treats groups", subtitle=f"{self._head()}, {self.num_rows:,} rows")
        page.section("How to read this", Text(CAUTION, tone="warning"), Points(self.notes))
        for name, found in self.columns.items():
            apart = Table(("how far groups lie apart", "value", "95 % interval", ""), _apart(found))
            page.section(
                f"By {name}", *_figures(found), Table(*_group_table(found)), apart, Points(found.notes)
            )  # fmt: skip
        if self.proxies:
            words = (
                "These inputs go together with a protected column. Leaving that column out of the model does not take "
                "away what they say of it. Each was measured by itself; together, others may say as much."
            )
            page.section("Inputs that tell a protected column", Text(words), Table(_PROXY_HEAD, self._proxy_rows()))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _head(self) -> str:
        if self.favourable is None:
            return f"errors of {printable(self.target, 60)!r} by group"
        return f"favourable: {printable(str(self.favourable), 60)!r}"

    def _proxy_rows(self) -> list[tuple[object, ...]]:
        return [(each.protected, each.column, each.association, each.num_rows) for each in self.proxies]


_PROXY_HEAD = ("protected", "input", "association", "rows")


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"– ({estimate.reason})"
    if estimate.lower is None:
        return show_number(estimate.value)
    return f"{show_number(estimate.value)} ({estimate.interval})"


def _short(estimate: Estimate) -> str:
    return show_number(estimate.value)


def _group_table(found: GroupMeasures, told: Callable[[Estimate], str] = _told) -> tuple[list[str], list[list[object]]]:
    names = list(dict.fromkeys(name for each in found.groups for name in each.measures))
    noted = any(each.note for each in found.groups)
    rows: list[list[object]] = []
    for each in found.groups[:_SHOWN_GROUPS]:
        cells = [told(each.measures[name]) if name in each.measures else "" for name in names]
        rows.append([each.name, each.num_rows, *cells, *([each.note] if noted else [])])
    if len(found.groups) > _SHOWN_GROUPS:
        rest = ["" for _ in (*names, *([""] if noted else []))]
        rows.append([f"and {len(found.groups) - _SHOWN_GROUPS:,} more", None, *rest])
    return ["group", "rows", *map(title_of, names), *([""] if noted else [])], rows


def _apart(found: GroupMeasures) -> list[tuple[str, str, str, str]]:
    return [
        (
            title_of(name),
            show_number(each.value),
            each.interval,
            "" if each.value is None else "groups differ" if found.shown(name) else "no difference shown",
        )
        for name, each in found.measures.items()
    ]


def _figures(found: GroupMeasures) -> Iterator[Block]:
    told = [each for each in found.groups if each.measures]
    for name in ("selection_rate", "true_positive_rate", "mean_error", "mean_absolute_error"):
        known = [each for each in told if name in each.measures and each.measures[name].value is not None]
        if not known:
            continue
        values, lower, upper = (
            np.array([getattr(each.measures[name], end) for each in known], dtype=np.float64)
            for end in ("value", "lower", "upper")
        )
        yield bars([each.name for each in known], values, title=title_of(name), lower=lower, upper=upper)
    curves = {
        each.name: ([b.predicted for b in each.calibration.bins], [b.observed for b in each.calibration.bins])
        for each in told
        if each.calibration is not None
    }
    if curves:
        yield lines(
            curves,
            title="Calibration within groups",
            x_label="probability that was said",
            y_label="share that came true",
            diagonal=True,
        )
