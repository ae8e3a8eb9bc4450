"""Sessions of a bundle's graph, with the settings that its reports hold."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import Bundle, model, open_model, opening, read_bundle
from lepton.bundle.archive import open_archive, write_archive
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


def _with_flipped_graph(path: Path, *, good_checksum: bool) -> None:
    """Flip a bit of a weight of the graph, so that onnxruntime would take it; the zip's checksums may know of it."""
    with open_archive(path) as archive:
        members = {name: archive.read(name) for name in archive.names}
    place = members["model.onnx"].index(np.full(1, 2.0).tobytes()) + 6
    graph = bytearray(members["model.onnx"])
    graph[place] ^= 1
    if good_checksum:
        with path.open("wb") as file:
            write_archive(file, {name: [data] for name, data in (members | {"model.onnx": bytes(graph)}).items()})
    else:
        path.write_bytes(path.read_bytes().replace(members["model.onnx"], bytes(graph)))


@pytest.mark.parametrize("good_checksum", [False, True])
def test_onnxruntime_sees_no_graph_that_was_changed(
    good_checksum: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "houses.lepton"
    write_small(path)
    assert open_model(path).run(TENSORS)["prediction"].tolist() == [6.0]
    _with_flipped_graph(path, good_checksum=good_checksum)
    monkeypatch.setattr(model, "open_session", lambda *given: pytest.fail("a session was made"))
    with pytest.raises(BundleError, match="the sha256" if good_checksum else "the checksum"):
        open_model(path)
