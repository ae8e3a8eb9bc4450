"""Is this table good enough? Rules that it must keep, and how far it has moved from a baseline."""

from lepton.data.quality.check import Check, RuleResult, check
from lepton.data.quality.drift import DriftRecord, SchemaChange, compare_tables
from lepton.data.quality.rules import RULES, Rule, Severity, load_rules, rules_of

__all__ = [
    "RULES",
    "Check",
    "DriftRecord",
    "Rule",
    "RuleResult",
    "SchemaChange",
    "Severity",
    "check",
    "compare_tables",
    "load_rules",
    "rules_of",
]
