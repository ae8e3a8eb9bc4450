"""What is not known of a model: where it errs, what it leans on, and what makes its score doubtful."""

from lepton.training.honesty.checks import Doubt, doubts_of, order_doubt, too_few
from lepton.training.honesty.errors import errors_of
from lepton.training.honesty.importances import importance_of
from lepton.training.honesty.judged import MAX_ROWS, Judged
from lepton.training.honesty.looking import checking_seconds, doubts_and_errors, left_of
from lepton.training.honesty.probabilities import calibration_doubt, calibration_of

__all__ = [
    "MAX_ROWS",
    "Doubt",
    "Judged",
    "calibration_doubt",
    "calibration_of",
    "checking_seconds",
    "doubts_and_errors",
    "doubts_of",
    "errors_of",
    "importance_of",
    "left_of",
    "order_doubt",
    "too_few",
]
