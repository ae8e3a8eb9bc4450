"""A model as a whole: what it leans on, what each column does, what it does not add up, a tree, and typical rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lepton.bundle import Predictor
from lepton.core import Interrupted, Kind, LeptonError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.explain.effects import Effect, effect_of
from lepton.evaluation.explain.interactions import Interactions, interactions_of
from lepton.evaluation.explain.prototypes import Prototypes, prototypes_of
from lepton.evaluation.explain.sample import FEW_ROWS, Sample, partners, sample_of
from lepton.evaluation.explain.strengths import DIRECT, Strengths, strengths_of
from lepton.evaluation.explain.surrogate import Surrogate, surrogate_of
from lepton.evaluation.explain.whole_pages import overview_page, overview_text
from lepton.evaluation.importance import Importance, importance
from lepton.report import Page, plural

__all__ = ["Overview", "overview"]

SHOWN = 6
_MAX_ROWS = 2_000
_MAX_IMPORTANCE = 100
_REPEATS = 3
_SHARE_IMPORTANCE = 0.35
_WIDE = 30

T = TypeVar("T")


@dataclass(frozen=True)
class Overview:
    """What a model does, as a whole; made by `Model.overview`.

    Attributes:
        model: its name.
        title: what its numbers are.
        num_rows: rows that it was asked about.
        num_columns: columns that it takes.
        importance: what it loses when a column is shuffled; None without labels.
        strengths: how far each column moves its answers, whether that is right or wrong.
        together: columns that go together in these rows, the closest first, with how closely.
        effects: of the strongest columns.
        interactions: of pairs among them.
        surrogate: a small tree that imitates it.
        prototypes: rows that stand for the others, and rows that those do not stand for.
        missing: parts that are not there → why.
        notes: what limits this.
    """

    model: str
    title: str
    num_rows: int
    num_columns: int
    importance: Importance | None = None
    strengths: Strengths | None = None
    together: tuple[tuple[str, str, float], ...] = ()
    effects: tuple[Effect, ...] = ()
    interactions: Interactions | None = None
    surrogate: Surrogate | None = None
    prototypes: Prototypes | None = None
    missing: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        parts = {
            name: None if part is None else part.to_dict()
            for name, part in (
                ("importance", self.importance),
                ("strengths", self.strengths),
                ("interactions", self.interactions),
                ("surrogate", self.surrogate),
                ("prototypes", self.prototypes),
            )
        }
        return {
            "model": self.model,
            "title": self.title,
            "num_rows": self.num_rows,
            "num_columns": self.num_columns,
            **parts,
            "together": [{"columns": [a, b], "association": value} for a, b, value in self.together],
            "effects": [each.to_dict() for each in self.effects],
            "missing": dict(self.missing),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people, on one screen."""
        return overview_text(self)

    def page(self) -> Page:
        """All of it, drawn."""
        return overview_page(self)

    def _repr_html_(self) -> str:
        return self.page().html()


