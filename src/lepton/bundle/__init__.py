"""The model file: written whole, checked whole before use, opened without running anything from it, and used."""

import importlib
from typing import TYPE_CHECKING, Any

from lepton.bundle.answer_columns import answer_columns, stated_coverage, stated_quantiles, without_embedding
from lepton.bundle.build import GraphBuilder
from lepton.bundle.check import CheckRecord, CheckReport, check_bundle
from lepton.bundle.files import Bundle, add_report, extract_bundle, read_bundle, write_bundle
from lepton.bundle.inputs import Packed, TableInputs
from lepton.bundle.manifest import Manifest, MemberRecord, OutputRecord
from lepton.bundle.measure import LatencyRecord, bundle_size, machine, measure_latency
from lepton.bundle.migrate import migrate_bundle
from lepton.bundle.model import Predictor, open_model
from lepton.bundle.series import SeriesInputs
from lepton.bundle.tensors import TensorInputs, TensorRecord

if TYPE_CHECKING:
    from lepton.bundle.signing import SignatureRecord, SignatureReport, sign_bundle, verify_bundle

__all__ = [
    "Bundle",
    "CheckRecord",
    "CheckReport",
    "GraphBuilder",
    "LatencyRecord",
    "Manifest",
    "MemberRecord",
    "OutputRecord",
    "Packed",
    "Predictor",
    "SeriesInputs",
    "SignatureRecord",
    "SignatureReport",
    "TableInputs",
    "TensorInputs",
    "TensorRecord",
    "add_report",
    "answer_columns",
    "bundle_size",
    "check_bundle",
    "extract_bundle",
    "machine",
    "measure_latency",
    "migrate_bundle",
    "open_model",
    "read_bundle",
    "sign_bundle",
    "stated_coverage",
    "stated_quantiles",
    "verify_bundle",
    "without_embedding",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    """Names of `bundle.signing`, which needs cryptography: for those who ask for signatures."""
    if name not in __all__:
        raise AttributeError(f"module 'lepton.bundle' has no attribute {name!r}")
    return getattr(importlib.import_module("lepton.bundle.signing"), name)
