"""A closer look: the curve against rows, what twice the rows would be worth, rows that stand together."""

import time

import numpy as np
import polars as pl
import pytest

from lepton.bundle import TableInputs
from lepton.compute import LocalEngine
from lepton.core import Resources, Work
from lepton.data import read
from lepton.evaluation import Estimate, metric
from lepton.training.automl.closer import SHARES, _with_doubt, look_closer, next_gain
from lepton.training.automl.files import save_table
from lepton.training.automl.trials import Outside, Setting
from lepton.training.folds import make_folds
from lepton.training.honesty import order_doubt
from lepton.training.portfolio import Portfolio
from lepton.training.prepared import prepare_table
from lepton.training.writing import sample_row
from tests.training.automl import faulty

N = 600


def built(tmp_path, frame, **roles):
    """A portfolio whose openers are fitted, and what trials on it share."""
    work = Work(seed=1, resources=Resources(cpus=1))
    table = prepare_table(read(frame).with_roles({name: role for role, name in roles.items()}), "y", None, work)
    regression = table.target.labels is None
    truth = table.target.values if regression else table.target.values.astype(np.int64)
    folds = make_folds(
        len(truth),
        5,
        classes=None if regression or roles else truth.astype(np.int64),
        groups=table.groups,
        order=table.order,
    )
    portfolio = Portfolio(
        problem=table.problem,
        rows=table.rows,
        folds=folds,
        metric=metric(None, table.problem.task),
        truth=truth,
        scale=table.scale,
        groups=table.groups,
        order=table.order,
        saving_seconds=0.0,
        measure=lambda learner: (1, 1.0),
        work=work,
    )
    portfolio.run(first_only=("baseline", "linear"))
    tmp_path.mkdir(exist_ok=True)
    save_table(tmp_path, table.rows, folds)
    setting = Setting(
        folder=str(tmp_path),
        number_names=table.rows.block.number_names,
        num_folds=len(folds),
        problem=table.problem,
        metric=portfolio.metric.name,
        scale=table.scale,
        outside=Outside(TableInputs(table.inputs.columns), table.target.labels, None, sample_row(table)),
        seed=1,
    )
    return portfolio, setting


@pytest.fixture(scope="module")
def engine():
    with LocalEngine(1) as engine:
        yield engine


UNKNOWN = Estimate(None)


def looked(built, engine, seconds=30.0, score=UNKNOWN):
    portfolio, setting = built
    return look_closer(portfolio, setting, engine, workers=1, resources=Resources(cpus=1), score=score, seconds=seconds)


