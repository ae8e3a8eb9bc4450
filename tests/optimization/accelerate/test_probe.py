"""The program of a child: requests in, answers out, and nothing of Lepton in it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from lepton.bundle import read_bundle
from lepton.core import LeptonError, Resources
from lepton.optimization.accelerate import probe
from lepton.optimization.accelerate.child import Child, ChildContestant


def test_it_needs_onnxruntime_alone() -> None:
    tree = ast.parse(Path(probe.__file__).read_text("utf-8"))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in named for alias in node.names} | {getattr(node, "module", None) for node in named}
    assert not any(str(name).startswith("lepton") for name in names)


def test_a_graph_is_opened_answered_and_timed(model: Path, tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(read_bundle(model).graph)
    with Child(None, Resources(cpus=1)) as child:
        assert child.ask({"do": "about"})["onnxruntime"] == onnxruntime.__version__
        child.send_rows({"numbers": np.array([[10.0, 0.0, 0.0], [0.0, 1.0, 0.0]])})
        request = {"do": "open", "graph": str(graph), "providers": ["CPUExecutionProvider"], "threads": 1}
        number = child.ask(request)["id"]
        assert child.answers(number)["prediction"].tolist() == [1.0, -3.0]
        assert ChildContestant("cpu", child, number, 3, 1).block() > 0
        with pytest.raises(LeptonError, match="NO_SUCHFILE"):
            child.ask({**request, "graph": str(tmp_path / "none.onnx")})
        assert child.answers(number)["prediction"].tolist() == [1.0, -3.0], "a refusal is no end"
