"""House rules that a short program can check."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import lepton
from lepton.version import __version__

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lepton"
MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = sorted(p.parent.name for p in SOURCE.glob("*/__init__.py"))
COMPOSITION_ROOTS = {"server.py"}


def _constants_then_classes(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "lepton" else set()
            found |= submodules or {node.module}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nobody_imports_the_root_and_no_module_knows_too_many(path: Path):
    inner = {name for name in _imports(path) if name == "lepton" or name.startswith("lepton.")}
    if path != SOURCE / "__init__.py":
        names = {name.split(".")[1] for name in inner if "." in name}
        assert "lepton" not in inner
        assert all((SOURCE / n).is_dir() or (SOURCE / f"{n}.py").is_file() for n in names), names
    if path.name not in COMPOSITION_ROOTS:
        assert len(inner) <= 12, sorted(inner)


def test_the_root_fits_on_a_page():
    assert len((SOURCE / "__init__.py").read_text("utf-8").splitlines()) <= 40


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_names_are_sorted_importable_and_defined_elsewhere(room: str):
    module = importlib.import_module(f"lepton.{room}")
    assert list(module.__all__) == sorted(module.__all__, key=_constants_then_classes)
    for name in module.__all__:
        assert hasattr(module, name)
    tree = ast.parse((SOURCE / room / "__init__.py").read_text("utf-8"))
    defined = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert all(n.name in {"__getattr__", "__dir__"} for n in defined), "an init only exports"


def test_every_module_says_what_it_promises():
    for module in pkgutil.walk_packages(lepton.__path__, "lepton."):
        assert (importlib.import_module(module.name).__doc__ or "").strip(), module.name


def test_the_layers_in_the_docs_are_the_ones_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["id"] == "layers")
    assert "\n".join(layers) in (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_version_stands_in_the_changelog():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_tests_mirror_the_tree():
    rooms = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and not p.name.startswith("_")}
    assert rooms - set(ROOMS) <= {"docs", "package", "scripts", "bench"}
    assert set(ROOMS) <= rooms


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda p: p.stem)
def test_a_decision_is_numbered_and_short(path: Path):
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+", path.stem)
    assert len(path.read_text("utf-8").split()) <= 700
