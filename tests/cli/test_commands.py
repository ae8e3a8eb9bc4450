"""The commands on real files: what they print, write and refuse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lepton.cli.main import run

LIMITED = ("--max-size", "2KB", "--learners", "linear")


def test_train_says_what_it_did(in_folder: Path, call):
    learners = ("--learners", "linear", "--learners", "lightgbm")
    code, envelope = call("train", "houses.csv", "--target", "price", *learners, "-o", "again.lepton")
    assert code == 0
    result = envelope["result"]
    assert result["task"] == "regression"
    assert 0 < result["seconds"] < 62  # without a time it has a minute
    assert {row["learner"] for row in result["leaderboard"]} >= {"baseline", "linear", "lightgbm"}
    assert sum(row["chosen"] for row in result["leaderboard"]) == 1
    assert Path("again.lepton").stat().st_size > 1000


def test_a_limit_that_no_model_keeps_has_its_own_exit_code(in_folder: Path, call):
    code, envelope = call("train", "houses.csv", "--target", "price", *LIMITED, "-o", "least.lepton")
    assert code == 5
    assert envelope["error"]["code"] == "budget-missed"
    assert "max_size is 2 kB, the model needs" in envelope["error"]["message"]
    assert Path("least.lepton").exists()


def test_a_refused_training_leaves_the_earlier_model_alone(in_folder: Path, capsys):
    shutil.copy("houses.lepton", "kept.lepton")
    before = Path("kept.lepton").read_bytes()
    Path("short.csv").write_text("area,price\n1,2\n")
    assert run(["train", "short.csv", "--target", "price", "-o", "kept.lepton"]) == 3
    assert Path("kept.lepton").read_bytes() == before
    assert capsys.readouterr().err.startswith("error (")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 3),
        ("area,price\n", 3),
        ("area,price\n1,2\n", 3),
        ("area,price\n" + "1,5\n" * 50, 3),
        ("area,price\n" + "1,\n" * 50, 3),
        ("area,area,price\n1,2,3\n4,5,6\n", 3),
        ("area,,price\n1,2,3\n4,5,6\n", 3),
        ("a" * 1_000_000 + ",price\n1,2\n", 3),
        ("area,price\n1,2\n1,2,3\n4\n", 3),
        ("area,price\n1,inf\n2,3\n3,inf\n4,4\n", 3),
        ("ar\x00ea,price\n1,2\n3,4\n", 3),
    ],
    ids=[
        "empty",
        "header only",
        "one row",
        "constant",
        "no target",
        "duplicate",
        "nameless",
        "million",
        "ragged",
        "infinite",
        "nul",
    ],
)
def test_tables_that_cannot_be_learned(text, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(text)
    assert run(["train", "bad.csv", "--target", "price", "--within", "5s", "-o", "bad.lepton", "-q"]) == code
    err = capsys.readouterr().err
    assert re.match(r"error \([a-z-]+\): ", err)
    assert "Traceback" not in err
    assert len(err) < 4000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv"]


def test_evaluate_writes_its_page(in_folder: Path, call):
    code, envelope = call("evaluate", "houses.lepton", "houses.csv", "--segment", "town", "--report", "page.html")
    assert code == 0
    rmse = next(m for m in envelope["result"]["metrics"].items() if m[0] == "rmse")[1]
    assert rmse["lower"] <= rmse["value"] <= rmse["upper"]
    page = Path("page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".arrow"])
def test_predict_writes_every_format(in_folder: Path, call, suffix):
    code, envelope = call("predict", "houses.lepton", "houses.csv", "-o", f"out{suffix}", "--keep", "town")
    assert code == 0
    assert envelope["result"]["rows"] == 600
    readers: dict[str, Callable[..., pl.DataFrame]] = {
        ".parquet": pl.read_parquet,
        ".csv": pl.read_csv,
        ".tsv": lambda p: pl.read_csv(p, separator="\t"),
        ".jsonl": pl.read_ndjson,
        ".arrow": pl.read_ipc,
    }
    frame = readers[suffix](f"out{suffix}")
    assert frame.columns == ["town", "prediction"]
    assert frame.height == 600


def test_predict_takes_several_files_and_names_what_it_left_out(in_folder: Path, call, tmp_path):
    table = pl.read_csv("houses.csv").with_columns(note=pl.lit("x"))
    table.head(200).write_csv(tmp_path / "1.csv")
    table.tail(400).write_csv(tmp_path / "2.csv")
    places = [str(tmp_path / name) for name in ("1.csv", "2.csv", "answers.csv")]
    code, envelope = call("predict", "houses.lepton", *places[:2], "-o", places[2], "--only-prediction")
    assert code == 0
    assert pl.read_csv(places[2]).shape == (600, 1)
    assert "'note'" in envelope["notes"][-1]
    code, envelope = call("predict", "houses.lepton")
    assert (code, envelope["error"]["code"]) == (2, "usage")


def test_predict_refuses_an_unknown_format_before_it_works(in_folder: Path, capsys):
    assert run(["predict", "houses.lepton", "houses.csv", "-o", "out.xls"]) == 2
    assert ".parquet" in capsys.readouterr().err


def test_predict_says_exactly_which_columns_do_not_fit(in_folder: Path, call):
    pl.read_csv("houses.csv").drop("area").rename({"town": "city"}).write_csv("other.csv")
    code, envelope = call("predict", "houses.lepton", "other.csv")
    assert code == 3
    assert "area" in envelope["error"]["message"]
    assert "town" in envelope["error"]["message"]


def test_compare_finds_no_difference_of_a_model_with_itself(in_folder: Path, call):
    code, envelope = call("compare", "houses.lepton", "houses.lepton", "houses.csv")
    assert code == 0
    assert "no difference" in json.dumps(envelope["result"])


def test_describe_names_the_columns(in_folder: Path, call):
    code, envelope = call("data", "describe", "houses.csv", "--target", "price", "--report", "table.html")
    assert code == 0
    assert [c["name"] for c in envelope["result"]["columns"]] == ["area", "town", "built", "price"]
    assert Path("table.html").exists()


def test_bundle_commands(in_folder: Path, call, capsys):
    code, envelope = call("bundle", "inspect", "houses.lepton")
    assert code == 0
    model_id = envelope["result"]["model_id"]
    assert call("bundle", "check", "houses.lepton")[1]["result"]["model_id"] == model_id
    assert call("bundle", "migrate", "houses.lepton", "-o", "same.lepton")[1]["result"]["model_id"] == model_id
    code, envelope = call("bundle", "extract", "houses.lepton", "unpacked")
    assert code == 0
    assert "model.onnx" in envelope["result"]["members"]
    assert Path("unpacked/manifest.json").exists()
    assert call("bundle", "extract", "houses.lepton", "unpacked")[0] != 0
    assert run(["bundle", "inspect", "houses.lepton"]) == 0
    assert model_id in capsys.readouterr().out


def test_a_damaged_bundle_ends_with_its_own_exit_code(in_folder: Path, call):
    data = bytearray(Path("houses.lepton").read_bytes())
    data[len(data) // 2] ^= 1
    Path("damaged.lepton").write_bytes(data)
    code, envelope = call("bundle", "check", "damaged.lepton")
    assert code == 4
    assert envelope["error"]["code"] == "bundle-damaged"
    assert envelope["result"]["passed"] is False


def test_doctor_lists_the_parts(call):
    code, envelope = call("doctor")
    assert code == 0
    assert not envelope["result"]["parts"]["base"]["missing"]
    assert "lightgbm" in envelope["result"]["parts"]["train"]["installed"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_know_the_commands(shell, capsys):
    assert run(["completion", shell]) == 0
    assert "evaluate" in capsys.readouterr().out
