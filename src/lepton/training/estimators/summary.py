"""The table of coefficients with standard errors and intervals, as statistics packages print it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.training.estimators.rows import Doubles

__all__ = ["Summary", "coefficient_summary"]


@dataclass(frozen=True)
class Summary:
    """Rows of name, coefficient, standard error, statistic, p-value, lower, upper; and facts about the fit."""

    rows: tuple[tuple[str, float, float, float, float, float, float], ...]
    facts: tuple[tuple[str, Any], ...]
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        keys = ("name", "coefficient", "standard_error", "statistic", "p_value", "lower", "upper")
        return {
            **dict(self.facts),
            "level": self.level,
            "coefficients": [dict(zip(keys, r, strict=True)) for r in self.rows],
        }

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        head = ("", "coefficient", "std. error", "statistic", "p", f"lower {self.level:.0%}", f"upper {self.level:.0%}")
        body = [(printable(r[0], 30), *(f"{v:.6g}" if np.isfinite(v) else "-" for v in r[1:])) for r in self.rows]
        widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
        lines = [
            "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in (head, *body)
        ]
        facts = [
            f"{name}: {value:.6g}" if isinstance(value, float) else f"{name}: {value}" for name, value in self.facts
        ]
        return "\n".join([*lines, "", *facts])


def coefficient_summary(
    names: Sequence[str],
    coefficients: Doubles,
    errors: Doubles,
    freedom: float | None,
    facts: Sequence[tuple[str, Any]],
    level: float = 0.95,
) -> Summary:
    """A summary with Student's intervals (`freedom` degrees), or normal ones without degrees of freedom."""
    from scipy import stats

    law = stats.norm() if freedom is None else stats.t(max(freedom, 1.0))
    width = float(law.ppf(0.5 + level / 2))
    statistic = np.divide(coefficients, errors, out=np.full_like(coefficients, np.nan), where=errors > 0)
    chance = 2 * law.sf(np.abs(statistic))
    rows = tuple(
        (name, float(c), float(e), float(s), float(p), float(c - width * e), float(c + width * e))
        for name, c, e, s, p in zip(names, coefficients, errors, statistic, chance, strict=True)
    )
    return Summary(rows, tuple(facts), level)
