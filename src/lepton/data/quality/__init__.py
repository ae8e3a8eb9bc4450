"""Is this table good enough? Rules that it must keep, and how far it has moved from a baseline."""

from lepton.data.quality.agreement import (
    Agreement,
    Consensus,
    PairAgreement,
    cohen_kappa,
    consensus_labels,
    fleiss_kappa,
    krippendorff_alpha,
    measure_agreement,
)
from lepton.data.quality.anonymity import Anonymity, measure_anonymity
from lepton.data.quality.check import Check, check
from lepton.data.quality.drift import DriftRecord, SchemaChange, compare_tables
from lepton.data.quality.labels import LabelErrors, conflicting_labels, suspect_labels, suspect_numbers
from lepton.data.quality.leakage import Leakage, find_leakage
from lepton.data.quality.overlap import SharedRow, SharedRows, shared_rows
from lepton.data.quality.personal import PersonalData, PersonalFinding, find_personal
from lepton.data.quality.results import RuleResult
from lepton.data.quality.rules import RULES, Rule, Severity, load_rules, rules_of
from lepton.data.quality.unify import LabelSpelling, LabelSpellings, unify_labels

__all__ = [
    "RULES",
    "Agreement",
    "Anonymity",
    "Check",
    "Consensus",
    "DriftRecord",
    "LabelErrors",
    "LabelSpelling",
    "LabelSpellings",
    "Leakage",
    "PairAgreement",
    "PersonalData",
    "PersonalFinding",
    "Rule",
    "RuleResult",
    "SchemaChange",
    "Severity",
    "SharedRow",
    "SharedRows",
    "check",
    "cohen_kappa",
    "compare_tables",
    "conflicting_labels",
    "consensus_labels",
    "find_leakage",
    "find_personal",
    "fleiss_kappa",
    "krippendorff_alpha",
    "load_rules",
    "measure_agreement",
    "measure_anonymity",
    "rules_of",
    "shared_rows",
    "suspect_labels",
    "suspect_numbers",
    "unify_labels",
]
