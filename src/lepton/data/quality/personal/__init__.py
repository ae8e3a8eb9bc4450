"""Where a table speaks of persons: columns of personal data, found by form, check digit and dictionary."""

from lepton.data.quality.personal.find import PersonalData, find_personal
from lepton.data.quality.personal.records import PersonalFinding

__all__ = ["PersonalData", "PersonalFinding", "find_personal"]
