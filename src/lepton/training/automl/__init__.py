"""The search: trials in child processes on fixed folds, within a time that is kept, joined into one lean model."""

from lepton.training.automl.run import Found, Outside, run_search
from lepton.training.automl.search import EFFORTS, Effort, effort_of

__all__ = ["EFFORTS", "Effort", "Found", "Outside", "effort_of", "run_search"]
