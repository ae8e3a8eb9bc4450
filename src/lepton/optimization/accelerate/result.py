"""What accelerating a model has shown: what was tried, what won, and what stays in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lepton.bundle.settings import RuntimeSettings
from lepton.optimization.accelerate.profiling import Profile, show_seconds
from lepton.optimization.accelerate.race import Standing
from lepton.report import Facts, Page, Points, Table, plain_table

__all__ = ["Acceleration", "Trial"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was tried.

    Attributes:
        name: for people.
        standing: how quick it was; None where it was not run.
        note: why not, or what else is to be said.
    """

    name: str
    standing: Standing | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "name": self.name,
            "note": self.note,
            "standing": None if self.standing is None else asdict(self.standing),
        }

    def row(self) -> tuple[str, str, str, str]:
        """For a table."""
        if self.standing is None:
            return self.name, "–", "–", self.note or "not run"
        told = self.standing
        spread = f"{told.lower:.2f} to {told.upper:.2f}"
        verdict = self.note or ("quicker" if told.is_quicker else "no clear gain")
        return self.name, f"{told.speedup:.2f}×", spread, verdict


@dataclass(frozen=True, slots=True)
class Acceleration:
    """What `lepton accelerate` found on this machine.

    Attributes:
        model_id: of the model.
        machine: type of machine; see `bundle.machine_type`.
        batch: rows of a call; several sizes count alike.
        settings: that won; the defaults where nothing did.
        gain: the winner against the defaults, measured anew after the choice; None where nothing won.
        plain: the same against plain onnxruntime: by name.
        trials: all that was tried, in order.
        profile: where the time goes with the defaults.
        rewrites: of the graph that the file was written with, in words.
        elsewhere: what execution providers of another Python would give.
    """

    model_id: str
    machine: Mapping[str, Any]
    batch: tuple[int, ...]
    settings: RuntimeSettings
    gain: Standing | None
    plain: Mapping[str, float]
    trials: tuple[Trial, ...]
    profile: Profile
    rewrites: tuple[str, ...] = ()
    elsewhere: tuple[Trial, ...] = ()

    @property
    def won(self) -> bool:
        """Whether anything is quicker than the defaults."""
        return self.gain is not None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model_id": self.model_id,
            "machine": dict(self.machine),
            "batch": list(self.batch),
            "settings": self.settings.to_dict(),
            "gain": None if self.gain is None else asdict(self.gain),
            "plain": dict(self.plain),
            "trials": [each.to_dict() for each in self.trials],
            "elsewhere": [each.to_dict() for each in self.elsewhere],
            "rewrites": list(self.rewrites),
            "profile": self.profile.to_dict(),
        }

    def words(self) -> tuple[str, ...]:
        """The outcome, in sentences."""
        if self.gain is None:
            said = ["Nothing is clearly quicker than the defaults on this machine: they stay."]
        else:
            before, after = show_seconds(self.gain.reference_seconds), show_seconds(self.gain.seconds)
            text = (
                f"{self.gain.speedup:.2f} times as quick ({self.gain.lower:.2f} to {self.gain.upper:.2f}): "
                f"{before} → {after}, with {self.settings.text()}."
            )
            said = [text]
        said += [f"{text}." for text in self.rewrites]
        if self.gain is not None and self.plain:
            quickest = min(self.plain, key=lambda name: self.plain[name])
            said.append(f"{quickest} takes {show_seconds(self.plain[quickest])}.")
        return (*said, *self.profile.words())

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        columns = ("tried", "times as quick", "quartiles", "")
        lines = [*self.words()[:1], "", plain_table(columns, [each.row() for each in self.trials])]
        if self.elsewhere:
            lines += ["", "In the other Python:", "", plain_table(columns, [each.row() for each in self.elsewhere])]
        return "\n".join([*lines, "", *self.words()[1:]])

    def page(self) -> Page:
        """A page, with the profile behind it."""
        page = Page("What makes the model quicker here", subtitle=f"model {self.model_id[:12]}")
        columns = ("tried", "times as quick", "quartiles", "")
        page.section(
            "Outcome",
            Facts({"settings": self.settings.text(), "machine": str(self.machine.get("cpu", ""))}),
            Points(self.words()),
            Table(columns, [each.row() for each in self.trials], caption="Each against what was best before it"),
        )
        if self.elsewhere:
            page.section("In the other Python", Table(columns, [each.row() for each in self.elsewhere]))
        page.extend(self.profile.page())
        return page

    def _repr_html_(self) -> str:
        return self.page().html()
