"""Models for other runtimes: written, opened by what will run them, compared with the original, or refused with why."""

from lepton.optimization.export.base import EXPORTERS, Checked, Exporter, Options, Subject
from lepton.optimization.export.run import ExportResult, export

__all__ = ["EXPORTERS", "Checked", "ExportResult", "Exporter", "Options", "Subject", "export"]
