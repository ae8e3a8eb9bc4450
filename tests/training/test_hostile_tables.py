"""Tables that cannot or should hardly be learned: a clear error, or a decision said aloud, through both doors."""

import errno
import re
import time

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.cli.main import run
from lepton.core import DataError, ErrorCode, StoreError, UsageError
from lepton.core.budgets import within_time
from lepton.training import prepared
from tests.cli.conftest import call  # noqa: F401  a fixture

N = 120
RANDOM = np.random.default_rng(0)
X, Z = RANDOM.normal(size=(2, N))
NOTHING = pl.Series([None] * N, dtype=pl.Float64)
WITHIN = "3s"


def of(**columns):
    return pl.DataFrame({"x": X, "y": 2.0 * X + Z} | columns)


REFUSED = {
    "10,000 classes": (
        lambda: pl.DataFrame({"x": np.arange(20_000) % 7, "y": [f"class {i % 10_000}" for i in range(20_000)]}),
        {},
        DataError,
        "10000 classes.*at most 1000.*group rare classes",
    ),
    "a class for each row": (
        lambda: of(y=[f"class {i}" for i in range(N)]),
        {},
        DataError,
        "classes of the target 'y' have one row only",
    ),
    "numbers of rows as classes": (lambda: of(y=np.arange(N)), {"task": "multiclass"}, DataError, "identifier.*kinds="),
    "an identifier and nothing else": (
        lambda: pl.DataFrame({"id": np.arange(N), "y": np.where(np.arange(N) < 60, "a", "b")}),
        {},
        DataError,
        "no column to learn 'y' from .*id:",
    ),
    "4 rows": (lambda: of().head(4), {}, DataError, "4 rows.*at least 5"),
    "no rows": (lambda: of().clear(), {}, DataError, "0 rows.*at least 5"),
    "too many columns": (
        lambda: of(**{f"c{i}": X for i in range(49)}),
        {},
        DataError,
        "51 columns.*at most 50.*select",
    ),
    "constant columns": (lambda: of(x=[1] * N), {}, DataError, "x: its value never changes"),
    "missing columns": (lambda: of(x=NOTHING), {}, DataError, "x: all values are missing"),
    "a constant target": (lambda: of(y=[3.5] * N), {}, DataError, "'3.5' in every row"),
    "a missing target": (
        lambda: of(y=NOTHING), {}, DataError, "every value of the target 'y' is missing"
    ),
    "infinite targets": (
        lambda: of(y=np.where(np.arange(N) == 7, np.inf, X)), {}, DataError, r"'y' is inf in row 7.*finite"
    ),
    "a metric of another task": (of, {"metric": "log_loss"}, UsageError, "'log_loss' does not fit.*one of rmse"),
    "a metric that is none": (of, {"metric": "best"}, UsageError, "no metric 'best'.*rmse"),
    "no time": (of, {"within": "0s"}, UsageError, "within='0s'.*above 0"),
    "time before now": (of, {"within": "-5s"}, UsageError, "within='-5s'"),
    "a time that is missing": (
        lambda: of(t=pl.Series([None, *range(N - 1)])), {"time": "t"}, DataError, "'t' is missing in 1 rows"
    ),
    "a target that is not there": (lambda: of().rename({"y": "yy"}), {}, DataError, "'y'.*'yy'"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "options", "kind", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(table, options, kind, told, tmp_path, call, monkeypatch):  # noqa: F811
    monkeypatch.setattr(prepared, "MAX_COLUMNS", 50)
    frame = table()
    options = {"target": "y", "within": WITHIN} | options
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        lepton.train(frame, output=tmp_path / "m.lepton", **options)
    assert re.search(told, " ".join(str(caught.value).split())), caught.value
    assert time.monotonic() - start < 20.0  # at once, and not after the work
    frame.write_csv(tmp_path / "t.csv")
    words = [f"--{name}={value}" for name, value in options.items()]
    code, envelope = call("train", str(tmp_path / "t.csv"), *words, "-o", str(tmp_path / "m.lepton"))
    assert code == {DataError: 3, UsageError: 2}[kind]
    assert re.search(told, " ".join(map(str, envelope["error"].values()))), envelope["error"]
    assert not (tmp_path / "m.lepton").exists()


def test_limits_that_no_model_keeps(tmp_path, call):  # noqa: F811
    of().write_csv(tmp_path / "t.csv")
    words = ["--target", "y", "--within", WITHIN, "--max-size", "1B", "-o", str(tmp_path / "m.lepton")]
    code, envelope = call("train", str(tmp_path / "t.csv"), *words)
    assert code == 5
    assert "max_size is 1 B, the model needs" in envelope["error"]["message"]


DECIDED = {
    "a copy of the target": (lambda: of(copy=2.0 * X + Z), {}, "copy"),
    "an identifier that tells the class": (
        lambda: of(id=np.arange(N), y=np.where(np.arange(N) < 60, "a", "b")), {}, "not learned from.*: id"
    ),
    "5 rows": (lambda: of().head(5), {}, "doubtful"),
    "constant and missing columns beside others": (
        lambda: of(flat=[1] * N, empty=NOTHING), {}, "all values are missing.*empty"
    ),
    "a time that is not in order": (lambda: of(t=RANDOM.permutation(N)), {"time": "t"}, "learns from the past"),
    "infinite features": (lambda: of(z=np.where(np.arange(N) % 9 == 0, np.inf, Z)), {}, "task regression"),
    "40 classes of 3 rows": (lambda: of(y=[f"class {i % 40}" for i in range(N)]), {}, "40 classes"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "options", "told"), DECIDED.values(), ids=DECIDED)
def test_what_is_decided_is_said(table, options, told, tmp_path, call):  # noqa: F811
    table().write_csv(tmp_path / "t.csv")
    words = [f"--{name}={value}" for name, value in options.items()]
    words += ["--target", "y", "--within", "60s", "--effort", "fast", "-o", str(tmp_path / "m.lepton")]
    code, envelope = call("train", str(tmp_path / "t.csv"), *words)
    assert code == 0, envelope
    assert re.search(told, " ".join(envelope["notes"])), envelope["notes"]
    assert len(lepton.load(tmp_path / "m.lepton").predict(table())) == table().height


def test_a_disk_without_space_for_trials_ends_in_the_small_portfolio(tmp_path, monkeypatch):
    def full(*_):
        raise StoreError(ErrorCode.STORE_FULL, "the disk is full")

    monkeypatch.setattr("lepton.training.automl.run.save_table", full)
    model = lepton.train(of(), target="y", within="60s", output=tmp_path / "m.lepton")
    assert any("the disk is full" in note for note in model.leaderboard().notes)
    assert {row.learner for row in model.leaderboard().rows} >= {"baseline", "linear", "lightgbm"}


def test_a_disk_without_space_for_the_model(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "no space left on device")

    of().write_csv(tmp_path / "t.csv")
    monkeypatch.setattr("os.fsync", full)
    words = ["train", str(tmp_path / "t.csv"), "--target", "y", "--within", WITHIN, "-o", str(tmp_path / "m.lepton")]
    assert run(words) not in (0, 1)
    assert not (tmp_path / "m.lepton").exists()


@pytest.mark.slow
def test_a_table_of_50_000_columns_is_refused_soon(tmp_path, call):  # noqa: F811
    rows = RANDOM.integers(0, 100, (50, 50_000))
    pl.DataFrame(rows, schema=[f"c{i}" for i in range(50_000)]).write_csv(tmp_path / "t.csv")
    start = time.monotonic()
    code, envelope = call("train", str(tmp_path / "t.csv"), "--target", "c0", "-o", str(tmp_path / "m.lepton"))
    assert (code, envelope["error"]["code"]) == (3, "bad-value")
    assert "50,000 columns" in envelope["error"]["message"]
    assert time.monotonic() - start < 60.0


@pytest.mark.slow
def test_the_widest_table_that_is_taken(tmp_path):
    rows = RANDOM.integers(0, 100, (60, prepared.MAX_COLUMNS))
    frame = pl.DataFrame(rows, schema=[f"c{i}" for i in range(prepared.MAX_COLUMNS)])
    start = time.monotonic()
    model = lepton.train(
        frame, target="c0", task="regression", within="60s", effort="fast", output=tmp_path / "m.lepton"
    )
    assert within_time(time.monotonic() - start, 60.0)
    assert len(model.predict(frame.head(2))) == 2
