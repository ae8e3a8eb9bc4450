"""Rows that stand for the others, and rows that those do not stand for.

Source: Kim, Khanna & Koyejo, "Examples are not enough, learn to criticize! Criticism for interpretability" (2016):
prototypes bring the mean of a kernel close to that of all rows (the maximum mean discrepancy, MMD); criticisms are
where the two differ most, and differ from each other (log-determinant). Both are chosen greedily, and prototypes then
exchanged while that helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ColumnRecord, ErrorCode, Kind, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.grids import point_text
from lepton.evaluation.explain.sample import Sample, needs_rows, sample_of
from lepton.evaluation.explain.strengths import strengths_of
from lepton.report import Block, Page, Points, Table, plain_table, plural, show_number, show_share

__all__ = ["Example", "Prototypes", "prototypes", "prototypes_of"]

MAX_ROWS = 1_000
_MAX_COLUMNS = 30
_SHOWN = 8
_MAX_TOLD = 100
_RANDOM = 100
_EXCHANGES = 5
_ALIKE = 1 - 1e-9


@dataclass(frozen=True)
class Example:
    """One row of the data.

    Attributes:
        row: its place in the data, from 0.
        values: column → its value as text.
        answers: what the model answers: one number, or one for each label.
        share: of a prototype, the share of the rows that it is the nearest to; of a criticism how far the rows around
            it are more (above 0) or fewer (below) than the prototypes say, of the largest such difference.
    """

    row: int
    values: dict[str, str]
    answers: dict[str, float]
    share: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"row": self.row, "values": self.values, "answers": self.answers, "share": self.share}


@dataclass(frozen=True)
class Prototypes:
    """Rows that stand for the others and rows that they do not stand for; made by `prototypes`.

    Attributes:
        model: its name.
        title: what the answers are.
        columns: by which rows are alike.
        prototypes: the one that stands for most rows first.
        criticisms: the one that is stood for least first.
        num_rows: rows that they were chosen from.
        discrepancy: squared MMD of the prototypes and all rows, 0 to 1.
        better_than: share of 100 random choices of as many rows that are further from all rows.
        notes: what limits this.
    """

    model: str
    title: str
    columns: tuple[str, ...]
    prototypes: tuple[Example, ...]
    criticisms: tuple[Example, ...]
    num_rows: int
    discrepancy: float
    better_than: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "title": self.title,
            "columns": list(self.columns),
            "prototypes": [each.to_dict() for each in self.prototypes],
            "criticisms": [each.to_dict() for each in self.criticisms],
            "num_rows": self.num_rows,
            "discrepancy": self.discrepancy,
            "better_than": self.better_than,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        lines = [f"Rows that stand for {self.num_rows:,} rows ({self.told()}):", ""]
        lines.append(plain_table(*self.table(self.prototypes, "stands for")))
        if self.criticisms:
            lines += ["", "Rows that those do not stand for:", ""]
            lines.append(plain_table(*self.table(self.criticisms, "more (+) or fewer (−)")))
        return "\n".join([*lines, "", *self.notes])

    def page(self) -> Page:
        """A page with the rows."""
        page = Page(f"Rows that stand for the others, and what {self.model} answers", subtitle=self.told())
        return page.section("Typical rows", *self.blocks())

    def blocks(self) -> list[Block]:
        """What stands on its page, for a page of more."""
        caption = f"Prototypes: {self.told()}"
        blocks: list[Block] = [Table(*self.table(self.prototypes, "stands for"), caption=caption)]
        if self.criticisms:
            caption = "Criticisms: rows such as these are more (+) or fewer (−) than the prototypes would say"
            blocks.append(Table(*self.table(self.criticisms, "more (+) or fewer (−)"), caption=caption))
        return [*blocks, Points(self.notes)]

    def _repr_html_(self) -> str:
        return self.page().html()

    def told(self) -> str:
        """How well the prototypes stand for all rows."""
        return f"closer to all rows than {show_share(self.better_than)} of random choices of as many"

    def table(self, examples: Sequence[Example], share: str) -> tuple[list[str], list[list[str]]]:
        """Headings and rows for some of the examples."""
        shown = self.columns[:_SHOWN]
        labels = list(examples[0].answers) if examples else []
        columns = ["row", *shown, *(f"answer {label}".strip() for label in labels), share]
        rows = []
        for each in examples:
            told = show_share(each.share) if share == "stands for" else f"{each.share:+.2f}".replace("-", "−")
            values = [printable(each.values[name], 40) for name in shown]
            rows.append([str(each.row), *values, *(show_number(each.answers[label]) for label in labels), told])
        return columns, rows


def prototypes(
    predictor: Predictor,
    dataset: Dataset,
    *,
    count: int = 5,
    criticisms: int = 3,
    columns: Sequence[str] | None = None,
    label: Any = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> Prototypes:
    """Choose rows that stand for the data, and rows that those do not stand for, with what the model answers them.

    Args:
        predictor: an opened model of tables.
        dataset: rows; no target is needed.
        count: prototypes.
        criticisms: rows that they do not stand for.
        columns: by which rows are alike; by default all of up to 30, else those that move the answers most.
        label: the one label whose probability is told.
        max_rows: of more rows, so many are drawn; each pair is compared.
        seed: of the draws.
        work: cancel and progress.

    Raises:
        DataError: fewer than ten rows, or a column that the model does not take.
        UsageError: fewer than one prototype; a model without a number, or without a table.
    """
    sample = sample_of(predictor, dataset, label=label, seed=seed, work=work)
    names = None if columns is None else list(columns)
    if names is None and len(sample.columns) > _MAX_COLUMNS:
        names = strengths_of(sample, most=_MAX_COLUMNS, seed=seed).strongest(_MAX_COLUMNS)
    return prototypes_of(sample, count=count, criticisms=criticisms, names=names, max_rows=max_rows, seed=seed)


def prototypes_of(
    sample: Sample,
    *,
    count: int = 5,
    criticisms: int = 3,
    names: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> Prototypes:
    """`prototypes` for rows that are packed already; `names` are the columns by which rows are alike."""
    if count < 1 or criticisms < 0:
        came = f"got count={count}, criticisms={criticisms}"
        raise UsageError(ErrorCode.USAGE, came, wanted="at least one prototype")
    needs_rows(sample, 10, "prototypes")
    rows = sample.draw(min(max_rows, 5_000), seed, 8)
    records = [rows.record(name) for name in (names or rows.inputs.names)][:_MAX_COLUMNS]
    records = [record for record in records if record.kind not in (Kind.TEXT, Kind.IDENTIFIER)]
    sample.work.report(0, 1, "kernels", note="prototypes")
    kernel = _kernel(rows, [record.name for record in records])
    mass = rows.mass / rows.mass.sum()
    mean = kernel @ mass
    chosen = _chosen(kernel, mean, count)
    far = _criticised(kernel, mean, chosen, criticisms)
    found = _discrepancy(kernel, mean, mass, chosen)
    generator = np.random.default_rng([seed, 9])
    others = [
        _discrepancy(kernel, mean, mass, generator.choice(len(kernel), len(chosen), replace=False))
        for _ in range(_RANDOM)
    ]
    nearest = np.asarray(chosen)[kernel[:, chosen].argmax(axis=1)]
    shares = {place: float(mass[nearest == place].sum()) for place in chosen}
    chosen.sort(key=lambda place: -shares[place])
    witness = mean - kernel[:, chosen].mean(axis=1)
    largest = float(np.abs(witness).max()) or 1.0
    told = rows.columns if len(rows.columns) <= _MAX_TOLD else records
    predictor = rows.question.predictor
    return Prototypes(
        predictor.manifest.name,
        rows.question.title,
        tuple(record.name for record in records),
        tuple(_example(rows, place, shares[place], told) for place in chosen),
        tuple(_example(rows, place, float(witness[place]) / largest, told) for place in far),
        rows.num_rows,
        found,
        float(np.mean(np.array(others) > found)),
        tuple(_notes(rows, len(records), len(chosen), count)),
    )


def _kernel(rows: Sample, names: Sequence[str]) -> Floats:
    """exp(−d² / median d²) of all pairs: numbers in parts of their range, categories by whether they are the same."""
    size = rows.num_rows
    apart = np.zeros((size, size))
    for name in names:
        rows.work.check()
        cells = rows.cells(name)
        if cells.dtype == object or rows.record(name).kind is Kind.BOOLEAN:
            codes = np.unique(cells.astype(str), return_inverse=True)[1]
            apart += codes[:, None] != codes[None, :]
            continue
        there = np.isfinite(cells)
        place = _scaled(cells, there)
        # A missing number is as far from each number as half of the range, and from another missing one not at all.
        both = there[:, None] & there[None, :]
        apart += np.where(both, np.square(place[:, None] - place[None, :]), 0.25 * (there[:, None] != there[None, :]))
    different = apart[apart > 0]
    scale = float(np.median(different)) if len(different) else 1.0
    return np.asarray(np.exp(-apart / scale))


def _scaled(cells: Floats, there: NDArray[np.bool_]) -> Floats:
    """Numbers as parts of the range that 98 % of them have, at most a range beyond it; missing ones 0."""
    place = np.zeros(len(cells))
    known = cells[there]
    if len(known) and np.ptp(known / 2) > 0:
        low, high = np.quantile(known, [0.01, 0.99], method="inverted_cdf") / 2
        if high <= low:
            low, high = known.min() / 2, known.max() / 2
        place[there] = np.clip((known / 2 - low) / (high - low), -1.0, 2.0)
    return place


def _chosen(kernel: Floats, mean: Floats, count: int) -> list[int]:
    """The greedy maximum of 2 · mean kernel to all rows − mean kernel among the chosen; no two that are the same.

    Then each is exchanged for whatever is better in its place, until nothing is: the first one is chosen alone, and
    so lies in the middle of all, which is seldom where one of several belongs.
    """
    chosen: list[int] = []
    sums, among = 0.0, 0.0
    inner = np.zeros(len(kernel))
    left = np.ones(len(kernel), dtype=bool)
    while len(chosen) < count and left.any():
        size = len(chosen) + 1
        gain = 2 * (sums + mean) / size - (among + 2 * inner + kernel.diagonal()) / size**2
        best = int(np.where(left, gain, -np.inf).argmax())
        sums, among = sums + float(mean[best]), among + float(2 * inner[best] + kernel[best, best])
        inner = inner + kernel[:, best]
        left &= kernel[:, best] < _ALIKE
        chosen.append(best)
    for turn in range(_EXCHANGES * len(chosen)):
        place = turn % len(chosen)
        others = [each for each in chosen if each != chosen[place]]
        gain = 2 * mean / len(chosen) - (2 * kernel[:, others].sum(axis=1) + kernel.diagonal()) / len(chosen) ** 2
        gain = np.where((kernel[:, others] < _ALIKE).all(axis=1), gain, -np.inf)
        if gain.max() > gain[chosen[place]] + 1e-12:
            chosen[place] = int(gain.argmax())
    return chosen


def _criticised(kernel: Floats, mean: Floats, chosen: list[int], count: int) -> list[int]:
    """The greedy maximum of the witness's size and of the log-determinant of the kernel among the criticisms."""
    witness = np.abs(mean - kernel[:, chosen].mean(axis=1))
    left = (kernel[:, chosen] < _ALIKE).all(axis=1)
    found: list[int] = []
    remaining = np.ones(len(kernel))  # variance of each row given the criticisms so far
    factor = np.zeros((0, len(kernel)))
    while len(found) < count and left.any():
        gain = np.where(left, witness + np.log(np.maximum(remaining, 1e-12)) * witness.max(), -np.inf)
        best = int(gain.argmax())
        row = (kernel[best] - factor[:, best] @ factor) / np.sqrt(max(remaining[best], 1e-12))
        factor = np.vstack([factor, row])
        remaining = np.maximum(remaining - np.square(row), 0.0)
        left &= kernel[:, best] < _ALIKE
        found.append(best)
    return found


