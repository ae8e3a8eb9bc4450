"""Cleaning recipes: ordered steps that are written once, learned from a table and repeated on the next."""

from lepton.data.recipes.base import (
    RECIPE_STEPS,
    Applied,
    BoundRowStep,
    BoundStep,
    BoundTableStep,
    Frames,
    Learner,
    OnError,
    OwnRows,
    RecipeStep,
    RunContext,
    Scope,
)
from lepton.data.recipes.changes import Changes
from lepton.data.recipes.recipe import Recipe, bound_steps
from lepton.data.recipes.tally import ChangeRecord

__all__ = [
    "RECIPE_STEPS",
    "Applied",
    "BoundRowStep",
    "BoundStep",
    "BoundTableStep",
    "ChangeRecord",
    "Changes",
    "Frames",
    "Learner",
    "OnError",
    "OwnRows",
    "Recipe",
    "RecipeStep",
    "RunContext",
    "Scope",
    "bound_steps",
]
