"""The library's public verbs and the `Model` that they give and take: a few lines each, calling the rooms."""

from lepton.verbs.answering import compare, evaluate, predict, serve
from lepton.verbs.compressing import DEFAULT_COMPRESSION, compress
from lepton.verbs.exporting import export
from lepton.verbs.learning import DEFAULT_SEARCH, DEFAULT_WITHIN, import_model, search, train
from lepton.verbs.model import Model, load, rows_for
from lepton.verbs.speed import accelerate, profile
from lepton.verbs.tables import check, describe, diff, find_label_errors, forget, read, suggest, versions
from lepton.verbs.trusting import card, explain, verify

__all__ = [
    "DEFAULT_COMPRESSION",
    "DEFAULT_SEARCH",
    "DEFAULT_WITHIN",
    "Model",
    "accelerate",
    "card",
    "check",
    "compare",
    "compress",
    "describe",
    "diff",
    "evaluate",
    "explain",
    "export",
    "find_label_errors",
    "forget",
    "import_model",
    "load",
    "predict",
    "profile",
    "read",
    "rows_for",
    "search",
    "serve",
    "suggest",
    "train",
    "verify",
    "versions",
]
