"""The traffic file: aliases, splits, pipelines, ensembles and caches, read strictly from YAML or JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lepton.core import ErrorCode, LeptonError, UsageError, check_name, printable
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.store import documents
else:
    documents = LazyModule("lepton.store.documents")  # for servers that are given such a file

__all__ = [
    "BoundsRecord",
    "CacheRecord",
    "CombinationRecord",
    "HeaderRecord",
    "Rules",
    "ShadowRecord",
    "SplitRecord",
    "Target",
    "read_rules",
]

_MAX_ENTRIES = 1000
_SUM_TOLERANCE = 1e-9
_WAYS = ("mean", "vote")
_WINDOW, _COUNT = 300.0, 200


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule sends requests to: `name`, or one version of it, `name@3`."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class HeaderRecord:
    """Requests whose header `name` has the value `equals` go to `to`."""

    name: str
    equals: str
    to: Target


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """A copy of so large a share of the requests is run on `to` as well, behind the answer."""

    to: Target
    share: float


@dataclass(frozen=True, slots=True)
class BoundsRecord:
    """When a side of a split gets no more requests.

    Attributes:
        errors: share of requests that may fail inside the server.
        p95_ms: milliseconds within which 95 of 100 requests are to be answered.
        drift: whether an alarm of drift counts.
        window: seconds that are looked at.
        count: requests in the window before anything is decided.
    """

    errors: float | None = None
    p95_ms: float | None = None
    drift: bool = False
    window: float = _WINDOW
    count: int = _COUNT


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """Where requests to one name go.

    Attributes:
        shares: what goes where; they sum to 1.
        by: the header by whose value a caller stays on its side; else, and where a request has none, the request id.
        headers: tried first, in order.
        shadow: what runs behind the answer.
        bounds: when a side is left out.
    """

    shares: Mapping[Target, float]
    by: str | None = None
    headers: tuple[HeaderRecord, ...] = ()
    shadow: ShadowRecord | None = None
    bounds: Mapping[Target, BoundsRecord] = field(default_factory=dict)

    @property
    def targets(self) -> Iterator[Target]:
        """Everything that it names."""
        yield from self.shares
        yield from (header.to for header in self.headers)
        if self.shadow is not None:
            yield self.shadow.to


@dataclass(frozen=True, slots=True)
class CombinationRecord:
    """Several models under one name: a pipeline where `by` is None, else an ensemble by `mean` or `vote`."""

    parts: tuple[Target, ...]
    by: str | None = None


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """Answers that are kept for a model: so many rows, so many seconds."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What a traffic file says."""

    aliases: Mapping[str, Target] = field(default_factory=dict)
    splits: Mapping[str, SplitRecord] = field(default_factory=dict)
    combinations: Mapping[str, CombinationRecord] = field(default_factory=dict)
    caches: Mapping[str, CacheRecord] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Every name that the file makes, and what it is."""
        kinds = {name: "pipeline" if record.by is None else "ensemble" for name, record in self.combinations.items()}
        return dict.fromkeys(self.aliases, "alias") | dict.fromkeys(self.splits, "split") | kinds


def read_rules(path: str | Path) -> Rules:
    """The rules in a file.

    Raises:
        DataError: no such file, or no plain YAML.
        UsageError: BAD_TRAFFIC, what the file says cannot be meant.
    """
    return rules_of(documents.read_yaml(path))


def rules_of(raw: Any) -> Rules:
    """The rules that plain data says.

    Raises:
        UsageError: BAD_TRAFFIC.
    """
    if raw is None:  # a file that is being written may be empty for a moment
        _refuse("the file is empty", "rules, or {} for none")
    known = ("aliases", "splits", "pipelines", "ensembles", "cache")
    _check_fields(raw, "the file", optional=known)
    made: dict[str, str] = {}
    aliases = {name: _target(to, where) for name, to, where in _entries(raw, "aliases", made)}
    splits = {name: _split(name, value, where) for name, value, where in _entries(raw, "splits", made)}
    pipelines = {
        name: CombinationRecord(_parts(value, where)) for name, value, where in _entries(raw, "pipelines", made)
    }
    ensembles = {name: _ensemble(value, where) for name, value, where in _entries(raw, "ensembles", made)}
    caches = {name: _cache(value, where) for name, value, where in _entries(raw, "cache", {})}
    rules = Rules(aliases, splits, pipelines | ensembles, caches)
    _check_cycles(rules)
    return rules


def _split(name: str, raw: Any, where: str) -> SplitRecord:
    _check_fields(raw, where, optional=("shares", "by", "headers", "shadow", "bounds"))
    shares = _shares(raw.get("shares", {name: 1.0}), f"{where}.shares")
    bounds_at = f"{where}.bounds"
    bounds: dict[Target, BoundsRecord] = {}
    for label, value in _mapping(raw.get("bounds", {}), bounds_at).items():
        side = _target(label, bounds_at)
        if side not in shares or len(shares) == 1:
            _refuse(f"{bounds_at} names '{side}'", "one of several sides of shares: " + ", ".join(map(str, shares)))
        bounds[side] = _bounds(value, f"{bounds_at}.{side}")
    headers = raw.get("headers", [])
    if not isinstance(headers, list):
        _refuse(f"{where}.headers is {_shown(headers)}", "a list of {name, equals, to}")
    return SplitRecord(
        shares,
        _header_name(raw["by"], f"{where}.by") if "by" in raw else None,
        tuple(_header(each, f"{where}.headers[{place}]") for place, each in enumerate(headers)),
        _shadow(raw["shadow"], f"{where}.shadow") if "shadow" in raw else None,
        bounds,
    )


def _shares(raw: Any, where: str) -> dict[Target, float]:
    shares: dict[Target, float] = {}
    for label, value in _mapping(raw, where).items():
        target = _target(label, where)
        if target in shares:
            _refuse(f"{where} has '{target}' twice", "each once")
        shares[target] = _number(value, f"{where}.{target}", 0.0, 1.0)
    if abs(math.fsum(shares.values()) - 1.0) > _SUM_TOLERANCE:
        _refuse(f"{where} sum to {math.fsum(shares.values()):g}", "shares that sum to 1")
    return shares


def _header(raw: Any, where: str) -> HeaderRecord:
    _check_fields(raw, where, required=("name", "equals", "to"))
    if not isinstance(raw["equals"], str):
        _refuse(f"{where}.equals is {_shown(raw['equals'])}", "a text, in quotes where it looks like a number")
    return HeaderRecord(_header_name(raw["name"], f"{where}.name"), raw["equals"], _target(raw["to"], f"{where}.to"))


def _shadow(raw: Any, where: str) -> ShadowRecord:
    _check_fields(raw, where, required=("to",), optional=("share",))
    return ShadowRecord(_target(raw["to"], f"{where}.to"), _number(raw.get("share", 1.0), f"{where}.share", 0.0, 1.0))


def _bounds(raw: Any, where: str) -> BoundsRecord:
    _check_fields(raw, where, optional=("errors", "p95_ms", "drift", "window", "count"))
    drift = raw.get("drift", False)
    if not isinstance(drift, bool):
        _refuse(f"{where}.drift is {_shown(drift)}", "true or false")
    if not drift and "errors" not in raw and "p95_ms" not in raw:
        _refuse(f"{where} bounds nothing", "errors, p95_ms or drift")
    return BoundsRecord(
        _number(raw["errors"], f"{where}.errors", 0.0, 0.999) if "errors" in raw else None,
        _number(raw["p95_ms"], f"{where}.p95_ms", 1e-3, 1e9) if "p95_ms" in raw else None,
        drift,
        _number(raw.get("window", _WINDOW), f"{where}.window", 1.0, 86_400.0),
        _whole(raw.get("count", _COUNT), f"{where}.count", 20, 1_000_000),
    )


def _ensemble(raw: Any, where: str) -> CombinationRecord:
    _check_fields(raw, where, required=("of", "by"))
    if raw["by"] not in _WAYS:
        _refuse(f"{where}.by is {_shown(raw['by'])}", " or ".join(_WAYS))
    return CombinationRecord(_parts(raw["of"], f"{where}.of"), raw["by"])


def _parts(raw: Any, where: str) -> tuple[Target, ...]:
    if not isinstance(raw, list) or not 2 <= len(raw) <= 20:
        _refuse(f"{where} is {_shown(raw)}", "a list of 2 to 20 models")
    return tuple(_target(each, f"{where}[{place}]") for place, each in enumerate(raw))


def _cache(raw: Any, where: str) -> CacheRecord:
    _check_fields(raw, where, required=("rows", "seconds"))
    return CacheRecord(
        _whole(raw["rows"], f"{where}.rows", 1, 10_000_000), _number(raw["seconds"], f"{where}.seconds", 1e-3, 1e9)
    )


def _check_cycles(rules: Rules) -> None:
    """Refuse names that lead back to themselves; a split is no step, since what it names is never split again."""
    leads: dict[str, tuple[Target, ...]] = {name: (target,) for name, target in rules.aliases.items()}
    leads |= {name: record.parts for name, record in rules.combinations.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            _refuse("the names lead in a circle: " + " → ".join((*path[path.index(name) :], name)), "an end")
        if name not in done:
            for target in leads.get(name, ()):
                visit(target.name, (*path, name))
            done.add(name)

    for name in leads:
        visit(name, ())


# --- plain data --------------------------------------------------------------------------------------------------


def _refuse(came: str, wanted: str) -> NoReturn:
    raise UsageError(ErrorCode.BAD_TRAFFIC, came, wanted=wanted, fix="see docs/how-to/split-traffic.md")


def _shown(value: Any) -> str:
    return printable(repr(value), 60)


def _mapping(raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        _refuse(f"{where} is {_shown(raw)}", "a mapping whose keys are texts")
    if len(raw) > _MAX_ENTRIES:
        _refuse(f"{where} has {len(raw)} entries", f"at most {_MAX_ENTRIES}")
    return raw


def _check_fields(raw: Any, where: str, *, required: Collection[str] = (), optional: Collection[str] = ()) -> None:
    found = _mapping(raw, where)
    known = ", ".join((*required, *optional))
    for key in found:
        if key not in required and key not in optional:
            _refuse(f"{where} has the unknown key '{printable(key, 60)}'", known)
    for key in required:
        if key not in found:
            _refuse(f"{where} has no {key}", known)


def _entries(raw: dict[str, Any], section: str, made: dict[str, str]) -> Iterator[tuple[str, Any, str]]:
    """Name, value and place of each entry of a section; a name is made once in all sections."""
    for given, value in _mapping(raw.get(section, {}), section).items():
        name = _name(given, section)
        if name in made:
            _refuse(f"{section} has the name '{name}', which {made[name]} has too", "another name")
        made[name] = section
        yield name, value, f"{section}.{name}"


def _name(given: str, where: str) -> str:
    try:
        return check_name(given, "model name")
    except LeptonError as error:
        _refuse(f"{where}: {error.came}", error.wanted)


def _target(raw: Any, where: str) -> Target:
    if not isinstance(raw, str):
        _refuse(f"{where} is {_shown(raw)}", "a model's name, or name@version")
    name, versioned, version = raw.partition("@")
    plain = version.isascii() and version.isdigit() and version[0] != "0" and len(version) <= 18
    if versioned and not plain:
        _refuse(f"{where} has '{printable(raw, 60)}'", "name@version, the version being a whole number")
    return Target(_name(name, where), version if versioned else None)


def _header_name(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not 1 <= len(raw) <= 64 or not (raw.isascii() and raw.replace("-", "").isalnum()):
        _refuse(f"{where} is {_shown(raw)}", "a header's name, such as x-user")
    return raw.lower()


def _number(raw: Any, where: str, least: float, most: float) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not least <= raw <= most:
        _refuse(f"{where} is {_shown(raw)}", f"a number from {least:g} to {most:g}")
    return float(raw)


def _whole(raw: Any, where: str, least: int, most: int) -> int:
    if type(raw) is not int or not least <= raw <= most:
        _refuse(f"{where} is {_shown(raw)}", f"a whole number from {least} to {most}")
    return int(raw)
