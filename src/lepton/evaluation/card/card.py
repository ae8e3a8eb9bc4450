"""The model card: what a model file and its reports say, and what nobody has found out.

Source of the idea: Mitchell et al., "Model cards for model reporting" (2019). Here no part of it is written by hand but
what the model is for, so that it cannot drift from the model: the same file gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.card import described
from lepton.evaluation.card.faces import card_markdown, card_page
from lepton.evaluation.card.facts import Missing, Part, Source, Told, text_of
from lepton.evaluation.card.judged import JUDGED
from lepton.report import Page, plain_table
from lepton.store.files import write_text

__all__ = ["CARD_VERSION", "Card", "card_of"]

CARD_VERSION = 1
"""Of the JSON form: it grows by parts and fields, and changes its meaning only with another number."""
MAX_USE = 20_000
_BY_TRUTH = frozenset({"metrics", "slices", "fairness", "privacy"})
SUFFIXES = (".html", ".htm", ".md", ".json")
_USED = frozenset(
    {
        "approval",
        "compression",
        "import",
        "mitigation",
        "provenance",
        "search",
        "settings",
        "training",
        "verification",
    }
)


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model; made by `Model.card`.

    Attributes:
        name: of the model.
        model_id: its identity.
        intended_use: what it is for, as a person says; "" where nobody does.
        out_of_scope: what it must not be used for, likewise.
        parts: what is known and what is not, in their order.
        sources: the reports that were used.
        stale: reports that speak of another model; nothing of them is used.
        unread: reports that a card knows nothing about.
    """

    name: str
    model_id: str
    intended_use: str
    out_of_scope: str
    parts: tuple[Part, ...]
    sources: tuple[Source, ...] = ()
    stale: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def not_known(self) -> tuple[Missing, ...]:
        """What nobody has found out, with what would."""
        return tuple(each for part in self.parts for each in part.missing)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, of one shape always; figures are numbers as the reports have them."""
        return {
            "card_version": CARD_VERSION,
            "name": self.name,
            "model_id": self.model_id,
            "intended_use": self.intended_use,
            "out_of_scope": self.out_of_scope,
            "parts": {part.key: part.to_dict() for part in self.parts},
            "sources": [each.to_dict() for each in self.sources],
            "stale_reports": list(self.stale),
            "unread_reports": list(self.unread),
        }

    def json(self) -> str:
        """The JSON form as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"

    def page(self) -> Page:
        """The card as a page."""
        return card_page(*self._face(), self.parts, self._notes())

    def html(self) -> str:
        """The page as one document that needs nothing else."""
        return self.page().html()

    def markdown(self) -> str:
        """The card as Markdown."""
        return card_markdown(*self._face(), self.parts, self._notes())

    def text(self) -> str:
        """For a terminal: what is known in short, and what is not."""
        title, subtitle, use = self._face()
        lines = [f"{title}; {subtitle}", "", *(use[0].splitlines() or ["Nobody has said what it is for."]), ""]
        rows = [(part.title, len(part.facts), "; ".join(each.what for each in part.missing)) for part in self.parts]
        lines.append(plain_table(("part", "facts", "not known"), rows))
        told = [fact for part in self.parts if part.key == "metrics" for fact in part.facts if fact.interval]
        lines += ["", *(f"{each.name} {each.shown} ({each.interval}), {each.note} ({each.source})" for each in told)]
        return "\n".join(lines)

    def write(self, path: str | Path) -> None:
        """Write it to `path`, whole or not at all, as its ending says: `.html`, `.md` or `.json`.

        Raises:
            UsageError: another ending.
            StoreError: the disk refuses.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending not in SUFFIXES:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the file '{printable(target.name)}'",
                wanted="a name that ends in .html, .md or .json",
            )
        write_text(target, {".md": self.markdown, ".json": self.json}.get(ending, self.html)())

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()

    def _face(self) -> tuple[str, str, tuple[str, str]]:
        return f"Model card: {self.name}", f"model {self.model_id}", (self.intended_use, self.out_of_scope)

    def _notes(self) -> tuple[str, ...]:
        notes = [f"Report {each.report}: made {each.time} on {each.machine}." for each in self.sources]
        notes += [f"Report {name}: it speaks of another model, and nothing of it is used." for name in self.stale]
        notes += [f"Report {name}: a card does not know it, and nothing of it is shown." for name in self.unread]
        return tuple(notes[:100])


def card_of(
    predictor: Predictor,
    *,
    intended_use: str = "",
    out_of_scope: str = "",
    reports: Mapping[str, Mapping[str, Any]] | None = None,
) -> Card:
    """The card of a model, from its file alone.

    Args:
        predictor: an opened model.
        intended_use: what it is for, in words.
        out_of_scope: what it must not be used for.
        reports: further reports by name, such as a verification that was kept beside the file; they take the place of
            those in the file, and one that speaks of another model is marked as stale and not used.

    Raises:
        UsageError: free text that is none, or too long; reports that are none.
    """
    bundle = predictor.bundle
    found: dict[str, Mapping[str, Any]] = dict(bundle.reports)
    for name, report in (reports or {}).items():
        if not isinstance(report, Mapping):
            raise UsageError(ErrorCode.USAGE, "got reports that are none", wanted="name → report, as of Bundle.reports")
        found[name] = report
    stale = sorted(name for name, report in found.items() if report.get("model_id") != bundle.model_id)
    kept = {name: found[name] for name in sorted(found) if name not in stale}
    parts = (
        described.identity(bundle, kept),
        described.data(bundle, kept),
        described.inputs(bundle),
        described.outputs(bundle),
        described.training(bundle, kept),
        *(_fitting(make(kept), predictor) for make in JUDGED),
    )
    used = [name for name in kept if name in _USED or name.startswith("signature-")]
    return Card(
        bundle.manifest.name,
        bundle.model_id,
        _free(intended_use, "intended_use"),
        _free(out_of_scope, "out_of_scope"),
        parts,
        tuple(Told(name, kept[name]).source for name in used[:50]),
        tuple(text_of(name) for name in stale[:50]),
        tuple(text_of(name) for name in kept if name not in used)[:50],
    )


def _fitting(part: Part, predictor: Predictor) -> Part:
    """The part, without commands that would refuse this model."""
    task = predictor.task
    if part.key not in _BY_TRUTH or (task.supervised and task.name != "forecast"):
        return part
    how = f"nothing does: a model for {task.name} has no truth, row by row"
    return replace(part, missing=tuple(replace(each, how=how) for each in part.missing))


def _free(text: Any, what: str) -> str:
    """Free text, line by line, without hidden characters."""
    if not isinstance(text, str):
        raise UsageError(ErrorCode.USAGE, f"got {what} of type {type(text).__name__}", wanted="text")
    if len(text) > MAX_USE:
        raise UsageError(ErrorCode.USAGE, f"{what} has {len(text):,} characters", wanted=f"at most {MAX_USE:,}")
    lines = (printable(" ".join(line.split()), MAX_USE) for line in text.splitlines())
    return "\n".join(lines).strip()
