"""What the server says: protocols as functions from a request to a response, without sockets."""

from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.oip import ROUTES, InferenceProtocol, Route

__all__ = ["ROUTES", "InferenceProtocol", "Request", "Response", "Route"]
