"""From a table to a model file: tasks, learners, a portfolio that keeps its time, and the writer of trees."""

from lepton.training.automl import How, SearchOptions, history_page, how_found, search_of
from lepton.training.base import LEARNERS, Problem, Rows, TableLearner
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.limits import Limits, check_verdicts
from lepton.training.options import Options
from lepton.training.out_of_fold import OutOfFold, out_of_fold
from lepton.training.request import Request
from lepton.training.selection import Selection, select_features
from lepton.training.tables import TrainingResult, train
from lepton.training.trees import Forest

__all__ = [
    "LEARNERS",
    "Forest",
    "How",
    "Leaderboard",
    "LeaderboardRow",
    "Limits",
    "Options",
    "OutOfFold",
    "Problem",
    "Request",
    "Rows",
    "SearchOptions",
    "Selection",
    "TableLearner",
    "TrainingResult",
    "check_verdicts",
    "history_page",
    "how_found",
    "out_of_fold",
    "search_of",
    "select_features",
    "train",
]
