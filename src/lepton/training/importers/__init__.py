"""Foreign models as bundles: each framework has an importer, and each import is checked against the original."""

from lepton.training.importers.base import IMPORTERS, Importer
from lepton.training.importers.run import ImportResult, import_model

__all__ = ["IMPORTERS", "ImportResult", "Importer", "import_model"]
