"""`lepton import`: the envelope, exit codes, and where the model goes."""

import pickle

import numpy as np
import pytest

from lepton.bundle import open_model

lightgbm = pytest.importorskip("lightgbm")


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """A text model of LightGBM in the folder of the call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lepton.training.importers.native.why_not", lambda: "a quick test")
    rows = np.random.default_rng(0).normal(size=(60, 2))
    data = lightgbm.Dataset(rows, rows[:, 0] > 0)
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    lightgbm.train(parameters, data, 2).save_model("trees.txt")
    return tmp_path


def test_a_file_becomes_a_model_file_beside_it(call, trees):
    code, envelope = call(
        "import", "trees.txt", "--label", "no", "--label", "yes", "--target", "sold", "--name", "mine"
    )
    assert (code, envelope["command"]) == (0, "import")
    found = envelope["result"]
    assert (found["output"], found["framework"]) == ("trees.lepton", "lightgbm")
    assert found["report"]["largest"] <= 1e-12
    opened = open_model(trees / "trees.lepton")
    assert (opened.model_id, opened.labels, opened.manifest.name) == (found["model_id"], ("no", "yes"), "mine")
    assert opened.bundle.reports["import"]["differences"] == found["report"]["differences"]


@pytest.mark.parametrize(
    ("words", "exit_code", "error"),
    [
        (("trees.txt", "--tolerance", "-1"), 10, "check-failed"),
        (("trees.txt", "--framework", "onnx"), 2, "usage"),
        (("missing.txt",), 3, "not-found"),
        (("trees.pkl",), 4, "untrusted"),
        (("trees.txt", "--label", "one"), 2, "usage"),
    ],
    ids=str,
)
def test_refusals_have_their_exit_codes(words, exit_code, error, call, trees):
    (trees / "trees.pkl").write_bytes(pickle.dumps({}))
    code, envelope = call("import", *words, "-o", "out.lepton")
    assert (code, envelope["error"]["code"]) == (exit_code, error)
    assert not (trees / "out.lepton").exists()
