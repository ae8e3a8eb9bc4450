"""Mergeable one-pass statistics of columns, the baseline that a model carries, and distances between them."""

from lepton.data.statistics.baseline import Baseline
from lepton.data.statistics.columns import ColumnStatistics
from lepton.data.statistics.distances import chi_square, jensen_shannon, kolmogorov_smirnov, psi, shares
from lepton.data.statistics.distinct import DistinctSketch
from lepton.data.statistics.frequent import FrequentValues
from lepton.data.statistics.numbers import Moments, NumberStatistics
from lepton.data.statistics.quantiles import QuantileSketch

__all__ = [
    "Baseline",
    "ColumnStatistics",
    "DistinctSketch",
    "FrequentValues",
    "Moments",
    "NumberStatistics",
    "QuantileSketch",
    "chi_square",
    "jensen_shannon",
    "kolmogorov_smirnov",
    "psi",
    "shares",
]
