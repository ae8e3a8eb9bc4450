"""Lepton: from a table to a model that answers. Every name is imported on first use; `__init__.pyi` has their types."""

import importlib

_HOMES = {
    "lepton.client": "Client",
    "lepton.core": "LeptonError Resources Work",
    "lepton.data": "Dataset",
    "lepton.data.labelling": "consensus_labels find_leakage measure_agreement unify_labels",
    "lepton.data.media.convert": "FileSteps",
    "lepton.data.recipes": "Recipe",
    "lepton.models": "LeptonNet",
    "lepton.serving.services": "Service method",
    "lepton.training.estimators": "KMeans LinearRegression LogisticRegression Ridge",
    "lepton.training.trainer": "Trainer",
    "lepton.verbs": "Model accelerate card check compare compress describe diff evaluate explain export "
    "find_label_errors forget import_model load predict profile read search serve suggest train verify versions",
    "lepton.version": "__version__",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)  # noqa: PLE0605 - one list of names, not two


def __getattr__(name):  # noqa: ANN001, ANN202 - typed in __init__.pyi
    if name not in _HOME:
        raise AttributeError(f"module 'lepton' has no attribute {name!r}; it has " + ", ".join(__all__))
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():  # noqa: ANN202
    return sorted(set(globals()) | set(__all__))
