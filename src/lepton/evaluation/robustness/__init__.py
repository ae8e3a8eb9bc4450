"""How a model bears rows that are spoilt, and whether what its owner says must hold does hold."""

from lepton.evaluation.robustness.metamorphic import metamorphic
from lepton.evaluation.robustness.metamorphic_result import Example, Metamorphic, RuleResult
from lepton.evaluation.robustness.result import ColumnLoss, Curve, Robustness
from lepton.evaluation.robustness.robustness import robustness
from lepton.evaluation.robustness.rules import MetamorphicRule

__all__ = [
    "ColumnLoss",
    "Curve",
    "Example",
    "Metamorphic",
    "MetamorphicRule",
    "Robustness",
    "RuleResult",
    "metamorphic",
    "robustness",
]
