"""The plug-in registry: names to loaders, nothing imported until used; built-ins register like third parties."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from lepton.core.errors import ErrorCode, LeptonError, UsageError
from lepton.core.imports import shared_process
from lepton.core.lazy import LazyModule

__all__ = ["Registry"]

_metadata = LazyModule("importlib.metadata")


class Registry:
    """Names of one group of plug-ins (`"learners"`, `"steps"`, `"readers"`), each with the address of its object.

    An address is `"package.module:attribute"`. Third parties add names through the entry-point group
    `lepton.<group>`; a name that is taken by a built-in is refused, so nobody can shadow one.

    >>> steps = Registry("example-steps", {"join": "os.path:join"})
    >>> steps.names()
    ('join',)
    >>> steps.load("join")("a", "b")
    'a/b'
    """

    def __init__(self, group: str, builtin: dict[str, str]) -> None:
        self.group = group
        self._builtin = dict(builtin)
        self._addresses: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._addresses is None:
            addresses = dict(self._builtin)
            for point in _metadata.entry_points(group=f"lepton.{self.group}"):
                if addresses.setdefault(point.name, point.value) != point.value:
                    raise UsageError(
                        ErrorCode.UNKNOWN_PLUGIN,
                        f"two plug-ins want the name {point.name!r} in {self.group}: "
                        f"{addresses[point.name]} and {point.value}",
                        fix="uninstall one of the two packages",
                    )
            self._addresses = addresses
        return self._addresses

    def names(self) -> tuple[str, ...]:
        """All names, built-in first, in the order registered."""
        return tuple(self._all())

    def address(self, name: str) -> str:
        """The address registered under `name`, or `UsageError` naming the closest."""
        addresses = self._all()
        if name not in addresses:
            close = difflib.get_close_matches(str(name), addresses, n=1)
            raise UsageError(
                ErrorCode.UNKNOWN_PLUGIN,
                f"there is no {name!r} among the {self.group}",
                wanted="one of " + ", ".join(addresses),
                fix=f"did you mean {close[0]!r}?" if close else "",
            )
        return addresses[name]

    def load(self, name: str) -> Any:
        """Import and return the object registered under `name`; `UsageError` if its address leads nowhere."""
        address = self.address(name)
        module, _, attribute = address.partition(":")
        if not module.startswith("lepton."):
            shared_process()
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except LeptonError:
            raise  # such as a missing extra, which says itself what to do
        except (ImportError, AttributeError) as error:
            raise UsageError(
                ErrorCode.UNKNOWN_PLUGIN,
                f"the plug-in {name!r} of {self.group} ({address}) cannot be loaded: {error}",
                fix="update or uninstall the package that registered it",
            ) from error
        return found
