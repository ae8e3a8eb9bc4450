"""How a model treats groups of people: measures with intervals, inputs that tell a group, and explicit remedies."""

from lepton.evaluation.fairness.fairness import fairness, fairness_of
from lepton.evaluation.fairness.proxies import Proxy, proxies_of
from lepton.evaluation.fairness.recording import keep_mitigation
from lepton.evaluation.fairness.result import Fairness, Group, GroupMeasures
from lepton.evaluation.fairness.reweighing import Reweighing, reweigh
from lepton.evaluation.fairness.thresholds import GroupThresholds, choose_thresholds, thresholds_of

__all__ = [
    "Fairness",
    "Group",
    "GroupMeasures",
    "GroupThresholds",
    "Proxy",
    "Reweighing",
    "choose_thresholds",
    "fairness",
    "fairness_of",
    "keep_mitigation",
    "proxies_of",
    "reweigh",
    "thresholds_of",
]
