"""A model in words, where it is one that can be read."""

from __future__ import annotations

from collections.abc import Sequence

from lepton.training.answers import decided, numbers_of, probabilities_of
from lepton.training.base import Doubles
from lepton.training.portfolio import Chosen
from lepton.training.prepared import PreparedTable

__all__ = ["in_words"]


def in_words(table: PreparedTable, chosen: Chosen) -> tuple[str, ...]:
    """The whole model, a line each, in the words of the table; () where it is not one for reading."""
    target, labels = table.target.column.name, table.target.labels

    def answers(raw: Doubles) -> Sequence[str]:
        if labels is None:
            return [f"{target} is {number:.6g}" for number in numbers_of(raw, table.scale)]
        probabilities = probabilities_of(table.problem, raw / chosen.temperature)
        called = decided(table.problem, probabilities)
        return [
            f"{target} is {labels[call]} ({row[call]:.0%})" for call, row in zip(called, probabilities, strict=True)
        ]

    return chosen.learner.told(answers)
