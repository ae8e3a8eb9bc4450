"""KServe's client, unchanged: a conformance test of the Open Inference Protocol.

It is run by this interpreter if that has `kserve`, else by the one that `LEPTON_KSERVE_PYTHON` names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import Predictor
from lepton.serving import Server

NUMBERS = [[1.0, 0.0], [2.5, 1.0]]
STRINGS = [["Basel"], ["京都"]]


def test_kserves_client_gets_the_answers_of_the_model(bundles: dict[str, Path], sold: Predictor) -> None:
    python = os.environ.get("LEPTON_KSERVE_PYTHON")
    if python is None and importlib.util.find_spec("kserve") is None:
        pytest.skip("kserve is not installed, and LEPTON_KSERVE_PYTHON names no interpreter that has it")
    values = json.dumps({"numbers": NUMBERS, "strings": STRINGS})
    with Server({"sold": bundles["sold"]}, port=0, grpc_port=0) as server:
        script = Path(__file__).with_name("kserve_calls.py")
        command = [python or sys.executable, str(script), server.url, f"127.0.0.1:{server.grpc_port}", values]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["rest_ready"] == [True, True, True, False]
    assert found["grpc_ready"] == [True, True, True]
    own = sold.run({"numbers": np.array(NUMBERS), "strings": np.array(STRINGS, dtype=object)})
    for form in ("rest_json", "rest_binary", "grpc_typed", "grpc_raw"):
        assert found[form] == {
            "id": "7",
            "model": "sold",
            "version": "1" if form.startswith("grpc") else None,  # over REST the client itself leaves it out
            "prediction": own["prediction"].tolist(),
            "probabilities": own["probabilities"].tolist(),
        }
    assert "there is no model 'nobody'" in found["rest_refused"]
    assert "404" in found["rest_refused"]
    assert "NOT_FOUND" in found["grpc_refused"]
