"""Answers for many rows: as those in memory, in order, whole or not at all."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core import DataError, Interrupted, LeptonError, ProgressRecord, Resources, Work
from lepton.verbs import bulk, rows_for
from tests.bundle.bundles import make_binary_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> lepton.Model:
    path = tmp_path_factory.mktemp("bulk") / "expensive.lepton"
    make_binary_bundle(path)
    return lepton.load(path)


@pytest.fixture
def rows(tmp_path: Path) -> pl.DataFrame:
    """Three files of more rows than one batch has."""
    rng = np.random.default_rng(1)
    num = 40_000
    frame = pl.DataFrame(
        {
            "note": [f"row {i}" for i in range(num)],
            "rooms": rng.normal(4, 2, size=num),
            "sold": [dt.date(2020, 1, 1 + i % 28) for i in range(num)],
            "garden": [i % 3 == 0 for i in range(num)],
            "town": rng.choice(["York", "Köln", "Oslo"], num),
        }
    ).with_columns(rooms=pl.when(pl.col("rooms") < 6).then("rooms"))
    for part, piece in enumerate(frame.iter_slices(15_000)):
        piece.write_parquet(tmp_path / f"part-{part}.parquet")
    return frame


def wanted(model: lepton.Model, rows: pl.DataFrame) -> pl.DataFrame:
    answers: pl.DataFrame = model.predict_all(rows.drop("note"))
    return answers


@pytest.mark.parametrize("cpus", [1, 3])
def test_a_file_holds_what_memory_would(model, rows, tmp_path, cpus):
    work = Work(resources=Resources(cpus=cpus))
    output = tmp_path / "answers.parquet"
    path = lepton.predict(model, str(tmp_path / "part-*.parquet"), output=output, keep=["note"], work=work)
    assert path == output
    found = pl.read_parquet(output)
    assert found["note"].to_list() == rows["note"].to_list()
    assert found.drop("note").equals(wanted(model, rows))


def test_ids_come_back_as_they_were(model, rows, tmp_path):
    ids = pl.Series("id", [2**60 + i for i in range(200)])
    rows.head(200).with_columns(ids).write_parquet(tmp_path / "rows.parquet")
    lepton.predict(model, tmp_path / "rows.parquet", output=tmp_path / "answers.parquet", keep=["id"])
    assert pl.read_parquet(tmp_path / "answers.parquet")["id"].equals(ids)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "arrow"])
def test_every_format_in_and_out(model, rows, tmp_path, suffix):
    few = rows.head(700)
    write: dict[str, Callable[..., object]] = {
        "csv": pl.DataFrame.write_csv,
        "jsonl": pl.DataFrame.write_ndjson,
        "arrow": pl.DataFrame.write_ipc,
    }
    write[suffix](few, tmp_path / f"rows.{suffix}")
    output = tmp_path / f"answers.{suffix}"
    lepton.predict(model, tmp_path / f"rows.{suffix}", output=output, only_prediction=True)
    read: dict[str, Callable[..., pl.DataFrame]] = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "arrow": pl.read_ipc}
    found = read[suffix](output)
    assert found.columns == ["prediction"]
    assert found["prediction"].to_list() == wanted(model, few)["prediction"].to_list()


def test_progress_counts_the_rows_up(model, rows, tmp_path):
    seen: list[ProgressRecord] = []
    work = Work(reporter=seen.append)
    lepton.predict(
        model, [tmp_path / "part-0.parquet", tmp_path / "part-1.parquet"], output=tmp_path / "a.csv", work=work
    )
    assert [record.done for record in seen] == sorted(record.done for record in seen)
    assert seen[-1].done == seen[-1].total == 30_000


def test_stopped_it_says_how_far_and_leaves_no_file(model, rows, tmp_path):
    cancel = threading.Event()
    work = Work(cancel=cancel, reporter=lambda record: cancel.set() if record.done > 20_000 else None)
    with pytest.raises(Interrupted, match=r"stopped after \d\d,\d{3} of 40,000 rows"):
        lepton.predict(model, str(tmp_path / "part-*.parquet"), output=tmp_path / "answers.parquet", work=work)
    assert not list(tmp_path.glob("*answers*"))
    assert not list(tmp_path.glob(".lepton*"))


def test_a_bad_value_in_a_later_batch_is_named(model, rows, tmp_path):
    text = rows.head(30_000).write_csv().replace("\nrow 29990,", "\nrow 29990,many,,,\nlost,", 1)
    (tmp_path / "rows.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"row 29,991 of rows.csv") as caught:
        lepton.predict(model, tmp_path / "rows.csv", output=tmp_path / "answers.csv")
    assert "many" in str(caught.value)
    assert not (tmp_path / "answers.csv").exists()


def test_no_row_gives_a_file_with_the_columns(model, rows, tmp_path):
    rows.head(0).write_parquet(tmp_path / "none.parquet")
    lepton.predict(model, tmp_path / "none.parquet", output=tmp_path / "answers.csv", keep=["town"])
    assert (tmp_path / "answers.csv").read_text() == "town,prediction,probability_no,probability_yes\n"


@pytest.mark.parametrize(
    ("output", "options", "said"),
    [
        ("answers.xls", {}, "cannot tell the format"),
        ("part-0.parquet", {}, "holds the rows"),
        (None, {"keep": ["town"]}, "without output"),
        ("missing/answers.csv", {}, "no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(model, rows, tmp_path, output, options, said):
    before = (tmp_path / "part-0.parquet").read_bytes()
    with pytest.raises(LeptonError, match=said):
        lepton.predict(model, tmp_path / "part-0.parquet", output=output and tmp_path / output, **options)
    assert (tmp_path / "part-0.parquet").read_bytes() == before


def test_missing_columns_are_all_named(model, tmp_path):
    pl.DataFrame({"towns": ["Ulm"], "sold": ["2020-01-01"], "garden": ["yes"]}).write_csv(tmp_path / "rows.csv")
    with pytest.raises(LeptonError, match=r"(?s)rooms.*town"):
        lepton.predict(model, tmp_path / "rows.csv", output=tmp_path / "answers.csv")


def test_what_was_left_out_is_known(model, rows):
    answering = bulk.Answering(model, rows_for(model, rows.head(5)), keep=["town"])
    assert answering.unused == ("note",)
    assert answering.frame().columns == ["town", "prediction", "probability_no", "probability_yes"]
    assert answering.rows == 5
    with pytest.raises(DataError, match="did you mean 'town'"):
        bulk.Answering(model, rows_for(model, rows.head(5)), keep=["towm"])
