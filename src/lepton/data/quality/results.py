"""What became of a rule."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RuleResult"]


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        number: of the rule, from 1.
        rule: as it is written.
        columns: that it looked at.
        severity: `error` or `warn`.
        passed: whether it was kept, as far as its `allowed` share says.
        broken: rows that break it; None for rules about the table as a whole.
        rows: rows that it looked at.
        observed: what was found, in words.
        examples: up to five rows that break it, as `row 17 of claims.csv: age = -3`.
    """

    number: int
    rule: str
    columns: tuple[str, ...]
    severity: str
    passed: bool
    broken: int | None
    rows: int
    observed: str
    examples: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`kept`, `BROKEN` or, for a rule of severity `warn`, `warning`."""
        if self.passed:
            return "kept"
        return "BROKEN" if self.severity == "error" else "warning"
