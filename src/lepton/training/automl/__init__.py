"""The search: trials in child processes on fixed folds, within a time that is kept, joined into one lean model."""

from lepton.training.automl.explain import How, how_found
from lepton.training.automl.in_turn import best_in_turn
from lepton.training.automl.kept import Keeper, SearchOptions, search_of
from lepton.training.automl.page import history_page
from lepton.training.automl.run import Found, run_search
from lepton.training.automl.search import EFFORTS, Effort, effort_of
from lepton.training.automl.trials import Outside
from lepton.training.automl.workdir import Asked, SearchFolder

__all__ = [
    "EFFORTS",
    "Asked",
    "Effort",
    "Found",
    "How",
    "Keeper",
    "Outside",
    "SearchFolder",
    "SearchOptions",
    "best_in_turn",
    "effort_of",
    "history_page",
    "how_found",
    "run_search",
    "search_of",
]
