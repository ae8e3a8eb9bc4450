"""The contract: given the same tensors, plain onnxruntime in the C locale gives the answers of `Predictor`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import TableInputs, open_model
from tests.bundle.bundles import ROWS, make_binary_bundle, make_regression_bundle

# What a stranger would write who has nothing but the graph, the tensors and onnxruntime.
STRANGER = """
import sys
import numpy as np
import onnxruntime

graph, numbers, strings, out = sys.argv[1:]
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
strings = np.load(strings)
tensors = {"numbers": np.load(numbers), "strings": strings.astype(object)}
answers = dict(zip((output.name for output in session.get_outputs()), session.run(None, tensors)))
np.savez(out, **{name: a.astype(str) if a.dtype == object else a for name, a in answers.items()})
"""


@pytest.mark.parametrize("make", [make_regression_bundle, make_binary_bundle])
def test_plain_onnxruntime_gives_the_same_answers(make: object, tmp_path: Path) -> None:
    make(tmp_path / "m.lepton")  # type: ignore[operator]
    model = open_model(tmp_path / "m.lepton")
    rows = pl.concat([ROWS, ROWS.with_columns(pl.lit("e\u0301").alias("town"), pl.lit(np.inf).alias("rooms"))])
    assert isinstance(model.inputs, TableInputs)
    tensors = model.inputs.tensors(rows)
    assert np.isnan(tensors["numbers"]).any()
    (tmp_path / "model.onnx").write_bytes(model.bundle.graph)
    np.save(tmp_path / "numbers.npy", tensors["numbers"])
    np.save(tmp_path / "strings.npy", tensors["strings"].astype(str))
    files = ["model.onnx", "numbers.npy", "strings.npy", "answers.npz"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    subprocess.run(
        [sys.executable, "-c", STRANGER, *files],
        cwd=tmp_path,
        env=environment | {"LC_ALL": "C", "LANG": "C"},
        check=True,
        timeout=60,
    )
    answers = np.load(tmp_path / "answers.npz")
    expected = model.outputs(rows)
    assert list(answers) == list(expected)
    for name, values in expected.items():
        assert answers[name].tolist() == values.tolist(), name
