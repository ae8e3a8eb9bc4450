"""What a compression says of itself: the report `compression` of the bundle, as a table, a page and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton.core import show_duration, show_size
from lepton.report import Facts, Page, Table, Text, plain_table, scatter, show_number, show_share

__all__ = ["REPORT", "Compression"]

REPORT = "compression"
"""Name of the report in the bundle."""
_COLUMNS = ("draft", "size", "smaller", "faster", "loss", "bound", "steps")


@dataclass(frozen=True, slots=True)
class Compression:
    """How a model was made smaller, and the proof of what it lost; `Model.compression` gives it.

    Attributes:
        report: as it stands in the model file.
    """

    report: Mapping[str, Any]

    @property
    def kept(self) -> bool:
        """Whether every budget was kept on the final file."""
        return all(each["kept"] for each in self.report["verdicts"])

    @property
    def smaller(self) -> float:
        """Size of the original over that of this model."""
        return float(self.report["original"]["size"] / self.report["size"])

    @property
    def faster(self) -> float:
        """Median time of a call of the original over that of this model, measured in turns."""
        return float(self.report["original"]["p50"] / self.report["p50"])

    @property
    def loss(self) -> Mapping[str, Any]:
        """What was lost on the rows of the proof: `value`, `upper` (99 %) and `interval` (95 %)."""
        return dict(self.report["loss"])

    @property
    def pareto(self) -> Sequence[Mapping[str, Any]]:
        """The drafts that no other beats in size, time and loss, smallest first."""
        return sorted((each for each in self.report["drafts"] if each["front"]), key=lambda each: int(each["size"]))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return dict(self.report)

    def text(self) -> str:
        """Tables for a terminal."""
        parts = [self._sentence(), plain_table(_COLUMNS, self._rows()), self._proof()]
        if self.report["verdicts"]:
            parts.append(plain_table(("budget", "limit", "measured", "kept"), self._verdicts()))
        worst = self._parts()[:10]
        if worst:
            parts.append(plain_table(("part", "rows", "loss", "95 % interval"), worst))
        if self.report["refused"]:
            refused = [f"  {name}: {reason}" for name, reason in self.report["refused"].items()]
            parts.append("\n".join(["What had nothing to do here:", *refused]))
        return "\n\n".join(parts)

    def page(self) -> Page:
        """One HTML page with a picture."""
        told, page = self.report, Page("Compression", f"of {self.report['original']['name']}")
        facts = {
            "size": f"{show_size(told['size'])} (before {show_size(told['original']['size'])})",
            "one row, median": f"{show_duration(told['p50'])} (before {show_duration(told['original']['p50'])})",
            "one row, p99": f"{show_duration(told['p99'])} (before {show_duration(told['original']['p99'])})",
            "rows": ", ".join(f"{number:,} to {what}" for what, number in told["rows"].items()),
        }
        page.section("Result", Text(self._sentence()), Facts(facts), Text(self._proof()))
        if told["verdicts"]:
            page.section("Budgets", Table(("budget", "limit", "measured", "kept"), self._verdicts()))
        drafts = [each for each in told["drafts"] if each["loss"] is not None]
        picture = scatter(
            [each["size"] / 1000 for each in drafts],
            [each["loss"] for each in drafts],
            title="Drafts by size and loss",
            x_label="kB",
            y_label=f"loss in {told['metric']}",
        )
        page.section("Drafts that no other beats", picture, Table(_COLUMNS, self._rows()))
        if parts := self._parts():
            page.section("Parts of the rows", Table(("part", "rows", "loss", "95 % interval"), parts))
        more = [Text(f"{name}: {reason}") for name, reason in told["refused"].items()]
        more += [Text(f"{each['step']} ({each['setting']}): {each['reason']}") for each in told["failed"]]
        if more or told["notes"]:
            page.section("What is to be said", *(Text(note) for note in told["notes"]), *more)
        return page

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _sentence(self) -> str:
        return (
            f"{show_size(self.report['size'])}, {self.smaller:.1f}× smaller than the original and {self.faster:.1f}×"
            f" as fast by: {self.report['steps_text'] or 'nothing'}."
        )

    def _proof(self) -> str:
        loss, told = self.report["loss"], self.report
        against = "the truth" if told["labelled"] else "the original's answers, for the rows have no target"
        metric = told["metric"] + (" as a share of it" if loss["relative"] else "")
        lost = f"Loss in {metric} against {against}: {show_number(loss['value'])}, 95 % interval "
        lost += (
            f"{_interval(loss['interval'])}, at most {show_number(loss['upper'])} ({100 * (1 - loss['level']):.1f} %)"
        )
        seen = f"; {loss['num_rows']:,} rows that neither a step nor the search saw"
        other = "" if loss["changed"] is None else f"; {show_share(loss['changed'])} of them answered otherwise"
        return f"{lost}{seen}{other}."

    def _rows(self) -> list[tuple[object, ...]]:
        original = self.report["original"]["size"]
        return [
            (
                each["number"],
                show_size(each["size"]),
                f"{original / each['size']:.1f}×",
                f"{1 / each['pace']:.1f}×",
                show_number(each["loss"]),
                show_number(each["upper"]),
                each["steps"] + (" (chosen)" if each["chosen"] else ""),
            )
            for each in self.pareto
            if each["number"]
        ]

    def _verdicts(self) -> list[tuple[object, ...]]:
        return [
            (
                each["name"],
                _shown(each["name"], each["limit"]),
                _shown(each["name"], each["measured"]),
                "yes" if each["kept"] else "no",
            )
            for each in self.report["verdicts"]
        ]

    def _parts(self) -> list[tuple[object, ...]]:
        """Parts of the rows, those that lost most first."""
        parts = sorted(self.report["parts"], key=lambda each: -(each["value_lost"] or 0.0))
        return [_part(each) for each in parts]


def _part(told: Mapping[str, Any]) -> tuple[object, ...]:
    name = f"{told['column']} {told['part']}"
    return name, told["rows"], show_number(told["value_lost"]), _interval(told["interval"])


def _interval(interval: Sequence[float | None]) -> str:
    return f"{show_number(interval[0])} to {show_number(interval[1])}"


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name == "max_size":
        return show_size(int(value))
    return show_duration(value) if name == "max_latency" else show_number(value)
