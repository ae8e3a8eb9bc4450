"""Which model answers a request: aliases, splits, shadows, roll-backs, pipelines, ensembles and caches, by one file."""

from lepton.serving.traffic.router import Traffic
from lepton.serving.traffic.rules import Rules, read_rules

__all__ = ["Rules", "Traffic", "read_rules"]