def linear_table(num_columns=30, num_rows=N, noise=1.0):
    """Many columns and few rows: more rows would help."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_rows, num_columns))
    y = x @ rng.normal(size=num_columns) + rng.normal(0, noise, num_rows)
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(num_columns)}, "y": y})


def test_more_rows_are_worth_something_where_there_are_many_columns(tmp_path, engine):
    closer = looked(built(tmp_path / "a", linear_table()), engine)
    report = closer.report
    assert report["of"]["learner"] == "linear"
    points = report["learning_curve"]["points"]
    assert [point["rows"] for point in points] == [60, 120, 240, 480]
    assert points[0]["value"] > points[-1]["value"]
    assert points[-1]["lower"] < points[-1]["value"] < points[-1]["upper"]
    gain = report["learning_curve"]["next_doubling"]
    assert 0.0 < gain["value"] <= report["learning_curve"]["last_doubling"]["value"]
    assert report["learning_curve"]["last_doubling"]["lower"] > 0.0
    assert gain["lower"] < gain["value"] < gain["upper"]
    assert order_doubt(report["order"]) == []
    assert closer.learner is not None
    assert len(closer.fold.valid) == N // 5


def test_more_rows_are_worth_nothing_where_all_is_known(tmp_path, engine):
    curve = looked(built(tmp_path, linear_table(num_columns=1)), engine).report["learning_curve"]
    gain = curve["next_doubling"]
    assert gain["lower"] <= 0.0 or gain["value"] < 0.02 * curve["points"][-1]["value"]


def test_neighbours_that_are_alike_are_told_apart_from_order_that_means_nothing(tmp_path, engine):
    rng = np.random.default_rng(0)
    walk = np.repeat(rng.normal(0, 3, 30), N // 30)
    block = np.repeat(np.arange(30), N // 30)
    marks = np.stack([np.isin(block, rng.choice(30, 6, replace=False)) for _ in range(40)], axis=1)
    columns = {f"m{i}": marks[:, i] + rng.normal(0, 0.05, N) for i in range(40)}
    frame = pl.DataFrame({**columns, "y": walk + rng.normal(0, 0.3, N)})
    together = looked(built(tmp_path / "a", frame), engine).report["order"]
    assert [doubt.what for doubt in order_doubt(together)] == ["order"]
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=0)
    mixed = looked(built(tmp_path / "b", shuffled), engine).report["order"]
    assert order_doubt(mixed) == []


def test_groups_and_time_have_an_order_of_their_own(tmp_path, engine):
    frame = linear_table().with_columns(g=pl.int_range(N) // 6, t=pl.int_range(N) / 7)
    grouped, setting = built(tmp_path / "a", frame.drop("t"), group="g")
    report = looked((grouped, setting), engine).report
    assert "skipped" in report["order"]
    sizes = [point["rows"] for point in report["learning_curve"]["points"]]
    assert all(size % 6 == 0 for size in sizes[:-1])  # whole groups
    timed, setting = built(tmp_path / "b", frame.drop("g"), time="t")
    report = looked((timed, setting), engine).report
    assert "skipped" in report["order"]
    assert len(report["learning_curve"]["points"]) >= 3


def test_without_time_nothing_is_fitted_and_that_is_said(tmp_path, engine):
    portfolio, setting = built(tmp_path, linear_table())
    assert looked((portfolio, setting), engine, seconds=0.0).report == {
        "skipped": "there was no time for a closer look at the model"
    }
    portfolio.candidates = portfolio.candidates[:1]
    assert "baseline" in looked((portfolio, setting), engine).report["skipped"]


def test_what_hangs_is_ended_in_time(tmp_path, engine):
    portfolio, setting = built(tmp_path, linear_table())
    candidate = portfolio.candidates[1]
    candidate.learner = faulty.Hangs
    candidate.fitted = []
    start = time.monotonic()
    closer = looked((portfolio, setting), engine, seconds=1.0)
    assert time.monotonic() - start < 4.0
    assert "skipped" in closer.report["learning_curve"]
    assert closer.learner is None


def constant(value):
    return lambda weights: np.full(len(weights), value)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_errors_that_fall_as_a_power_are_followed(sign, power):
    rows = np.array([*SHARES, 1.0]) * 1_000
    loss = 0.2 + 3.0 * rows**-power
    expected = 3.0 * (1_000**-power - 2_000**-power)
    gain = next_gain([constant(-sign * value) for value in loss], sign)
    assert gain(np.ones((2, 5))) == pytest.approx([expected, expected])


def test_what_is_expected_is_never_more_than_the_last_doubling_gave():
    rising = next_gain([constant(value) for value in (0.5, 0.49, 0.40)], -1.0)
    assert rising(np.ones((1, 3)))[0] == pytest.approx(0.09)
    lost = next_gain([constant(value) for value in (0.5, 0.4, 0.42)], -1.0)
    assert lost(np.ones((1, 3)))[0] == pytest.approx(-0.02)
    one = next_gain([constant(0.5), constant(0.4)], -1.0)
    assert one(np.ones((1, 3)))[0] == pytest.approx(0.1)


def test_what_the_last_doubling_brought_is_a_measure_of_doubt():
    expected = Estimate(0.3, 0.3 - 0.03, 0.3 + 0.04)
    wide = _with_doubt(expected, Estimate(0.34))
    assert (wide.value, wide.lower, wide.upper) == pytest.approx((0.3, 0.25, 0.3 + np.hypot(0.04, 0.04)))
    sure = _with_doubt(expected, Estimate(0.3))
    assert (sure.value, sure.lower, sure.upper) == pytest.approx((0.3, 0.27, 0.34))
    unknown = Estimate(0.3, reason="no interval")
    assert _with_doubt(unknown, Estimate(0.34)) is unknown