def _discrepancy(kernel: Floats, mean: Floats, mass: Floats, chosen: Sequence[int] | Positions) -> float:
    places = np.asarray(chosen, dtype=np.int64)
    among = kernel[places][:, places].mean()
    return max(float(mass @ mean - 2 * mean[places].mean() + among), 0.0)


def _example(rows: Sample, place: int, share: float, records: Sequence[ColumnRecord]) -> Example:
    values = {}
    for record in records:
        cell = rows.cells(record.name)[place]
        missing = cell == "" if isinstance(cell, str) else not np.isfinite(cell)
        values[record.name] = "–" if missing else printable(point_text(record, cell))
    answers = dict(zip(rows.labels, rows.answers[place].tolist(), strict=True))
    return Example(int(rows.places[place]), values, answers, share)


def _notes(rows: Sample, used: int, found: int, count: int) -> list[str]:
    notes = ["These are rows of the data: who may not see the data may not see this."]
    if found < count:
        notes.append(f"There are only {plural(found, 'different row')}.")
    if used < len(rows.columns):
        notes.append(f"Rows are compared by {used:,} of {plural(len(rows.columns), 'column')}.")
    if rows.num_rows < rows.total:
        notes.append(f"They were chosen from {rows.num_rows:,} of {rows.total:,} rows, drawn at random.")
    return notes
