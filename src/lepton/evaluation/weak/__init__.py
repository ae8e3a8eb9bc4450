"""Where a model is weak: parts of the rows, doubtful probabilities, sure mistakes, and rows unlike the training's."""

from lepton.evaluation.weak.calibration import CalibrationPart, Calibrations, calibration_error, calibration_parts
from lepton.evaluation.weak.conditions import Condition
from lepton.evaluation.weak.confident import Case, Confidence, Confident, Confusion, confident_mistakes, confusions
from lepton.evaluation.weak.outliers import OutlierColumn, OutlierRow, Outliers, outlier_scores, outliers
from lepton.evaluation.weak.places import WeakPlaces, weak_places
from lepton.evaluation.weak.slices import Slice, Slices, find_slices

__all__ = [
    "CalibrationPart",
    "Calibrations",
    "Case",
    "Condition",
    "Confidence",
    "Confident",
    "Confusion",
    "OutlierColumn",
    "OutlierRow",
    "Outliers",
    "Slice",
    "Slices",
    "WeakPlaces",
    "calibration_error",
    "calibration_parts",
    "confident_mistakes",
    "confusions",
    "find_slices",
    "outlier_scores",
    "outliers",
    "weak_places",
]
