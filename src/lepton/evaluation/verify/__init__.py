"""Whether a model may go live: rules, verdicts with their evidence, and a signed report that servers ask for."""

from lepton.evaluation.verify.base import RULES, Bounded, Finding, Result, Rule, Unknown, Verdict
from lepton.evaluation.verify.examined import Examined
from lepton.evaluation.verify.reading import ReleaseRules, load_rules, rules_of
from lepton.evaluation.verify.report import VerifiedRecord, check_verified, save
from lepton.evaluation.verify.verify import Verification, verify

__all__ = [
    "RULES",
    "Bounded",
    "Examined",
    "Finding",
    "ReleaseRules",
    "Result",
    "Rule",
    "Unknown",
    "Verdict",
    "Verification",
    "VerifiedRecord",
    "check_verified",
    "load_rules",
    "rules_of",
    "save",
    "verify",
]
