"""Tables: read from anywhere with every decision shown, described, split, and prepared; larger than memory too."""

from lepton.data.dataset import Dataset
from lepton.data.decisions import DecisionRecord, Decisions
from lepton.data.describe import Description
from lepton.data.formats.origins import safe_address
from lepton.data.read import read
from lepton.data.statistics import Baseline, ColumnStatistics
from lepton.data.write import WRITERS, write_frame, write_rows

__all__ = [
    "WRITERS",
    "Baseline",
    "ColumnStatistics",
    "Dataset",
    "DecisionRecord",
    "Decisions",
    "Description",
    "read",
    "safe_address",
    "write_frame",
    "write_rows",
]
