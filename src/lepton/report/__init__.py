"""Figures, tables and pages as self-contained HTML and SVG: no script, nothing from outside, light and dark."""

from lepton.report.figures import bars, heatmap, histogram, lines, scatter, small_histogram
from lepton.report.frame import Figure, plural
from lepton.report.numbers import show_number, show_share, show_time
from lepton.report.page import Block, Facts, Page, Table, Text
from lepton.report.plain import plain_table
from lepton.report.progress import TerminalProgress

__all__ = [
    "Block",
    "Facts",
    "Figure",
    "Page",
    "Table",
    "TerminalProgress",
    "Text",
    "bars",
    "heatmap",
    "histogram",
    "lines",
    "plain_table",
    "plural",
    "scatter",
    "show_number",
    "show_share",
    "show_time",
    "small_histogram",
]
