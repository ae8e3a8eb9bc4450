"""What an address of the server is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """One address.

    Attributes:
        method: `GET` (which answers `HEAD` too) or `POST`.
        pattern: the path, with `{model}` and `{version}` for what varies.
        does: what it answers, in a sentence.
        control: whether it changes what is served, or tells of it, and so needs a token whatever the address.
        tables: whether it takes tables and forms beside JSON.
        service: whether services answer it, on the server's loop.
        open: whether it is answered without a token, as it tells nothing of the server.
    """

    method: str
    pattern: str
    does: str
    control: bool = False
    tables: bool = False
    open: bool = False
    service: bool = False
