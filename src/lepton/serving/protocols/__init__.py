"""What the server says: protocols as functions from a request to a response, without sockets."""

import importlib
from typing import TYPE_CHECKING, Any

from lepton.serving.protocols.base import Request, Response

if TYPE_CHECKING:
    from lepton.serving.protocols.oip import ROUTES, InferenceProtocol, Route

__all__ = ["ROUTES", "InferenceProtocol", "Request", "Response", "Route"]


def __getattr__(name: str) -> Any:
    """Imports what knows models when it is first asked for: the process of a service knows none."""
    if name not in __all__:
        raise AttributeError(f"module 'lepton.serving.protocols' has no attribute {name!r}")
    return getattr(importlib.import_module("lepton.serving.protocols.oip"), name)
