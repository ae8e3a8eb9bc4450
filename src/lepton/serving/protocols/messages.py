"""The protocol's messages as classes of protobuf, which is an optional library."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from lepton.core import MissingExtraError
from lepton.serving.protocols.open_inference import DESCRIPTION

__all__ = ["SERVICE", "message_class"]

SERVICE = "inference.GRPCInferenceService"
"""Name of the service, as it stands in the address of each call."""


@cache
def message_class(name: str) -> Any:
    """The class of a message of the protocol, such as `ModelInferRequest`.

    The classes live in a pool of their own: a client in the same process, such as `tritonclient`, has others of the
    same names in the pool that all share, and protobuf allows each name once.

    Raises:
        MissingExtraError: protobuf is not installed.
    """
    try:
        from google.protobuf.message_factory import GetMessageClass
    except ImportError:
        raise MissingExtraError("protobuf", "grpc", "serving over gRPC") from None
    return GetMessageClass(_pool().FindMessageTypeByName(f"inference.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    pool.AddSerializedFile(base64.b64decode(DESCRIPTION))
    return pool
