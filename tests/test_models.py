from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")


def test_both_names_are_one_class():
    from lepton_ai.models import LeptonNet as Twin  # type: ignore[import-untyped]

    import lepton
    from lepton.models import LeptonNet

    assert LeptonNet is Twin is lepton.LeptonNet


def test_without_torch_the_message_says_what_to_install():
    code = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a)\n"
        "import lepton\n"
        "try: lepton.LeptonNet\n"
        "except lepton.LeptonError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lepton-ai[deep]" in done.stdout
