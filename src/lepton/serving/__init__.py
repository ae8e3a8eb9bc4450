"""Models behind an address: the Open Inference Protocol and plain JSON rows over HTTP, guarded and bounded."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton.serving.guard import Guard, new_token
    from lepton.serving.http import Limits
    from lepton.serving.model_store import ModelState, ModelStore, named
    from lepton.serving.processes.supervise import supervise
    from lepton.serving.repository import Repository
    from lepton.serving.server import Server, serve
    from lepton.serving.services.process import is_service
    from lepton.serving.sources import Sources
    from lepton.serving.tls import Tls
    from lepton.serving.token_file import read_token
    from lepton.serving.watching.logs import log_as_json

__all__ = [
    "Guard",
    "Limits",
    "ModelState",
    "ModelStore",
    "Repository",
    "Server",
    "Sources",
    "Tls",
    "is_service",
    "log_as_json",
    "named",
    "new_token",
    "read_token",
    "serve",
    "supervise",
]

# The process of a service imports a part of this room, and not the servers and models that it has no use for.
_HOMES = {
    "guard": "Guard new_token",
    "http": "Limits",
    "model_store": "ModelState ModelStore named",
    "processes.supervise": "supervise",
    "repository": "Repository",
    "server": "Server serve",
    "services.process": "is_service",
    "sources": "Sources",
    "tls": "Tls",
    "token_file": "read_token",
    "watching.logs": "log_as_json",
}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first asked for."""
    for module, names in _HOMES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"lepton.serving.{module}"), name)
    raise AttributeError(f"module 'lepton.serving' has no attribute {name!r}")
