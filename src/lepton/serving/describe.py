"""What the server shows of itself: its OpenAPI document, and the page to try a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lepton.serving.model_store import ModelState, ServedModel
from lepton.serving.openapi import describe_server
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.routes import Route
from lepton.serving.strict_json import dump
from lepton.serving.try_page import HTML, PAGE, POLICY

__all__ = ["Describer", "try_page"]

_PAGE = Response(200, PAGE.encode(), HTML, (("content-security-policy", POLICY), ("referrer-policy", "no-referrer")))


class Describer:
    """Describes a server; the description is made again only when its models have changed.

    Args:
        routes: the addresses of the server.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._made: tuple[list[tuple[ServedModel, ModelState]], bytes] = ([], b"")

    def openapi(self, models: Iterable[ServedModel]) -> bytes:
        """The OpenAPI document as JSON.

        Args:
            models: the version of each model that answers where a request names none.
        """
        shown = [(model, model.state) for model in models]
        made_of, made = self._made
        if made and made_of == shown:
            return made
        document = dump(describe_server(self._routes, [model for model, _ in shown]))
        self._made = shown, document
        return document


def try_page(_: Request, **__: str) -> Response:
    """The page to try a model: the same for every model, as it asks the server for the columns itself."""
    return _PAGE
