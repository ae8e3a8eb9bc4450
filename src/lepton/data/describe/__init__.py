"""Describing a table: counts, distributions, relations to the target and what to look at, in one pass."""

from lepton.data.describe.description import Description, describe
from lepton.data.describe.findings import Finding
from lepton.data.describe.records import ColumnDescription, Histogram
from lepton.data.describe.relations import Relation

__all__ = ["ColumnDescription", "Description", "Finding", "Histogram", "Relation", "describe"]
