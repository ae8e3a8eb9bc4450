"""Lepton: from a table to a model that answers. Every name is imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton.client import Client as Client
    from lepton.core import LeptonError as LeptonError, Resources as Resources, Work as Work
    from lepton.data import Dataset as Dataset
    from lepton.verbs import (
        Model as Model,
        compare as compare,
        describe as describe,
        evaluate as evaluate,
        load as load,
        predict as predict,
        read as read,
        serve as serve,
        train as train,
    )
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