def overview(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    label: Any = None,
    columns: Sequence[str] | None = None,
    kind: str = "ale",
    max_rows: int = _MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> Overview:
    """What a model leans on and what it does with it.

    Args:
        predictor: an opened model of tables.
        dataset: rows that it was not trained on; what it leans on is measured by their labels where they have some,
            and by how far the answers move where they have none.
        target: column of the truth; by default the one that the model was trained to predict.
        label: the one label whose probability is meant.
        columns: whose effects to show; by default the six strongest.
        kind: of the effects, `ale` or `pdp`.
        max_rows: of more rows, so many are drawn.
        seed: of all that is drawn.
        work: cancel and progress; when its time is over, the parts that are not there yet are left out and named.

    Raises:
        UsageError: a model without a number, or without a table.
        DataError: no rows; a target or a column that is not there.
    """
    work = Work.of(work)
    sample = sample_of(predictor, dataset, label=label, max_rows=max_rows, seed=seed, work=work)
    wanted = [sample.record(name).name for name in columns or ()]
    parts = _Parts()
    weights = _importance(parts, predictor, dataset, target, max_rows, seed, work)
    moved = parts.make("strengths", lambda: strengths_of(sample, seed=seed))
    ranked = wanted or _ranked(weights, moved)
    curved = [name for name in ranked if sample.record(name).kind is not Kind.TEXT][:SHOWN]
    looked_at = [name for name in ranked[:_WIDE] if name in sample.inputs.names]
    together = parts.make("together", lambda: partners(sample, looked_at)) or []
    effects: list[Effect] = []
    for name in curved:
        found = parts.make("effects", lambda name=name: effect_of(sample, name, kind=kind, pairs=together, seed=seed))  # type: ignore[misc]
        if found is not None:
            effects.append(found)
    wide = ranked if sample.num_rows and len(sample.columns) > _WIDE else None
    tree = parts.make("surrogate", lambda: surrogate_of(sample, names=wide, seed=seed))
    pairs = parts.make("interactions", lambda: interactions_of(sample, curved, seed=seed))
    rows = parts.make("prototypes", lambda: prototypes_of(sample, names=wide or None, seed=seed))
    return Overview(
        predictor.manifest.name,
        sample.question.title,
        sample.num_rows,
        len(sample.columns),
        weights,
        moved,
        tuple(together),
        tuple(effects),
        pairs,
        tree,
        rows,
        parts.missing,
        tuple(_notes(sample, ranked, moved)),
    )


class _Parts:
    """Makes parts one after the other; one that fails, or that there is no time for, is named and left out."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}

    def make(self, name: str, part: Callable[[], T]) -> T | None:
        try:
            return part()
        except Interrupted:
            self.missing[name] = "there was no time for it" if name != "effects" else "there was no time for all"
        except LeptonError as error:
            self.missing[name] = printable(str(error), 500)
        return None


def _importance(
    parts: _Parts,
    predictor: Predictor,
    dataset: Dataset,
    target: str | None,
    max_rows: int,
    seed: int,
    work: Work,
) -> Importance | None:
    """Losses by shuffling, where there are labels; a target that was named must be there."""
    known = predictor.manifest.target
    name = target or (known.name if known is not None else None)
    columns = predictor.label_names if predictor.task.several and target is None else (name,)
    if target is None and not all(each in dataset.schema for each in columns):
        parts.missing["importance"] = "these rows have no labels, so nothing is said about right and wrong"
        return None
    if target is not None and target not in dataset.schema:
        dataset.schema[target]
    if len(predictor.manifest.inputs) > _MAX_IMPORTANCE:
        few = f"the model takes {len(predictor.manifest.inputs):,} columns; importance(data) shuffles them all"
        parts.missing["importance"] = few
        return None
    remaining = work.remaining
    part = work if remaining is None else work.part(remaining * _SHARE_IMPORTANCE)
    options: dict[str, Any] = {"target": target, "repeats": _REPEATS, "max_rows": max(max_rows, 2), "seed": seed}
    return parts.make("importance", lambda: importance(predictor, dataset, work=part, **options))


def _ranked(weights: Importance | None, moved: Strengths | None) -> list[str]:
    """Columns, the strongest first: by what is lost without them where that is known, else by how far they move."""
    if weights is not None and not weights.left_out:
        ranked = [each.columns[0] for each in weights.features if each.loss.value]
        if ranked:
            return ranked
    return [] if moved is None else moved.strongest(_WIDE)


def _notes(sample: Sample, ranked: Sequence[str], moved: Strengths | None) -> list[str]:
    notes = []
    if sample.num_rows < FEW_ROWS:
        notes.append(f"With {plural(sample.num_rows, 'row')} little can be said, and intervals are too narrow.")
    if sample.num_rows < sample.total:
        notes.append(f"{sample.num_rows:,} of {sample.total:,} rows were drawn at random.")
    if sample.unanswered:
        notes.append(f"{plural(sample.unanswered, 'row')} left out: the model answers no finite number to them.")
    if moved is not None and not ranked:
        notes.append("The model answers the same whatever its columns say, as far as these rows show.")
    if len(sample.columns) == 1:
        notes.append("The model takes one column: there is nothing to compare it with, and no interaction.")
    if moved is not None and len(moved.columns) < moved.num_columns:
        notes.append(_screened(moved))
    if texts := [column.name for column in sample.columns if column.kind is Kind.TEXT]:
        named = ", ".join(f"'{printable(name)}'" for name in texts[:5])
        notes.append(f"Texts have no curve: {named}. explain(rows) says which words of an answer count.")
    if sample.labels_left_out:
        notes.append(f"{plural(sample.labels_left_out, 'label')} with smaller probabilities are left out.")
    return notes


def _screened(moved: Strengths) -> str:
    few, every = len(moved.columns), moved.num_columns
    if every <= DIRECT:
        return f"There was no time to see how far {plural(every - few, 'column')} of {every:,} move the answers."
    told = "" if moved.complete else "; there was no time to be sure that none is stronger"
    return f"The {few:,} strongest of {every:,} columns were looked for, in halves of halves{told}."
