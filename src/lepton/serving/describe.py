"""What the server shows of itself: its OpenAPI document, and the page to try a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lepton.serving.model_store import ServedModel
from lepton.serving.openapi import describe_server
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.routes import Route
from lepton.serving.strict_json import dump
from lepton.serving.try_page import HTML, PAGE, POLICY
from lepton.version import __version__

__all__ = ["SERVER", "Describer", "try_page"]

SERVER = {"name": "lepton", "version": __version__}
"""What this server is."""

_PAGE = Response(200, PAGE.encode(), HTML, (("content-security-policy", POLICY), ("referrer-policy", "no-referrer")))


class Describer:
    """Describes a server; the description is made again only when its models have changed.

    Args:
        routes: the addresses of the server.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._made: tuple[object, bytes] = (None, b"")

    def openapi(self, models: Iterable[ServedModel], services: Mapping[str, Mapping[str, Any]] | None = None) -> bytes:
        """The OpenAPI document as JSON.

        Args:
            models: the version of each model that answers where a request names none.
            services: methods of services, with what they take and give.
        """
        shown = [(model, model.state) for model in models]
        told = (shown, services)
        made_of, made = self._made
        if made and made_of == told:
            return made
        document = dump(describe_server(self._routes, [model for model, _ in shown], services))
        self._made = told, document
        return document


def try_page(_: Request, **__: str) -> Response:
    """The page to try a model: the same for every model, as it asks the server for the columns itself."""
    return _PAGE
