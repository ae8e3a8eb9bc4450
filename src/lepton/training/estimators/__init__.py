"""Estimators with the conventions of scikit-learn, exact where that can be, at any size."""

from lepton.training.estimators.kmeans import KMeans, KMeansRecord
from lepton.training.estimators.linear import LinearRegression, Ridge
from lepton.training.estimators.logistic import LogisticRegression, SeparationWarning
from lepton.training.estimators.logistic_sums import LogisticRecord
from lepton.training.estimators.moments import Moments
from lepton.training.estimators.summary import Summary

__all__ = [
    "KMeans",
    "KMeansRecord",
    "LinearRegression",
    "LogisticRecord",
    "LogisticRegression",
    "Moments",
    "Ridge",
    "SeparationWarning",
    "Summary",
]
