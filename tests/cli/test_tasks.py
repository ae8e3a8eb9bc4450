"""Quantiles, several labels, rankings and a coverage from the command line, and over HTTP."""

import json

import numpy as np
import polars as pl
import pytest

from lepton.serving import ModelStore
from lepton.serving.protocols import InferenceProtocol, Request

ASKED = {
    "quantile": ("--target", "y", "--quantiles", "0.9", "--quantiles", "0.1"),
    "multilabel": ("--target", "high", "--target", "low"),
    "ranking": ("--target", "grade", "--group", "query"),
    "multiclass": ("--target", "grade", "--coverage", "0.8", "--learners", "linear"),
}
LEFT_OUT = {
    "quantile": ("high", "low", "grade", "query"),
    "multilabel": ("y", "grade", "query"),
    "ranking": ("y", "high", "low"),
    "multiclass": ("y", "high", "low", "query"),
}
COLUMNS = {
    "quantile": ["prediction", "lower", "upper", "quantile_0.1", "quantile_0.9"],
    "multilabel": ["prediction_high", "prediction_low", "probability_high", "probability_low"],
    "ranking": ["score"],
    "multiclass": ["prediction", *(f"probability_{k}" for k in range(3)), *(f"set_{k}" for k in range(3))],
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 240)).round(3)
    y = (a + 0.3 * rng.normal(size=240)).round(3)
    grade = np.digitize(y, [-0.5, 0.5])
    query = [f"q{number}" for number in np.arange(240) // 8]
    return pl.DataFrame({"a": a, "b": b, "y": y, "high": y > 0.4, "low": y < -0.3, "grade": grade, "query": query})


@pytest.mark.parametrize("task", ASKED)
def test_from_a_table_to_answers(task, rows, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows.drop(LEFT_OUT[task]).write_csv("rows.csv")
    code, envelope = call("train", "rows.csv", "--task", task, *ASKED[task], "--within", "60s", "--effort", "fast")
    assert code == 0, envelope["error"]
    assert envelope["result"]["task"] == task
    code, _ = call("predict", "rows.lepton", "rows.csv", "-o", "answers.csv")
    assert code == 0
    answers = pl.read_csv("answers.csv")
    assert answers.columns == COLUMNS[task]
    code, envelope = call("evaluate", "rows.lepton", "rows.csv")
    assert code == 0, envelope["error"]
    if task in {"quantile", "multiclass"}:
        assert envelope["result"]["coverage"]["stated"] == 0.8

    store = ModelStore({"rows": tmp_path / "rows.lepton"})
    store.open_all()
    protocol = InferenceProtocol(store)
    asked = json.dumps(rows.select("a", "b").head(3).to_dicts()).encode()
    served = json.loads(protocol.answer(Request("POST", "/v2/models/rows/rows", body=asked)).body)
    first = answers.row(0, named=True)
    if task == "multilabel":
        assert served["predictions"][0] == {"high": first["prediction_high"], "low": first["prediction_low"]}
        assert served["probabilities"][0]["low"] == pytest.approx(first["probability_low"], abs=1e-12)
    elif task == "quantile":
        assert served["quantiles"][0] == pytest.approx([first["quantile_0.1"], first["quantile_0.9"]], abs=1e-12)
        assert served["lower"][0] == pytest.approx(first["lower"], abs=1e-12)
    elif task == "ranking":
        assert served["predictions"] == pytest.approx(answers["score"].head(3).to_list(), abs=1e-12)
    else:
        assert served["sets"][0] == [str(k) for k in range(3) if first[f"set_{k}"]]
        tensor = {"name": "numbers", "datatype": "FP64", "shape": [1, 2], "data": list(rows.select("a", "b").row(0))}
        body = json.dumps({"inputs": [tensor]}).encode()
        infer = json.loads(protocol.answer(Request("POST", "/v2/models/rows/infer", body=body)).body)
        given = {output["name"]: output for output in infer["outputs"]}
        assert (given["set"]["datatype"], given["set"]["shape"]) == ("INT64", [1, 3])


def test_what_is_refused(rows, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows.write_csv("rows.csv")
    for words, told in (
        (("--target", "y", "--coverage", "0"), "coverage=0.9"),
        (("--target", "y", "--quantiles", "0.5"), ""),
        (("--target", "high", "--target", "low", "--task", "binary"), ""),
        (("--target", "grade", "--task", "ranking"), "--group"),
    ):
        code, envelope = call("train", "rows.csv", *words, "--within", "5s")
        assert code == (2 if "ranking" not in words else 3), words
        assert told in envelope["error"]["fix"]
