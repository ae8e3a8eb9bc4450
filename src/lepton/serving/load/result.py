"""What came of a load: figures, text and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton import report
from lepton.core import show_duration
from lepton.serving.load.generator import LOST, UNANSWERED

__all__ = ["LoadResult"]

_PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_BUSY = 0.9  # beyond this share of its core, the generator is late by itself
_LAG_SECONDS = 0.001
_SLICES = 60
_WORDS = {LOST: "connection lost", UNANSWERED: "unanswered", 503: "503 refused", 429: "429 refused"}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load and how it was answered.

    Attributes:
        model: name on the server.
        asked: `{"rate", "connections", "seconds", "rows", "form"}`: what was asked for.
        told: what the generator says of itself: `seconds`, `sent`, `unsent`, `busy`, `late`, `lag_p99`.
        checks: `{"compared", "different", "against"}`: answers that were compared with the right ones.
        due: seconds from the start at which each request was due.
        took: seconds from then to its answer.
        codes: its status, `LOST` or `UNANSWERED`.
        stopped: whether Ctrl-C ended it early.
    """

    model: str
    asked: Mapping[str, Any]
    told: Mapping[str, Any]
    checks: Mapping[str, Any]
    due: NDArray[np.float64]
    took: NDArray[np.float64]
    codes: NDArray[np.int16]
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """How long requests were sent."""
        return float(self.told["seconds"])

    @property
    def rate(self) -> float:
        """Requests answered with 200 a second."""
        return float((self.codes == 200).sum()) / self.seconds

    @property
    def generator_is_limit(self) -> bool:
        """Whether the figures tell about the generator rather than about the server."""
        return bool(self.told["busy"] > _BUSY or self.told["lag_p99"] > _LAG_SECONDS)

    def latency(self, code: int = 200) -> dict[str, float]:
        """Milliseconds to answers of one code: `p50`, `p90`, `p99`, `p99.9`, `max`; empty without such answers."""
        took = self.took[self.codes == code] * 1e3
        if not len(took):
            return {}
        found = np.percentile(took, _PERCENTILES, method="higher")
        return {f"p{p:g}": float(v) for p, v in zip(_PERCENTILES, found, strict=True)} | {"max": float(took.max())}

    def counts(self) -> dict[int, int]:
        """How many requests had each code; those that were never sent count as unanswered."""
        values, counts = np.unique(self.codes, return_counts=True)
        found = dict(zip(values.tolist(), counts.tolist(), strict=True))
        if unsent := int(self.told["unsent"]):
            found[UNANSWERED] = found.get(UNANSWERED, 0) + unsent
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON form; times in milliseconds."""
        return {
            "model": self.model,
            "asked": dict(self.asked),
            "seconds": self.seconds,
            "sent": int(self.told["sent"]),
            "rate": self.rate,
            "rows_per_second": self.rate * self.asked["rows"],
            "latency_ms": self.latency(),
            "codes": {_name(code): count for code, count in self.counts().items()},
            "refused_latency_ms": self.latency(503),
            "answers": dict(self.checks),
            "generator": {
                "busy": self.told["busy"],
                "late": int(self.told["late"]),
                "lag_p99_ms": self.told["lag_p99"] * 1e3,
                "is_limit": self.generator_is_limit,
            },
            "stopped": self.stopped,
        }

    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        out = []
        if self.generator_is_limit:
            out.append(
                f"the generator is the limit (its core {self.told['busy']:.0%} busy, p99 of its own lateness "
                f"{show_duration(self.told['lag_p99'])}): the server may be quicker; give it a core of its own"
            )
        if unsent := int(self.told["unsent"]):
            out.append(f"{unsent:,} requests were due but never sent, since every connection was waiting")
        if not self.asked["rate"]:
            out.append(
                "connections wait for their answers before they ask again, so a stall hides those it keeps from asking"
            )
        if self.checks["different"]:
            out.append(f"{self.checks['different']:,} answers differ from those of {self.checks['against']}")
        return tuple(out)

    def text(self) -> str:
        """The figures for people."""
        how = f"{self.asked['rate']:g} a second" if self.asked["rate"] else "as fast as answered"
        by = report.plural(self.asked["connections"], "connection")
        rows = f", {self.rate * self.asked['rows']:,.0f} rows/s" if self.asked["rows"] > 1 else ""
        lines = [
            f"{self.model}: {self.told['sent']:,} requests in {self.seconds:.1f} s, {how}, {by}",
            f"answered  {self.rate:,.0f} requests/s{rows}",
        ]
        if latency := self.latency():
            lines.append("latency   " + "   ".join(f"{name} {show_duration(ms / 1e3)}" for name, ms in latency.items()))
        others = {code: count for code, count in self.counts().items() if code != 200}
        if others:
            lines.append("besides   " + ", ".join(f"{count:,} × {_name(code)}" for code, count in others.items()))
        lines.append(
            f"answers   {self.checks['compared']:,} compared with {self.checks['against']}, "
            f"{self.checks['different']:,} different"
        )
        return "\n".join(lines)

    def page(self) -> report.Page:
        """The figures as a page with pictures."""
        latency = self.latency()
        page = report.Page(f"A load on {self.model}", subtitle=self.text().splitlines()[0])
        facts: dict[str, object] = {"answered a second": f"{self.rate:,.0f}"}
        facts |= {name: show_duration(ms / 1e3) for name, ms in latency.items()}
        warnings = [report.Text(note, "warning") for note in self.notes()]
        page.section("In short", report.Facts(facts), *warnings)
        counts = [[_name(code), count] for code, count in self.counts().items()]
        page.section("Answers", report.Table(["answer", "requests"], counts), report.Text(self.text().splitlines()[-1]))
        if latency:
            page.section("Latency", self._over_time(), self._by_share())
        return page

    def _over_time(self) -> report.Figure:
        right = self.codes == 200
        due, took = self.due[right], self.took[right] * 1e3
        edges = np.linspace(0.0, max(self.seconds, float(due.max())), min(_SLICES, max(2, int(self.seconds * 4))) + 1)
        place = np.clip(np.digitize(due, edges) - 1, 0, len(edges) - 2)
        there = [index for index in range(len(edges) - 1) if (place == index).any()]
        x = [(edges[index] + edges[index + 1]) / 2 for index in there]
        series = {
            f"p{share:g}": (x, [float(np.percentile(took[place == index], share)) for index in there])
            for share in (50, 90, 99)
        }
        return report.lines(
            series, title="Latency over the run", x_label="seconds from the start", y_label="milliseconds"
        )

    def _by_share(self) -> report.Figure:
        took = np.sort(self.took[self.codes == 200] * 1e3)
        shares = np.unique(np.concatenate([np.arange(0.0, 99.0), np.linspace(99, 100, 101)]))
        values = np.percentile(took, shares, method="higher")
        return report.lines(
            {"answered with 200": (shares, values)},
            title="Share of requests answered by then",
            x_label="percent of requests",
            y_label="milliseconds",
        )


def _name(code: int) -> str:
    return _WORDS.get(code, str(code))
