"""The public surface: every name works in a fresh interpreter, whatever was imported before."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lepton
import lepton_ai

_HEAVY = (
    "torch",
    "keras",
    "sklearn",
    "lightgbm",
    "onnx",
    "pandas",
    "pyarrow",
    "scipy",
    "polars",
    "onnxruntime",
    "numpy",
)


def _fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_names_are_sorted_and_importable():
    assert lepton.__all__ == sorted(lepton.__all__)
    for name in lepton.__all__:
        assert getattr(lepton, name) is getattr(lepton_ai, name)
    assert set(lepton.__all__) <= set(dir(lepton))


def test_every_public_name_twice_in_a_fresh_interpreter_and_after_importing_every_module():
    out = _fresh(
        """
        import importlib, pkgutil
        import lepton
        first = {name: getattr(lepton, name) for name in lepton.__all__}
        again = {name: getattr(lepton, name) for name in lepton.__all__}
        for module in pkgutil.walk_packages(lepton.__path__, "lepton."):
            importlib.import_module(module.name)
        after = {name: getattr(lepton, name) for name in lepton.__all__}
        assert first == again == after
        assert all(callable(value) or isinstance(value, str) for value in after.values())
        print(len(after))
        """
    )
    assert int(out) == len(lepton.__all__)


def test_the_stub_names_what_there_is():
    stub = (Path(lepton.__file__).parent / "__init__.pyi").read_text("utf-8")
    assert sorted(re.findall(r"(\w+) as \1", stub)) == lepton.__all__


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"'trian'.*train"):
        getattr(lepton, "trian")  # noqa: B009


def test_importing_lepton_loads_no_library():
    out = _fresh("import sys, lepton; print(*sorted(m.partition('.')[0] for m in sys.modules))")
    assert not set(_HEAVY) & set(out.split())


def test_both_names_give_the_same_modules():
    _fresh(
        """
        import lepton_ai.core.errors, lepton.core.errors, lepton_ai.verbs
        import lepton.verbs
        assert lepton_ai.core.errors is lepton.core.errors
        assert lepton_ai.verbs.train is lepton.train is lepton_ai.train
        assert lepton.core.errors.__spec__.name == "lepton.core.errors"
        """
    )
