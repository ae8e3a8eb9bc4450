"""`lepton train --report`: the page of the model beside it, and doubts said aloud."""

import numpy as np
import polars as pl

TYPED = ("--target", "y", "--learners", "linear")


def leaky(path):
    rng = np.random.default_rng(0)
    y = rng.normal(size=300).round(4)
    pl.DataFrame({"size": rng.normal(size=300), "paid": y * 2.0 + 0.5, "y": y}).write_csv(path)


def test_a_page_is_written_and_a_leak_is_said(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leaky("table.csv")
    code, envelope = call("train", "table.csv", *TYPED, "--report", "page.html")
    assert code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What makes the score doubtful" in page
    assert "--ignore paid" in page
    assert [doubt["what"] for doubt in envelope["result"]["doubts"]] == ["leakage"]
    assert any(note.startswith("doubtful: 'paid' alone") for note in envelope["notes"])


def test_a_page_that_cannot_be_written_leaves_the_model(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leaky("table.csv")
    code, envelope = call("train", "table.csv", *TYPED, "--report", "nowhere/page.html")
    assert code != 0
    assert "nowhere" in envelope["error"]["message"]
    assert (tmp_path / "table.lepton").exists()
