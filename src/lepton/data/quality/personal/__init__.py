"""Where a table speaks of persons: columns of personal data, found by form, check digit and dictionary."""

from lepton.data.quality.personal.find import PersonalData, PersonalFinding, find_personal

__all__ = ["PersonalData", "PersonalFinding", "find_personal"]
