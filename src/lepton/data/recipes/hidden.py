"""Which columns hold what a recipe hides, so that no message shows a value of them."""

from __future__ import annotations

from collections.abc import Sequence

from lepton.core import DataError, LeptonError, Schema
from lepton.data.recipes.base import BoundRowStep, BoundStep, RecipeStep

__all__ = ["hidden_columns", "without_value"]

_LEAVES_OUT = frozenset(("drop", "select"))


def hidden_columns(
    done: Sequence[tuple[RecipeStep, BoundStep]], to_come: Sequence[RecipeStep], schema: Schema
) -> list[frozenset[str]]:
    """For each step that is bound, and for the rows after them, the columns with what it or a later step hides.

    What a step drops counts as hidden: it is not meant to be seen. Steps to come may rename or derive; where one of
    them might and a later one hides, every column is hidden.

    Args:
        done: steps and what they are on columns.
        to_come: the steps after them, whose columns are not known yet.
        schema: the columns after the bound steps.

    Returns:
        One set for each of `done`, of columns that come in, and the set of columns of `schema`.
    """
    private = _of_steps_to_come(to_come, schema)
    found = [frozenset(private)]
    for step, bound in reversed(done):
        own = _hidden_by(step, bound.before)
        needed = _needed(bound, private)
        found.append(frozenset(own | private if step.keeps_columns else own | needed))
        private = own | needed
    return found[::-1]


def without_value(error: DataError) -> DataError:
    """The same error for a cell, without its value: what `read` found in a column that the recipe hides."""
    place, column = error.details.get("place", ""), error.details.get("column", "")
    return DataError(
        error.code,
        f"{place}, column '{column}': a value that the recipe hides cannot be read",
        wanted=error.wanted,
        fix=f"correct it, or read(..., kinds={{'{column}': 'category'}})",
        details={"column": column, "place": place},
    )


def _of_steps_to_come(steps: Sequence[RecipeStep], schema: Schema) -> set[str]:
    private: set[str] = set()
    sure = True
    for step in steps:
        if step.hides and not sure:
            return set(schema.names)
        private |= _hidden_by(step, schema) if sure else set()
        sure = sure and (step.keeps_columns or step.hides or step.name in _LEAVES_OUT)
    return private


def _hidden_by(step: RecipeStep, schema: Schema) -> set[str]:
    if not step.hides and step.name not in _LEAVES_OUT:
        return set()
    try:
        named = {schema[name].name for name in step.reads(schema)}
    except LeptonError:  # the step is refused when it is bound, and says why
        return set()
    return set(schema.names) - named if step.name == "select" else named


def _needed(bound: BoundStep, private: set[str]) -> set[str]:
    """Columns that come in and from which private ones are made, or which they are."""
    if isinstance(bound, BoundRowStep):
        return bound.needs(private) if private else private
    return private | set(bound.reads) if private & set(bound.writes) else private
