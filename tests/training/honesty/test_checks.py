"""Every doubt has a table that raises it and one that does not."""

import numpy as np
import polars as pl
import pytest

from lepton.core import ColumnRecord, Kind
from lepton.evaluation import Estimate
from lepton.training.base import Problem
from lepton.training.honesty import Judged, doubts_of, order_doubt, too_few

N = 1_200
RNG = np.random.default_rng(7)


def record(name, kind=Kind.NUMBER):
    return ColumnRecord(name, kind, "float64" if kind is Kind.NUMBER else "string")


def judged(columns=None, truth=None, answers=None, identifiers=(), num_folds=5, **more):
    """A regression whose answers are a little off; all columns are noise unless others are given."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=N) if truth is None else truth
    columns = {"noise": rng.normal(size=N), "sort": rng.choice(list("abc"), N)} if columns is None else columns
    frame = pl.DataFrame({name: list(values) for name, values in columns.items()})
    records = [record(n, Kind.NUMBER if frame[n].dtype.is_numeric() else Kind.CATEGORY) for n in frame.columns]
    return Judged(
        problem=Problem("regression", 0, N),
        labels=None,
        frame=frame,
        columns=tuple(r for r in records if r.name not in identifiers),
        identifiers=tuple(ColumnRecord(r.name, Kind.IDENTIFIER, r.dtype) for r in records if r.name in identifiers),
        truth=truth,
        answers=truth + rng.normal(0, 0.5, N) if answers is None else answers,
        fold=np.arange(N) % num_folds,
        **more,
    )


def whats(rows, seconds=np.inf):
    return [doubt.what for doubt in doubts_of(rows, seconds)[0]]


def test_a_table_without_fault_raises_nothing():
    assert whats(judged()) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda truth: truth,
        lambda truth: -3.0 * truth + 5.0,
        np.exp,
        lambda truth: np.round(truth, 2),
    ],
    ids=["copy", "scaled", "curved", "rounded"],
)
def test_a_column_that_is_the_target_leaks(leak):
    truth = np.random.default_rng(0).normal(size=N)
    found, _ = doubts_of(judged({"paid": leak(truth), "noise": RNG.normal(size=N)}, truth))
    assert [doubt.what for doubt in found] == ["leakage"]
    assert "'paid'" in found[0].evidence
    assert "--ignore paid" in found[0].fix


def test_a_strong_column_is_no_leak():
    truth = np.random.default_rng(0).normal(size=N)
    assert whats(judged({"rooms": truth + RNG.normal(0, 0.3, N)}, truth)) == []


@pytest.mark.parametrize(("values", "what"), [("all", ["leakage"]), ("most", [])])
def test_a_rare_class_that_a_column_gives_away(values, what):
    truth = np.zeros(N, dtype=np.int64)
    truth[RNG.choice(N, 40, replace=False)] = 1
    told = np.where(truth == 1, RNG.random(N) + 1.0, np.nan)
    if values == "most":
        told[np.flatnonzero(truth)[:15]] = np.nan
    share = 0.02 + 0.5 * truth
    rows = judged({"refund": told}, truth, np.stack([1 - share, share], axis=1))
    rows = Judged(**{**vars(rows), "problem": Problem("binary", 2, N), "labels": ("no", "yes")})
    assert whats(rows) == what


@pytest.mark.parametrize("share", [0.03, 0.07, 0.3, 0.5])
def test_classes_that_a_number_tells_apart(share):
    rng = np.random.default_rng(2)
    truth = (rng.random(N) < share).astype(np.int64)
    given = np.clip(0.1 + 0.6 * truth, 0, 1)
    columns = {"code": 2.0 * truth + rng.normal(0, 0.01, N), "near": truth + rng.normal(0, 0.5, N)}
    rows = judged(columns, truth, np.stack([1 - given, given], axis=1))
    rows = Judged(**{**vars(rows), "problem": Problem("binary", 2, N), "labels": ("no", "yes")})
    found, _ = doubts_of(rows)
    assert [doubt.what for doubt in found] == ["leakage"]
    assert "'code'" in found[0].evidence


@pytest.mark.parametrize("num_rows", [300, 1_000, 6_000])
def test_several_classes_that_a_number_tells_apart(num_rows):
    rng = np.random.default_rng(4)
    truth = rng.choice(5, num_rows, p=[0.54, 0.18, 0.12, 0.12, 0.04])
    rows = Judged(
        problem=Problem("multiclass", 5, num_rows),
        labels=tuple("abcde"),
        frame=pl.DataFrame({"code": 2.0 * truth + rng.normal(0, 0.001, num_rows)}),
        columns=(record("code"),),
        identifiers=(),
        truth=truth,
        answers=np.full((num_rows, 5), 0.2),
        fold=np.arange(num_rows) % 5,
    )
    assert whats(rows) == ["leakage"]


def test_an_identifier_whose_order_goes_with_the_target():
    truth = np.sort(np.random.default_rng(0).normal(size=N))
    left_out, _ = doubts_of(judged({"code": [f"r{i:05}" for i in range(N)]}, truth, identifiers=("code",)))
    assert [doubt.what for doubt in left_out] == ["identifier"]
    assert "does not look at it" in left_out[0].evidence
    learned, _ = doubts_of(judged({"number": np.arange(N)}, truth))
    assert [doubt.what for doubt in learned] == ["identifier"]
    assert "--ignore number" in learned[0].fix


def test_an_identifier_that_tells_nothing():
    rows = judged({"code": [f"r{i:05}" for i in range(N)], "number": np.arange(N)}, identifiers=("code",))
    assert whats(rows) == []


def test_answers_that_get_worse_in_time():
    truth = np.random.default_rng(0).normal(size=N)
    answers = truth + np.random.default_rng(1).normal(0, np.where(np.arange(N) < 900, 0.5, 1.0))
    when = np.arange(N, dtype=np.float64)
    assert whats(judged(truth=truth, answers=answers, order=when)) == ["drift"]
    assert whats(judged(order=when)) == []
    assert whats(judged(truth=truth, answers=answers[::-1] - truth[::-1] + truth, order=when)) == []  # better in time


def test_columns_that_tell_early_from_late():
    when = np.arange(N, dtype=np.float64)
    columns = {"when": when, "index": when / 7 + RNG.normal(0, 5, N), "noise": RNG.normal(size=N)}
    found, _ = doubts_of(judged(columns, order=when, time="when"))
    assert [doubt.what for doubt in found] == ["moved"]
    assert "index" in found[0].evidence
    assert "noise" not in found[0].evidence
    assert whats(judged(columns)) == []  # without a time there is no early


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_that_differ_more_than_by_chance(grouped):
    truth = np.random.default_rng(0).normal(size=N)
    answers = truth + np.random.default_rng(1).normal(0, np.where(np.arange(N) % 5 == 2, 1.0, 0.5))
    more = {"groups": np.arange(N) % 60} if grouped else {}
    found, _ = doubts_of(judged(truth=truth, answers=answers, **more))
    assert [doubt.what for doubt in found] == ["folds"]
    assert ("groups" in found[0].fix) == grouped
    assert whats(judged(num_folds=1)) == []


def test_folds_that_differ_by_chance_are_rarely_doubted():
    alarms = 0
    for seed in range(40):
        truth = np.random.default_rng(seed).normal(size=N)
        answers = truth + np.random.default_rng(seed + 1_000).standard_t(4, N)
        alarms += "folds" in whats(judged(truth=truth, answers=answers))
    assert alarms <= 1


def test_groups_whose_targets_lie_apart():
    groups = np.arange(N) // 24
    shift = np.random.default_rng(5).normal(0, 2, 50)[groups]
    truth = np.random.default_rng(0).normal(size=N) + shift
    found, _ = doubts_of(judged(truth=truth, groups=groups))
    assert [doubt.what for doubt in found] == ["groups"]
    assert "50 groups" in found[0].evidence
    assert whats(judged(groups=groups)) == []


def test_too_few_rows_to_look():
    rows = judged()
    few = Judged(
        **{
            **vars(rows),
            "frame": rows.frame.head(60),
            "truth": rows.truth[:60],
            "answers": rows.answers[:60],
            "fold": rows.fold[:60],
        }
    )
    assert doubts_of(few)[0] == []
    assert "too few" in doubts_of(few)[1]


def test_columns_that_there_was_no_time_for_are_counted():
    found, left_out = doubts_of(judged(), seconds=0.0)
    assert found == []
    assert "2 of 2 columns" in left_out


@pytest.mark.parametrize(
    ("gain", "raised"),
    [
        (Estimate(0.10, 0.08, 0.12), False),
        (Estimate(0.10, 0.01, 0.19), True),
        (Estimate(0.02, -0.03, 0.07), True),
        (Estimate(0.0, 0.0, 0.0), True),
        (Estimate(None, reason="undefined"), False),
    ],
)
def test_an_interval_wider_than_the_gain(gain, raised):
    found = too_few(gain, "rmse")
    assert bool(found) == raised
    if raised:
        assert found[0].what == "too-few"
        assert ("it may be no better" in found[0].evidence) == (gain.lower <= 0)


def looked(gap, lower, gain):
    return {
        "mixed": {"value": 0.30},
        "in_order": {"value": 0.30 + gap},
        "gap": {"value": gap, "lower": lower},
        "gain": {"value": gain},
    }


def test_rows_that_stand_together():
    assert [doubt.what for doubt in order_doubt(looked(0.2, 0.1, 0.5))] == ["order"]
    assert "40% of its gain" in order_doubt(looked(0.2, 0.1, 0.5))[0].evidence
    assert order_doubt(looked(0.2, -0.1, 0.5)) == []  # not more than chance
    assert order_doubt(looked(0.01, 0.005, 0.5)) == []  # not worth a word
    assert order_doubt({"skipped": "no time"}) == []
