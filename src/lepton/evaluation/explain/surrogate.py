"""A model as a handful of rules: a small tree that imitates it, and how far the tree may be believed.

Source: Craven & Shavlik, "Extracting tree-structured representations of trained networks" (1996), who call the share
of rows on which the imitation agrees its fidelity. It is measured on rows that the tree did not see, with an interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lepton.bundle import Predictor
from lepton.core import ErrorCode, Kind, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.cart import Node, answers_of, grow, leaves
from lepton.evaluation.explain.grids import point_text
from lepton.evaluation.explain.sample import Sample, needs_rows, sample_of
from lepton.evaluation.explain.surrogate_pages import tree_figure
from lepton.report import Block, Facts, Figure, Page, Points, Text, plural, show_number, show_share

__all__ = ["Surrogate", "surrogate", "surrogate_of"]

_LEAST_ROWS = 60
_HELD_OUT = 0.3
_BELIEVED, _REFUSED = 0.8, 0.5
_RESAMPLES = 200
_MAX_COLUMNS = 500


@dataclass(frozen=True)
class Surrogate:
    """A small tree that imitates a model; made by `surrogate`.

    Attributes:
        model: its name.
        title: what the numbers are.
        labels: what the K numbers of a leaf are; empty where there is one.
        root: the tree.
        fidelity: share of the variance of the model's answers that the tree explains (R²) on rows that it did not see.
        agreement: of a classifier, share of those rows that both give the same label.
        num_rows: rows that the tree was learned from.
        num_held_out: rows that it was judged by.
        notes: what limits this.
    """

    model: str
    title: str
    labels: tuple[str, ...]
    root: Node
    fidelity: Estimate
    agreement: Estimate | None
    num_rows: int
    num_held_out: int
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`close` from an R² of 0.8, `rough` from 0.5, else `refused`: by the lower end of the interval."""
        lower = self.fidelity.lower
        if lower is None:
            return "refused"
        return "close" if lower >= _BELIEVED else "rough" if lower >= _REFUSED else "refused"

    def rules(self) -> list[str]:
        """The tree in lines, whatever its fidelity is."""
        return [f"{'  ' * depth}{condition}{told}" for depth, condition, told, _ in self.lines()]

    def paths(self) -> list[str]:
        """Each leaf by itself, with all that leads to it."""
        above: list[str] = []
        found = []
        for depth, condition, told, _ in self.lines():
            above = [*above[:depth], condition]
            if told:
                found.append(" and ".join(filter(None, above)) + told)
        return found

    def lines(self) -> Iterator[tuple[int, str, str, Node]]:
        """Depth, condition, what is answered at a leaf, and the node, from top to bottom."""
        yield from _lines(self.root, 0, "", self.labels)

    def statement(self) -> str:
        """How far the tree may be believed, in a sentence or two."""
        if self.fidelity.value is None:
            return f"There is nothing to imitate: {self.fidelity.reason}."
        told = f"On {plural(self.num_held_out, 'row')} that it did not see, the tree explains {_share(self.fidelity)}"
        told += " of the variance of the model's answers"
        if self.agreement is not None and self.agreement.value is not None:
            told += f", and gives the same label to {_share(self.agreement)}"
        verdicts = {
            "close": ". It is a fair picture of the model, and still a picture.",
            "rough": ". It is a rough picture: what it leaves out may be what counts for a single row.",
            "refused": ". That is too little: its rules are not what the model does, and are not shown.",
        }
        return told + verdicts[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "title": self.title,
            "labels": list(self.labels),
            "verdict": self.verdict,
            "fidelity": self.fidelity.to_dict(),
            "agreement": None if self.agreement is None else self.agreement.to_dict(),
            "num_rows": self.num_rows,
            "num_held_out": self.num_held_out,
            "num_leaves": leaves(self.root),
            "tree": _as_dict(self.root),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people; without the rules where the tree does not do what the model does."""
        head = f"A tree of {plural(leaves(self.root), 'rule')} that imitates {self.title}:"
        if self.verdict == "refused":
            return "\n".join([f"No small tree imitates {self.title}.", self.statement(), *self.notes])
        return "\n".join([head, "", *self.rules(), "", self.statement(), *self.notes])

    def figure(self) -> Figure:
        """The tree drawn, whatever its fidelity is."""
        return tree_figure(self)

    def page(self) -> Page:
        """A page with the tree drawn, unless it does not do what the model does."""
        return Page(f"{self.model} as a few rules", subtitle=self.title).section("A small tree", *self.blocks())

    def blocks(self) -> list[Block]:
        """What stands on its page, for a page of more."""
        tone: Literal["plain", "warning"] = "plain" if self.verdict == "close" else "warning"
        facts = {"fidelity (R²)": self.fidelity.value, "rules": leaves(self.root), "rows": self.num_rows}
        blocks: list[Block] = [Text(self.statement(), tone=tone), Facts(facts)]
        if self.verdict != "refused":
            blocks += [self.figure(), Points(self.paths())]
        return [*blocks, Points(self.notes)]

    def _repr_html_(self) -> str:
        return self.page().html()


def surrogate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    depth: int = 3,
    label: Any = None,
    log_odds: bool = False,
    max_rows: int = 5_000,
    seed: int = 0,
    work: Work | None = None,
) -> Surrogate:
    """Imitate a model by a small tree, and say on other rows how well that goes.

    Args:
        predictor: an opened model of tables.
        dataset: rows to ask it about; no target is needed.
        depth: questions on top of each other, 1 to 4.
        label: the one label whose probability is meant.
        log_odds: imitate log-odds.
        max_rows: of more rows, so many are drawn; 30 % of them judge the tree.
        seed: of draws and resamples.
        work: cancel and progress.

    Raises:
        DataError: fewer than 60 rows.
        UsageError: a model without a number, or without a table.
    """
    _check_depth(depth)
    sample = sample_of(predictor, dataset, label=label, log_odds=log_odds, max_rows=max_rows, seed=seed, work=work)
    return surrogate_of(sample, depth=depth, seed=seed)


def surrogate_of(sample: Sample, *, depth: int = 3, names: list[str] | None = None, seed: int = 0) -> Surrogate:
    """`surrogate` for rows that are packed already, from the named columns alone where there are names."""
    _check_depth(depth)
    needs_rows(sample, _LEAST_ROWS, "a tree that is judged by other rows")
    sample.work.check()
    sample.work.report(0, 1, "trees", note="a small tree")
    order = np.random.default_rng([seed, 7]).permutation(sample.num_rows)
    if sample.groups is not None:  # rows of one group stand on one side
        turns = np.random.default_rng([seed, 7]).permutation(int(sample.groups.max()) + 1)
        order = np.argsort(turns[sample.groups], kind="stable")
    held = max(round(_HELD_OUT * sample.num_rows), 1)
    judged, learned = sample.only(np.sort(order[:held])), sample.only(np.sort(order[held:]))
    wordy = (Kind.TEXT, Kind.IDENTIFIER)
    usable = [column for column in sample.columns if column.kind not in wordy]
    notes = []
    if texts := [column.name for column in sample.columns if column.kind in wordy]:
        notes.append(f"It asks nothing about texts: {', '.join(map(printable, texts[:5]))}.")
    usable = [column for column in usable if names is None or column.name in names]
    if len(usable) > _MAX_COLUMNS:
        notes.append(f"It asks about the first {_MAX_COLUMNS:,} of {len(usable):,} columns.")
        usable = usable[:_MAX_COLUMNS]
    cells = [{each.name: rows.cells(each.name) for each in usable} for rows in (learned, judged)]
    root = grow(usable, cells[0], learned.answers, learned.mass, depth)
    told = answers_of(root, cells[1], judged.num_rows)
    fidelity, agreement = _judged(judged, told, seed)
    labels = tuple(map(str, sample.question.labels))
    if sample.labels_left_out:
        notes.append(f"{plural(sample.labels_left_out, 'label')} with smaller probabilities are left out.")
    predictor = sample.question.predictor
    return Surrogate(
        predictor.manifest.name,
        sample.question.title,
        labels,
        root,
        fidelity,
        agreement,
        learned.num_rows,
        judged.num_rows,
        tuple(notes),
    )


def _check_depth(depth: int) -> None:
    if not 1 <= depth <= 4:
        raise UsageError(ErrorCode.USAGE, f"got depth={depth}", wanted="1 to 4: deeper trees are no picture any more")


def _judged(judged: Sample, told: Floats, seed: int) -> tuple[Estimate, Estimate | None]:
    """R² of the tree on rows that it did not see; of a classifier how often both give the same label."""
    truth = judged.answers
    scale = float(np.abs(truth).max()) if truth.size else 0.0

    def explained(weights: Floats) -> Floats:
        sums = weights.sum(axis=1)
        means = (weights @ truth) / sums[:, None]
        around = weights @ np.square(truth).sum(axis=1) - sums * np.square(means).sum(axis=1)
        wrong = weights @ np.square(truth - told).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(around > 1e-12 * sums * max(scale, 1e-300) ** 2, 1 - wrong / around, np.nan)

    scores = {"fidelity": explained}
    question = judged.question
    if question.predictor.task.classifies and not question.predictor.task.several:
        limit = 0.0 if question.log_odds else 0.5
        single = truth.shape[1] == 1
        same = (truth > limit) == (told > limit) if single else (truth.argmax(1) == told.argmax(1))[:, None]
        agreed = same[:, 0].astype(np.float64)
        scores["agreement"] = lambda weights: weights @ agreed / weights.sum(axis=1)
    found = intervals(
        scores,
        judged.num_rows,
        undefined={"fidelity": "the model answers the same for all rows"},
        weight=judged.weight,
        groups=judged.groups,
        resamples=_RESAMPLES,
        seed=seed,
    )
    return found["fidelity"], found.get("agreement")


def _lines(node: Node, depth: int, condition: str, labels: tuple[str, ...]) -> Iterator[tuple[int, str, str, Node]]:
    if node.cut is None or node.left is None or node.right is None:
        yield depth, condition, f"{' ' if condition else ''}→ {_told(node, labels)}", node
        return
    if condition:
        yield depth, condition, "", node
        depth += 1
    left, right = _conditions(node)
    yield from _lines(node.left, depth, left, labels)
    yield from _lines(node.right, depth, right, labels)


def _told(node: Node, labels: tuple[str, ...]) -> str:
    rows = plural(node.num_rows, "row")
    if not labels:
        return f"{show_number(node.value[0])} ± {show_number(node.spread, 2)} ({rows})"
    order = np.argsort(-np.array(node.value), kind="stable")[:3]
    shares = ", ".join(f"{printable(labels[k])} {show_number(node.value[k], 2)}" for k in order)
    return f"{shares} ({rows})"


def _conditions(node: Node) -> tuple[str, str]:
    cut = node.cut
    if cut is None:
        raise TypeError("a leaf asks nothing")
    name = printable(cut.record.name, 60)
    if cut.limit is None:
        shown = ", ".join(printable(value, 30) or "(missing)" for value in cut.values[:6])
        more = f" and {len(cut.values) - 6:,} more" if len(cut.values) > 6 else ""
        return f"{name} is {shown}{more}", f"{name} is none of these"
    if cut.record.kind is Kind.BOOLEAN and np.isfinite(cut.limit) and cut.limit < 1:
        sides = [f"{name} is false", f"{name} is true"]
    else:
        limit = point_text(cut.record, cut.limit)
        sides = [f"{name} ≤ {limit}", f"{name} > {limit}"]
    sides[0 if cut.missing_left else 1] += " or missing"
    return sides[0], sides[1]


def _as_dict(node: Node) -> dict[str, Any]:
    raw: dict[str, Any] = {"value": list(node.value), "num_rows": node.num_rows, "spread": node.spread}
    if node.cut is None or node.left is None or node.right is None:
        return raw
    cut: dict[str, Any] = {"column": node.cut.record.name, "missing_left": node.cut.missing_left}
    where = {"values": list(node.cut.values)} if node.cut.limit is None else {"limit": node.cut.limit}
    return {**raw, "cut": {**cut, **where}, "left": _as_dict(node.left), "right": _as_dict(node.right)}


def _share(value: Estimate) -> str:
    if value.lower is None or value.upper is None:
        return show_share(value.value)
    return f"{_percent(value.value)} ({_percent(value.lower)} to {_percent(value.upper)})"


def _percent(share: float | None) -> str:
    return "none" if share is not None and share < 0 else show_share(share)
