"""Sessions of a bundle's graph, with the settings that its reports hold."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import Bundle, open_model, opening, read_bundle
from lepton.bundle.machines import machine_type
from lepton.bundle.settings import RuntimeSettings
from lepton.core import BundleError, Resources
from tests.bundle.small import REPORT, write_small

TENSORS = {"numbers": np.array([[1.0, 2.0]]), "strings": np.array([["a"]], dtype=object)}


@pytest.fixture
def recorded(tmp_path: Path) -> Bundle:
    """A model with settings for this machine."""
    record = {"machine": machine_type(), "settings": {"level": "basic", "arena": False}}
    report = {**REPORT, "machines": [record]}
    write_small(tmp_path / "houses.lepton", reports={"settings": report})
    return read_bundle(tmp_path / "houses.lepton")


def test_a_model_opens_with_what_its_report_holds(recorded: Bundle) -> None:
    predictor = open_model(recorded)
    assert predictor.settings == RuntimeSettings(level="basic", arena=False)
    assert predictor.run(TENSORS)["prediction"].tolist() == [6.0]
    assert open_model(recorded.path, settings=RuntimeSettings()).settings == RuntimeSettings()


def test_settings_that_do_not_work_are_logged_and_left(
    recorded: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = RuntimeSettings.session_options

    def broken(self: RuntimeSettings, resources: Resources) -> object:
        if self != RuntimeSettings():
            raise RuntimeError("no such thing")
        return plain(self, resources)

    monkeypatch.setattr(RuntimeSettings, "session_options", broken)
    with caplog.at_level(logging.WARNING, "lepton.bundle"):
        predictor = open_model(recorded)
    assert predictor.settings == RuntimeSettings()
    assert predictor.run(TENSORS)["prediction"].tolist() == [6.0]
    assert "graph optimisation basic, arena off) do not work here" in caplog.text
    with pytest.raises(BundleError, match="no such thing"):  # who asks for them is told
        open_model(recorded, settings=RuntimeSettings(level="basic"))


def test_a_graph_that_onnxruntime_refuses_is_one_error(recorded: Bundle) -> None:
    with pytest.raises(BundleError, match="cannot open the graph"):
        opening.open_session(recorded, b"none", None, Resources(cpus=1))
