"""Rules of release from YAML or from plain data, in the manner of the rules of data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from lepton.core import ErrorCode, LeptonError, UsageError, parse_duration, printable
from lepton.data.parameters import made_of
from lepton.evaluation.verify.base import RULES, Rule
from lepton.store.documents import read_yaml

__all__ = ["FORMAT", "ReleaseRules", "load_rules", "rules_of"]

FORMAT = "release-rules/1"
_KEYS = {"lepton", "rules", "valid_for"}
_MAX_RULES = 1_000


@dataclass(frozen=True)
class ReleaseRules(Sequence[Rule]):
    """Rules in their order, and how long a verification by them is good.

    Attributes:
        rules: at least one.
        valid_for: seconds; None for ever.
    """

    rules: tuple[Rule, ...]
    valid_for: float | None = None

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    @overload
    def __getitem__(self, index: int) -> Rule: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Rule, ...]: ...
    def __getitem__(self, index: int | slice) -> Rule | tuple[Rule, ...]:
        return self.rules[index]


def rules_of(data: Any) -> ReleaseRules:
    """Rules from plain data: a document of rules, or the list alone, which may hold rules of Python too.

    Raises:
        UsageError: anything else; the message names the rule.
    """
    if isinstance(data, ReleaseRules):
        return data
    valid_for = None
    if isinstance(data, Mapping):
        if data.get("lepton") != FORMAT or set(data) - _KEYS:
            keys = ", ".join(printable(str(key), 40) for key in list(data)[:10])
            came = f"it says lepton: {printable(repr(data.get('lepton')), 60)} and has the keys {keys}"
            wanted = f"lepton: {FORMAT}, rules, and perhaps valid_for"
            raise UsageError(ErrorCode.BAD_RULE, f"these are no rules of release: {came}", wanted=wanted)
        valid_for = _valid_for(data.get("valid_for"))
        data = data.get("rules")
    if isinstance(data, Rule):
        data = [data]
    if not isinstance(data, list | tuple) or not 0 < len(data) <= _MAX_RULES:
        wanted = f"a list of 1 to {_MAX_RULES:,} rules"
        raise UsageError(ErrorCode.BAD_RULE, "the rules are no list of rules", wanted=wanted)
    rules = tuple(each if isinstance(each, Rule) else _rule(number, each) for number, each in enumerate(data, 1))
    return ReleaseRules(rules, valid_for)


def load_rules(path: str | Path) -> ReleaseRules:
    """Read rules from YAML or JSON. Whoever wrote them, they can do nothing but look.

    Raises:
        DataError: no such file, or no plain YAML.
        UsageError: BAD_RULE; the message names the rule.
    """
    return rules_of(read_yaml(path))


def _valid_for(written: Any) -> float | None:
    if written is None:
        return None
    try:
        seconds = parse_duration(written, "valid_for")
    except LeptonError as error:
        raise UsageError(ErrorCode.BAD_RULE, error.came, wanted="a time such as 90d") from None
    if not math.isfinite(seconds) or seconds > 100 * 366 * 86_400:
        raise UsageError(ErrorCode.BAD_RULE, f"got valid_for={written!r}", wanted="at most 100 years")
    return seconds


def _rule(number: int, written: Any) -> Rule:
    if isinstance(written, str):  # a rule without parameters
        written = {written: {}}
    if not isinstance(written, Mapping) or len(written) != 1:
        came = f"rule {number} is {printable(str(written), 100)!r}"
        raise UsageError(ErrorCode.BAD_RULE, came, wanted="a name with its parameters, such as metric: {least: 0.9}")
    ((name, parameters),) = written.items()
    try:
        kind = RULES.load(str(name))
        parameters = {} if parameters is None else parameters
        if not isinstance(parameters, Mapping) or not all(isinstance(key, str) for key in parameters):
            raise UsageError(ErrorCode.BAD_RULE, f"the parameters of {printable(str(name), 60)} are no mapping")
        rule: Rule = made_of(kind, str(name), parameters, ErrorCode.BAD_RULE)
        return rule
    except LeptonError as error:
        came = f"rule {number}: {error.came}"
        raise UsageError(ErrorCode.BAD_RULE, came, wanted=error.wanted, fix=error.fix) from None
