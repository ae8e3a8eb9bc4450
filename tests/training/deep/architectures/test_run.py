"""Whole searches of small pictures: what comes out, what is kept, how they end, and what they refuse."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lepton
from lepton.core import (
    BudgetError,
    BudgetVerdict,
    DataError,
    ErrorCode,
    Interrupted,
    LeptonError,
    TrainingError,
    UsageError,
)
from lepton.training.deep import media_net
from lepton.training.deep.architectures import costs, learning, run
from lepton.training.deep.architectures.ladder import is_beaten
from lepton.training.deep.architectures.trials import NEVER_TRAINED, Cost, TrialFolder
from lepton.training.limits import Limits
from tests.training.deep.architectures.conftest import one_core, stripes

ROWS = stripes()


def search(source: Any = ROWS, **options: Any) -> lepton.Model:
    return lepton.search(source, **{"work": one_core(), **options})


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("found") / "search"


@pytest.fixture(scope="module")
def found(workdir: Path) -> lepton.Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_net, "_PASSES", (12, 12))
        return search(max_latency="500ms", max_size="2MB", max_trials=6, workdir=workdir)


def test_the_best_design_becomes_a_model_that_answers(found: lepton.Model) -> None:
    assert (found.task, found.labels) == ("binary", (0, 1))
    x, y = stripes(20, seed=9)
    assert np.mean(np.array(found.predict(x)) == y) == 1.0
    report = found.reports()["training"]
    assert {name: each["limit"] for name, each in report["limits"].items()} == {"size": 2_000_000, "latency": 0.5}
    assert "designs in 6 trainings" in " ".join(found.leaderboard().notes)
    assert "rows that had no say" in " ".join(found.leaderboard().notes)
    assert "96 rows were learned in 12 passes" in found.leaderboard().notes[-1]
    assert "chosen: lepton-net (stem" in found.how().text()
    assert "stem 1/" in found.report().html()


def test_every_trial_is_told_with_its_costs_and_nothing_beats_the_front(found: lepton.Model) -> None:
    told = found.reports()["search"]
    assert [trial["number"] for trial in told["trials"]] == list(range(1, len(told["trials"]) + 1))
    assert all(trial["cost"]["row"] > 0 and trial["cost"]["size"] > 1_000 for trial in told["trials"])
    costs_of = {
        trial["number"]: (-trial["score"], trial["cost"]["size"], trial["cost"]["multiply_adds"])
        for trial in told["trials"]
    }
    assert told["pareto"]
    assert set(told["pareto"]) <= set(costs_of)
    assert not any(
        is_beaten((*costs_of[one], 0), (*costs_of[other], -1))
        for one, other in itertools.permutations(told["pareto"], 2)
        if told["trials"][one - 1]["cost"]["row"] > 1.06 * told["trials"][other - 1]["cost"]["row"]
    )
    board = found.leaderboard()
    assert sum(row.chosen for row in board.rows) == 1
    assert 0 < len(found.pareto().rows) == len(told["pareto"])
    assert told["judged"]["num_rows"] > 5


def test_designs_that_were_trained_for_long_are_models_of_their_own(found: lepton.Model, workdir: Path) -> None:
    kept = TrialFolder.open(workdir)
    chosen = next(each for each in kept.trials if each.number == found.reports()["search"]["chosen"])
    alone = lepton.load(kept.file_of(chosen))
    assert set(alone.predict(ROWS[0][:4])) <= {0, 1}
    assert lepton.LeptonNet.load(kept.file_of(chosen)).spec == chosen.spec


def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs that do not depend on what else the machine does."""

    def cost(_meter: Any, module: Any, multiply_adds: float, _allowed: Any) -> Cost:
        count = sum(each.numel() for each in module.parameters())
        return Cost(count * 1e-5, count * 2e-5, count * 8, multiply_adds, count)

    monkeypatch.setattr(costs.Meter, "_cost", cost)


