"""From a table to a model file: tasks, learners, a portfolio that keeps its time, and the writer of trees."""

from lepton.training.base import LEARNERS, Problem, Rows, TableLearner
from lepton.training.forecast import is_forecast, train_forecast
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.out_of_fold import OutOfFold, out_of_fold
from lepton.training.tables import TrainingResult, train
from lepton.training.trees import Forest

__all__ = [
    "LEARNERS",
    "Forest",
    "Leaderboard",
    "LeaderboardRow",
    "OutOfFold",
    "Problem",
    "Rows",
    "TableLearner",
    "TrainingResult",
    "is_forecast",
    "out_of_fold",
    "train",
    "train_forecast",
]
