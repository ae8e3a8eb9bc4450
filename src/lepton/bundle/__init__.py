"""The model file: written whole, checked whole before use, and opened without running anything from it."""

from lepton.bundle.check import CheckRecord, CheckReport, check_bundle
from lepton.bundle.files import Bundle, add_report, extract_bundle, read_bundle, write_bundle
from lepton.bundle.manifest import Manifest, MemberRecord, OutputRecord
from lepton.bundle.migrate import migrate_bundle

__all__ = [
    "Bundle",
    "CheckRecord",
    "CheckReport",
    "Manifest",
    "MemberRecord",
    "OutputRecord",
    "add_report",
    "check_bundle",
    "extract_bundle",
    "migrate_bundle",
    "read_bundle",
    "write_bundle",
]
