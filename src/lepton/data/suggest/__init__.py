"""Which steps would clean a table: each with its reason and its count, nothing changed."""

from lepton.data.suggest.outliers import far_values
from lepton.data.suggest.suggest import Suggestion, Suggestions, suggest

__all__ = ["Suggestion", "Suggestions", "far_values", "suggest"]
