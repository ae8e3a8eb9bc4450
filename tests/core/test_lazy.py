"""A lazy module is imported when one of its names is used, and not before."""

from __future__ import annotations

import fractions
import subprocess
import sys

import pytest

from lepton.core.lazy import LazyModule


def test_names_are_those_of_the_module():
    assert LazyModule("fractions").Fraction is fractions.Fraction
    with pytest.raises(AttributeError):
        LazyModule("fractions").nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        LazyModule("lepton.nowhere").anything  # noqa: B018


def test_loading_a_model_imports_neither_training_nor_serving_nor_cryptography():
    code = "import sys, lepton; lepton.load; lepton.Model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "lepton.bundle.model" in loaded
    assert not {"lepton.training", "lepton.serving", "lepton.evaluation", "cryptography"} & set(loaded)
