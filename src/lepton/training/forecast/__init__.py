"""Forecasting: from series of the past to one graph that gives their next steps with intervals."""

from lepton.training.forecast.run import COVERAGE, is_forecast, train_forecast

__all__ = ["COVERAGE", "is_forecast", "train_forecast"]