def plain(folder: Path) -> list[dict[str, Any]]:
    left_out = {"seconds", "after"}
    return [
        {name: value for name, value in trial.to_dict().items() if name not in left_out}
        for trial in TrialFolder.open(folder).trials
    ]


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(monkeypatch)
    whole = search(max_trials=4, workdir=tmp_path / "whole")
    fit, calls = learning.Learning.fit, itertools.count(1)

    def killed(self: Any, *arguments: Any, **options: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return fit(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(learning.Learning, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            search(max_trials=4, workdir=tmp_path / "cut")
    assert len([t for t in plain(tmp_path / "cut") if t["rung"] > NEVER_TRAINED]) == 2
    again = search(max_trials=4, workdir=tmp_path / "cut", resume=True)
    assert plain(tmp_path / "cut") == plain(tmp_path / "whole")
    assert again.model_id == whole.model_id


def test_limits_are_looked_at_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady(monkeypatch)
    search(max_trials=3, max_latency="300ms", workdir=tmp_path)  # that is 15,000 parameters
    trials = TrialFolder.open(tmp_path).trials
    assert any(trial.rung == NEVER_TRAINED and "too slow" in trial.note for trial in trials)
    assert all(trial.cost.slowest <= 0.3 for trial in trials if trial.rung > NEVER_TRAINED)
    refused = next(trial for trial in trials if trial.rung == NEVER_TRAINED)
    model = search(
        max_trials=4, max_size=10 * refused.cost.size, workdir=tmp_path, resume=True
    )  # now it may be trained
    assert TrialFolder.open(tmp_path).trials[-1].design == refused.design
    least = min(trial.cost.size for trial in trials if trial.rung > NEVER_TRAINED)
    model = search(
        max_trials=4, max_size=int(1.2 * least), workdir=tmp_path, resume=True
    )  # a limit that only one keeps
    assert model.leaderboard().rows[0].size == least


def test_a_limit_that_nothing_keeps_gives_the_least_and_an_error(tmp_path: Path) -> None:
    path = tmp_path / "least.lepton"
    with pytest.raises(BudgetError, match=r"max_size is 900 B, the model needs") as caught:
        search(max_size=900, output=path, max_trials=4)
    assert "least.lepton" in caught.value.fix
    least = lepton.load(path)
    assert least.leaderboard().rows[0].chosen
    assert "8x0" in least.leaderboard().rows[0].configuration


def test_a_design_that_comes_apart_is_noted_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = learning.Learning.fit

    def apart(self: Any, spec: Any, passes: int, seed: str, work: Any, **options: Any) -> Any:
        if seed.endswith("/1"):
            raise TrainingError(ErrorCode.TRAINING_FAILED, "the loss became NaN at step 3")
        return fit(self, spec, passes, seed, work, **options)

    monkeypatch.setattr(learning.Learning, "fit", apart)
    monkeypatch.setattr(media_net, "_PASSES", (4, 4))
    model = search(max_trials=6, workdir=tmp_path)
    high = [trial for trial in TrialFolder.open(tmp_path).trials if trial.rung == 1]
    assert len(high) == len({trial.design for trial in high}) > 0
    assert all("NaN" in trial.note and trial.score is None for trial in high)
    assert "3 passes" in next(row for row in model.leaderboard().rows if row.chosen).configuration


def checked(monkeypatch: pytest.MonkeyPatch, *measured: float) -> list[float]:
    """Files are found to take so many seconds, one after the other; returns those that were not asked for."""
    left = list(measured)

    def check(self: Limits, _path: Path, _rows: Any, _costs: Any, _work: Any) -> Any:
        found, limit = left.pop(0), self.max_latency or 0.0
        return (BudgetVerdict("max_latency", limit, found, found <= limit),), {}

    monkeypatch.setattr(Limits, "check", check)
    return left


def test_a_file_that_just_misses_gives_way_to_a_quicker_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady(monkeypatch)
    left = checked(monkeypatch, 3.3, 2.9, 0.1)
    model = search(max_trials=4, max_latency="3s", workdir=tmp_path)
    assert left == [0.1]
    told = model.reports()["search"]
    tried = [trial for trial in told["trials"] if (tmp_path / f"trial-{trial['number']:05}.lepton").is_file()]
    best = max(tried, key=lambda trial: (trial["rung"], trial["score"], -trial["cost"]["row"]))
    assert told["trials"][told["chosen"] - 1]["cost"]["slowest"] < best["cost"]["slowest"]
    assert "the network that was judged is kept" in model.leaderboard().notes[-1]


def test_a_machine_that_is_busy_is_told_from_a_design_that_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(monkeypatch)
    left = checked(monkeypatch, 30.0, 0.1)
    with pytest.raises(BudgetError, match=r"max_latency is 3\.0 s, the model needs 30\.0 s"):
        search(max_trials=2, max_latency="3s", output=tmp_path / "best.lepton")
    assert left == [0.1]
    assert "the machine was busy" in lepton.load(tmp_path / "best.lepton").leaderboard().notes[-2]


def test_the_best_so_far_is_saved_when_it_is_stopped(tmp_path: Path) -> None:
    cancel = threading.Event()

    def stop_after_one(record: Any) -> None:
        if record.done >= 1 and record.best:
            cancel.set()

    path = tmp_path / "best.lepton"
    model = search(work=one_core("600s", cancel=cancel, reporter=stop_after_one), output=path)
    assert path.exists()
    assert "the network that was judged is kept" in model.leaderboard().notes[-1]
    assert len(model.predict(ROWS[0][:3])) == 3


def test_too_little_time_says_so() -> None:
    with pytest.raises(Interrupted, match=r"before a first network had learned"):
        search(work=one_core("1ms"))


@pytest.mark.parametrize(
    ("within", "rungs"),
    [(None, (9, 27, 80)), ("1s", (1,)), ("40s", (3, 10)), ("164s", (3, 6, 18)), ("2h", (9, 27, 80))],
)
def test_passes_follow_from_the_time_and_the_pace(within: str | None, rungs: tuple[int, ...]) -> None:
    rows: Any = SimpleNamespace(seconds_a_row=0.01, num_rows=100, most_passes=lambda: 80)
    assert run._rungs(rows, one_core(within)) == rungs


def series(count: int = 64) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    speed = random.uniform(0.5, 3.0, count)
    x = np.sin(np.arange(12)[None, :, None] * speed[:, None, None]) + random.normal(0, 0.1, (count, 12, 2))
    return x, speed


def test_series_numbers_and_texts_as_classes() -> None:
    x, speed = series()
    numbers = search((x, speed), max_trials=1)
    assert (numbers.task, numbers.leaderboard().metric) == ("regression", "rmse")
    assert np.abs(np.mean(numbers.predict(x)) - speed.mean()) < 1.5
    words = np.array(["slow", "middle", "quick"])[np.digitize(speed, [1.2, 2.0])]
    classes = search((x, words), max_trials=1, metric="log_loss")
    assert (classes.task, classes.labels) == ("multiclass", ("middle", "quick", "slow"))
    spectrogram = search((x, np.eye(2)[(speed > 1.5).astype(int)]), kind="spectrogram", max_trials=1)
    assert [each.name for each in spectrogram.predictor.manifest.tensors] == ["spectrogram"]


def test_exits_are_set_by_the_rows_that_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    from lepton.training.deep.architectures import designs

    first = designs.first_designs
    monkeypatch.setattr(designs, "first_designs", lambda family: [_with_exits(first(family)[0])])
    monkeypatch.setattr(learning, "_LEAST_FOR_EXITS", 10)
    x, y = stripes(160)
    model = search((x, y), max_trials=1)
    assert "; exits" in model.leaderboard().rows[0].configuration
    (trial,) = model.reports()["search"]["trials"]
    assert trial["cost"]["multiply_adds"] <= trial["configuration"]["multiply_adds"]
    assert len(model.predict(x)) == 160


def _with_exits(spec: Any) -> Any:
    from dataclasses import replace

    return replace(spec, exits=True)


X, Y = ROWS
BAD: tuple[tuple[str, Any, dict[str, Any], type[LeptonError], str], ...] = (
    ("one class", (X, np.zeros(96, int)), {}, DataError, r"all targets are 0"),
    ("few rows", (X[:5], Y[:5]), {}, DataError, r"5 rows"),
    ("lengths", (X, Y[:50]), {}, UsageError, r"96 rows and targets \(50,\)"),
    ("rank", (X[0, 0], Y), {}, UsageError, r"shape \(8, 1\)"),
    ("ragged", ([[1, 2], [3]], [0, 1]), {}, LeptonError, r"got rows"),
    ("unknown kind", (X, Y), {"kind": "video"}, UsageError, r"kind='video'"),
    ("NaN target", (X, np.full(96, np.nan)), {}, DataError, r"target 0 is nan"),
    ("several labels", (X, np.ones((96, 2))), {}, DataError, r"several labels"),
    ("mixed labels", (X, np.array([1, "a"] * 48, dtype=object)), {}, DataError, r"several types"),
    ("task", (X, Y), {"task": "multiclass"}, UsageError, r"task='multiclass'"),
    ("three arrays", (X, Y, Y), {}, UsageError, r"got 3 arrays"),
    ("a column beside arrays", (X, Y), {"image": "path"}, UsageError, r"got image= beside arrays"),
    ("no trials", (X, Y), {"max_trials": 0}, UsageError, r"max_trials=0"),
    ("no latency", (X, Y), {"max_latency": "0ms"}, UsageError, r"max_latency='0ms'"),
    ("unknown metric", (X, Y), {"metric": "beauty"}, LeptonError, r"beauty"),
    ("nothing to go on with", (X, Y), {"resume": True}, UsageError, r"no workdir"),
    ("NaN pixels", (np.full(X.shape, np.nan), Y), {}, DataError, r"NaN"),
)


@pytest.mark.parametrize(("source", "options", "error", "match"), [each[1:] for each in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be_searched_is_refused(
    source: Any, options: dict[str, Any], error: type[LeptonError], match: str
) -> None:
    with pytest.raises(error, match=match):
        search(source, **options)


def test_tables_without_pictures_and_targets_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "plain.csv"
    table.write_text("a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(20)))
    with pytest.raises(UsageError, match=r"no one column of pictures"):
        search(str(table), target="b")
    with pytest.raises(UsageError, match=r"got no target"):
        search(str(table))
    with pytest.raises(UsageError, match=r"kind='image' beside a table"):
        search(str(table), target="b", kind="image")


def test_a_folder_goes_on_with_its_own_rows_only(found: lepton.Model, workdir: Path) -> None:
    assert len(found.pareto().rows) > 0
    with pytest.raises(UsageError, match=r"holds a search already"):
        search(workdir=workdir)
    with pytest.raises(DataError, match=r"not those"):
        search(stripes(seed=4), workdir=workdir, resume=True)
    with pytest.raises(UsageError, match=r"seed"):
        search(workdir=workdir, resume=True, work=one_core(seed=5))
    with pytest.raises(DataError, match=r"no search"):
        search(workdir=workdir / "elsewhere", resume=True)
