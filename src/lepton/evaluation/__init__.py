"""How good a model is, on which rows, and how sure that is: metrics with intervals, segments, comparisons."""

from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.metrics import METRICS, Metric, metric, metrics_of

__all__ = ["METRICS", "Estimate", "Metric", "intervals", "metric", "metrics_of"]
