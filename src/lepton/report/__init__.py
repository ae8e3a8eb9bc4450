"""Figures, tables and pages as self-contained HTML and SVG: no script, nothing from outside, light and dark."""

from lepton.report.clouds import clouds
from lepton.report.figures import bars, heatmap, histogram, lines, scatter, small_histogram
from lepton.report.frame import Figure, plural
from lepton.report.gallery import Gallery, Thumbnail, waveform
from lepton.report.numbers import show_number, show_share, show_time
from lepton.report.page import Block, Facts, Page, Points, Table, Text, show_value
from lepton.report.pairs import flow, overlaid, paired_bars
from lepton.report.places import place_map
from lepton.report.plain import plain_table
from lepton.report.progress import TerminalProgress

__all__ = [
    "Block",
    "Facts",
    "Figure",
    "Gallery",
    "Page",
    "Points",
    "Table",
    "TerminalProgress",
    "Text",
    "Thumbnail",
    "bars",
    "clouds",
    "flow",
    "heatmap",
    "histogram",
    "lines",
    "overlaid",
    "paired_bars",
    "place_map",
    "plain_table",
    "plural",
    "scatter",
    "show_number",
    "show_share",
    "show_time",
    "show_value",
    "small_histogram",
    "waveform",
]
