"""Options of `lepton train` that say which mistakes are dear and which way answers go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from lepton.core import DataError, ErrorCode, UsageError
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.store import documents
else:
    documents = LazyModule("lepton.store.documents")

__all__ = ["ModelOptions"]

_DIRECTIONS = {"1": 1, "+1": 1, "-1": -1}


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What is asked of a model beyond its metric."""

    class_weight: tuple[str, ...] = ()
    "For classes, 'balanced', or LABEL=WEIGHT: how much its rows count in learning; may be given several times."
    costs: Path | None = None
    "For classes, a JSON or YAML file of what mistakes cost: a matrix, or truth, call and cost; the cheapest is called."
    monotone: tuple[str, ...] = ()
    "COLUMN=1 where the answer must not fall as the number grows, COLUMN=-1 where it must not rise; several times."

    learners: tuple[str, ...] = ()
    "Learner to try beside the baseline, such as rules; several times; by default all that are of use."
    keep_rows: bool = False
    "Let the model file hold rows of the table, as the learner neighbours needs them: who has the file can read them."

    coverage: float | None = None
    "For numbers and classes, share of rows whose truth an interval or a set of labels is to hold, such as 0.9."

    quantiles: tuple[float, ...] = ()
    "For the task quantile, share of rows that an answer is to exceed; several times; by default 0.1, 0.5 and 0.9."

    select_features: bool = False
    "Leave out columns that boosted trees do not need, where the score is no worse without."

    def arguments(self) -> dict[str, Any]:
        """The arguments of `lepton.train` that they mean."""
        given: dict[str, Any] = {
            "class_weight": self._class_weight(),
            "costs": None if self.costs is None else self._costs(self.costs),
            "monotone": dict(map(_direction, self.monotone)),
            "learners": self.learners,
            "keep_rows": self.keep_rows,
            "coverage": self.coverage,
            "quantiles": self.quantiles,
            "select_features": self.select_features,
        }
        return {name: value for name, value in given.items() if value or isinstance(value, float)}

    def _class_weight(self) -> str | dict[str, float]:
        if self.class_weight == ("balanced",):
            return "balanced"
        return dict(map(_weight, self.class_weight))

    def _costs(self, path: Path) -> Any:
        found = documents.read_yaml(path)
        if not isinstance(found, dict | list) or not found:
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"{path.name} holds {str(found)[:100]!r}",
                wanted='{"false_positive": 1, "false_negative": 5}, truth → call → cost, or a matrix',
            )
        return found


def _weight(text: str) -> tuple[str, float]:
    label, _, weight = text.rpartition("=")
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not label or math.isnan(number):
        raise UsageError(
            ErrorCode.USAGE, f"got --class-weight {text!r}", wanted="balanced, or LABEL=WEIGHT with a number above 0"
        )
    return label, number


def _direction(text: str) -> tuple[str, int]:
    column, equals, direction = text.rpartition("=")
    if not equals or not column or direction not in _DIRECTIONS:
        raise UsageError(ErrorCode.USAGE, f"got --monotone {text!r}", wanted="COLUMN=1 or COLUMN=-1")
    return column, _DIRECTIONS[direction]
