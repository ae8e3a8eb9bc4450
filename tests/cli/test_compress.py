"""`lepton compress`: a smaller model file, exit codes, and the claims measured again."""

import json

import pytest

import lepton
from lepton.bundle import add_report
from tests.optimization.lean.ballast import parcels, write_heavy
from tests.optimization.lean.conftest import made_steps

__all__ = ["made_steps"]


@pytest.fixture
def folder(tmp_path, monkeypatch, made_steps):
    monkeypatch.chdir(tmp_path)
    write_heavy(tmp_path / "heavy.lepton")
    parcels().write_csv("rows.csv")
    return tmp_path


def test_smaller_and_measured_again(folder, call):
    words = ["compress", "heavy.lepton", "--data", "rows.csv"]
    code, told = call(*words, "--max-loss", "0.02", "--step", "cut", "--report", "page.html")
    assert code == 0
    assert told["result"]["model"] == "heavy-lean.lepton"
    assert told["result"]["compression"]["kept"]
    assert "<svg" in (folder / "page.html").read_text("utf-8")

    parcels(3_000, seed=9).write_csv("new.csv")
    again = ["compress", "heavy-lean.lepton", "--recheck", "--data", "new.csv"]
    for more in ([], ["--original", "heavy.lepton"]):
        code, told = call(*again, *more)
        assert code == 0
        assert told["result"]["claims"][0]["name"] == "max_loss"
        assert told["result"]["num_rows"] == 3_000
    code, told = call("compress", "heavy.lepton", "--recheck", "--data", "new.csv")
    assert code == 2
    assert "no report of a compression" in told["error"]["message"]

    # a model whose file claims what is not so
    report = dict(lepton.load("heavy-lean.lepton").reports()["compression"])
    report["loss"] = {**report["loss"], "original": 0.999}
    add_report("heavy-lean.lepton", "compression", json.loads(json.dumps(report)))
    code, told = call(*again)
    assert code == 5
    assert told["result"]["broken"] == ["max_loss"]


def test_a_budget_that_is_missed(folder, call):
    words = ["compress", "heavy.lepton", "--data", "rows.csv", "--step", "cut"]
    code, told = call(*words, "--max-size", "1KB", "-o", "best.lepton")
    assert code == 5
    assert "the best is saved in best.lepton" in told["error"]["fix"]
    assert (folder / "best.lepton").is_file()
    code, told = call("compress", "heavy.lepton", "--data", "rows.csv", "--original", "heavy.lepton")
    assert code == 2
