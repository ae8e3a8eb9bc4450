"""What a card is made of: facts that name where they come from, and what is not known.

Reports come from files of strangers: any JSON may stand in them. What is not of the form that is looked for is passed
over, texts and lists are cut, and nothing is followed deeper than a few levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton.core import printable, show_duration, show_size
from lepton.report import show_number

__all__ = [
    "MANIFEST",
    "Fact",
    "Missing",
    "Part",
    "Source",
    "Told",
    "flattened",
    "list_of",
    "machine_text",
    "mapping_of",
    "number_of",
    "text_of",
]

MANIFEST = "manifest"
MAX_TEXT = 400
MAX_FACTS = 60
_MAX_DEPTH = 6
_LONGEST = 1e9
_MAX_VISITED = 20_000
_NAMES = ("text", "name", "test", "label", "part", "column", "rule", "kind")

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from.

    Attributes:
        report: name of a report of the model file, or `manifest`.
        time: when it was made, ISO 8601; "" for the manifest, which is not dated.
        machine: where, in words; "" for the manifest.
    """

    report: str
    time: str = ""
    machine: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.report, self.time[:10], self.machine)))

    def to_dict(self) -> dict[str, str]:
        """JSON form."""
        return {"report": self.report, "time": self.time, "machine": self.machine}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known.

    Attributes:
        name: what it is.
        value: of it.
        source: where it comes from.
        lower: lower end of its 95 % interval, if it has one.
        upper: upper end.
        note: what limits it.
        unit: `seconds` or `bytes` of a number that is such, else "".
    """

    name: str
    value: Value
    source: Source
    lower: float | None = None
    upper: float | None = None
    note: str = ""
    unit: str = ""

    @property
    def shown(self) -> str:
        """The value in words."""
        if self.value is None:
            return "–"
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        if isinstance(self.value, str):
            return self.value
        if self.value >= 0 and self.unit == "bytes":
            return show_size(int(self.value))
        if 0 < self.value < _LONGEST and self.unit == "seconds":
            return show_duration(float(self.value))
        return f"{show_number(self.value)} {self.unit}".rstrip()

    @property
    def interval(self) -> str:
        """The interval in words, or ""."""
        if self.lower is None or self.upper is None:
            return ""
        return f"{show_number(self.lower)} to {show_number(self.upper)}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form, of one shape always."""
        return {
            "name": self.name,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "unit": self.unit,
            "note": self.note,
            "source": self.source.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that nobody has found out, and what would.

    Attributes:
        what: as a sentence.
        how: the command or call that would make it.
    """

    what: str
    how: str

    def to_dict(self) -> dict[str, str]:
        """JSON form."""
        return {"what": self.what, "how": self.how}


@dataclass(frozen=True, slots=True)
class Part:
    """A section of a card.

    Attributes:
        key: stable name.
        title: as it is shown.
        facts: what is known.
        missing: what is not.
    """

    key: str
    title: str
    facts: tuple[Fact, ...] = ()
    missing: tuple[Missing, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, of one shape always."""
        return {
            "title": self.title,
            "facts": [each.to_dict() for each in self.facts],
            "missing": [each.to_dict() for each in self.missing],
        }


class Told:
    """A report as facts are taken from it.

    Args:
        name: of the report.
        report: as it stands in the file.
    """

    def __init__(self, name: str, report: Mapping[str, Any]) -> None:
        self.report = report
        self.source = Source(text_of(name) or "?", text_of(report.get("time")), machine_text(report.get("machine")))

    def fact(self, name: str, value: Any, *, note: str = "", unit: str = "") -> list[Fact]:
        """The fact as a list of one; of none where there is no such value."""
        found = value_of(value)
        return [] if found is None else [Fact(text_of(name), found, self.source, note=text_of(note), unit=unit)]

    def estimate(self, name: str, raw: Any, *, note: str = "") -> list[Fact]:
        """A value with its interval; a plain number is one without."""
        if not isinstance(raw, Mapping):
            return self.fact(name, number_of(raw), note=note)
        value, reason = number_of(raw.get("value")), text_of(raw.get("reason"))
        if value is None and not reason:
            return []
        ends = (number_of(raw.get("lower")), number_of(raw.get("upper")))
        lower, upper = ends if None not in ends else (None, None)
        return [Fact(text_of(name), value, self.source, lower, upper, "; ".join(filter(None, (reason, text_of(note)))))]

    def all_of(self, raw: Any, *, most: int = MAX_FACTS) -> list[Fact]:
        """Every number and value with an interval that stands in `raw`, by the names that lead to it."""
        found: list[Fact] = []
        for path, value in flattened(raw):
            if len(found) >= most:
                found.append(Fact("more", f"the report holds more than these {most} figures", self.source))
                break
            found += self.estimate(": ".join(path), value)
        return found


def text_of(value: Any, limit: int = MAX_TEXT) -> str:
    """A text on one line with hidden characters made visible, cut; "" for anything else."""
    return printable(" ".join(value[: 4 * limit].split()), limit) if isinstance(value, str) else ""


def number_of(value: Any) -> float | int | None:
    """A finite number; None for anything else, truth values too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**18 else None
    return value if math.isfinite(value) else None


def value_of(value: Any) -> Value:
    """A text, number or truth value; None for what is empty or anything else."""
    if isinstance(value, bool):
        return value
    return number_of(value) if isinstance(value, int | float) else text_of(value) or None


def mapping_of(value: Any) -> Mapping[str, Any]:
    """The mapping, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: Any, most: int = MAX_FACTS) -> Sequence[Any]:
    """The first of a list, or an empty one."""
    return value[:most] if isinstance(value, list | tuple) else ()


def machine_text(machine: Any) -> str:
    """A machine in a few words."""
    if not isinstance(machine, Mapping):
        return text_of(machine, 100)
    cores = number_of(machine.get("cores"))
    told = [text_of(machine.get("cpu"), 80), "" if cores is None else f"{cores} cores"]
    told += [text_of(machine.get(name), 40) for name in ("system", "architecture")]
    runtime = text_of(machine.get("onnxruntime"), 20)
    return " · ".join(filter(None, [*told, f"onnxruntime {runtime}" if runtime else ""]))


def flattened(raw: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Numbers and values with intervals in JSON, with the names that lead to them; bounded in depth and number."""
    yield from _walk(raw, (), [_MAX_VISITED])


def _walk(raw: Any, path: tuple[str, ...], left: list[int]) -> Iterator[tuple[tuple[str, ...], Any]]:
    left[0] -= 1
    if left[0] < 0 or len(path) > _MAX_DEPTH:
        return
    if isinstance(raw, Mapping):
        if path and "value" in raw and ("lower" in raw or "upper" in raw or "reason" in raw):
            yield path, raw
            return
        for name, value in raw.items():
            yield from _walk(value, (*path, _spoken(name)), left)
    elif isinstance(raw, list | tuple):
        if all(isinstance(each, int | float) for each in raw):
            return  # a curve, not a figure
        for number, value in enumerate(raw):
            named = mapping_of(value)
            name = next((text for key in _NAMES if (text := text_of(named.get(key), 80))), str(number + 1))
            yield from _walk(value, (*path, name), left)
    elif number_of(raw) is not None and path:
        yield path, raw


def _spoken(name: Any) -> str:
    """The name of a field in words."""
    words = text_of(str(name), 80)
    return f"number of {words[4:]}".replace("_", " ") if words.startswith("num_") else words.replace("_", " ")
