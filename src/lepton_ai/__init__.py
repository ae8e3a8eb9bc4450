"""The modules of `lepton` under the name of the distribution: the same objects, not copies.

>>> import lepton.core, lepton_ai.core
>>> lepton_ai.core is lepton.core
True
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import lepton

__all__ = lepton.__all__


class _SameModules(MetaPathFinder, Loader):
    """Finds `lepton_ai.x` as the module `lepton.x` itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("lepton_ai."):
            return None
        found = importlib.util.find_spec(_twin(fullname))
        return (
            None
            if found is None
            else ModuleSpec(fullname, self, is_package=found.submodule_search_locations is not None)
        )

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_twin(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back, which the import system has just replaced."""
        alias = module.__spec__
        if alias is not None:
            module.__spec__ = alias.loader_state


def _twin(name: str) -> str:
    return "lepton" + name.removeprefix("lepton_ai")


def __getattr__(name: str) -> Any:
    return getattr(lepton, name)


def __dir__() -> list[str]:
    return dir(lepton)


sys.meta_path.insert(0, _SameModules())
