"""How good a model is, on which rows, and how sure that is: metrics with intervals, segments, comparisons."""

from lepton.evaluation.bootstrap import Estimate, difference, intervals
from lepton.evaluation.compare import Comparison, Contender, compare
from lepton.evaluation.evaluate import evaluate
from lepton.evaluation.importance import FeatureImportance, Importance, importance
from lepton.evaluation.label_texts import flags_of_texts, labels_of_texts
from lepton.evaluation.metrics import METRICS, Metric, metric, metrics_of
from lepton.evaluation.result import Evaluation, LabelRecord, Residuals
from lepton.evaluation.segments import Segment
from lepton.evaluation.threshold import Costs, Decision, cost_matrix

__all__ = [
    "METRICS",
    "Comparison",
    "Contender",
    "Costs",
    "Decision",
    "Estimate",
    "Evaluation",
    "FeatureImportance",
    "Importance",
    "LabelRecord",
    "Metric",
    "Residuals",
    "Segment",
    "compare",
    "cost_matrix",
    "difference",
    "evaluate",
    "flags_of_texts",
    "importance",
    "intervals",
    "labels_of_texts",
    "metric",
    "metrics_of",
]
