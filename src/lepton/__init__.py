"""Lepton: from a table to a model that answers. Every name is imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton.client import Client as Client
    from lepton.core import LeptonError as LeptonError
    from lepton.core import Resources as Resources
    from lepton.core import Work as Work
    from lepton.data import Dataset as Dataset
    from lepton.verbs import Model as Model
    from lepton.verbs import compare as compare
    from lepton.verbs import describe as describe
    from lepton.verbs import evaluate as evaluate
    from lepton.verbs import load as load
    from lepton.verbs import predict as predict
    from lepton.verbs import read as read
    from lepton.verbs import serve as serve
    from lepton.verbs import train as train
    from lepton.version import __version__ as __version__

_HOMES = {
    "lepton.client": "Client",
    "lepton.core": "LeptonError Resources Work",
    "lepton.data": "Dataset",
    "lepton.verbs": "Model compare describe evaluate load predict read serve train",
    "lepton.version": "__version__",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lepton' has no attribute {name!r}; it has " + ", ".join(__all__))
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
