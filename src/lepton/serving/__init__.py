"""Models behind an address: the Open Inference Protocol and plain JSON rows over HTTP, guarded and bounded."""

from lepton.serving.guard import Guard, new_token
from lepton.serving.http import Limits
from lepton.serving.model_store import ModelState, ModelStore, named
from lepton.serving.repository import Repository
from lepton.serving.server import Server, serve
from lepton.serving.services.process import is_service
from lepton.serving.sources import Sources

__all__ = [
    "Guard",
    "Limits",
    "ModelState",
    "ModelStore",
    "Repository",
    "Server",
    "Sources",
    "is_service",
    "named",
    "new_token",
    "serve",
]
