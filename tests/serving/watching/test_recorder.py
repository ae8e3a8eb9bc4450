from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor
from lepton.core import UsageError
from lepton.serving import ModelStore
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.call import Call
from lepton.serving.watching.drift import MINIMAL_ROWS, DriftReport, drift_page
from lepton.serving.watching.recorder import ModelWatch, Recorder, WatchOptions, check_share
from lepton.serving.watching.state import StateStore
from tests.serving.watching.conftest import table


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A model that is watched, without a server."""

    def __init__(self, path: Path, folder: Path, **options: Any) -> None:
        self.clock = Clock()
        self.state = StateStore(folder, self.clock)
        store = ModelStore({"rent": path})
        self.recorder = Recorder(store, self.state, WatchOptions(**options))
        store.open_all()
        self.served = store["rent"]
        watch = self.recorder.watch_of(self.served)
        assert watch is not None
        self.watch: ModelWatch = watch

    @property
    def predictor(self) -> Predictor:
        return self.served.predictor

    def ask(self, rows: pl.DataFrame, request: str = "") -> None:
        call = Call(self.served, self.predictor.tensors(rows), ["prediction"], lambda _: Response(200, b""))
        self.watch.observe(call, Request("POST", "/", {"x-request-id": request} if request else {}, id=request))
        call.run()

    def ask_singly(self, rows: pl.DataFrame, size: int = 16) -> None:
        for start in range(0, len(rows), size):
            self.ask(rows[start : start + size])
            self.watch.adapt(100.0)

    def judge(self) -> DriftReport:
        return self.recorder.judge(self.watch)


@pytest.fixture
def watched(rent: Path, tmp_path: Path) -> Watched:
    return Watched(rent, tmp_path)


class TestDrift:
    def test_too_few_rows_say_nothing(self, watched: Watched) -> None:
        watched.ask_singly(table(MINIMAL_ROWS - 1, 1, moved=100))
        report = watched.judge()
        assert (report.state, report.window.rows, report.columns) == ("not-enough-data", MINIMAL_ROWS - 1, ())

    @pytest.mark.parametrize("seed", range(12))
    def test_rows_like_those_of_training_are_no_alarm(self, watched: Watched, seed: int) -> None:
        watched.ask_singly(table(600 + 200 * (seed % 3), 100 + seed))
        report = watched.judge()
        assert report.alarms == ()
        assert len(report.columns) == 5  # four columns and the answer

    def test_numbers_that_have_shifted_are_an_alarm(self, watched: Watched) -> None:
        watched.ask_singly(table(800, 1, moved=20))
        report = watched.judge()
        assert report.state == "alarm"
        assert set(report.alarms) == {"input/area", "output/prediction"}
        first = report.to_dict()["columns"][0]
        assert first["alarm"]
        assert first["psi"] > 0.25
        assert first["p_value"] < 0.01

    def test_categories_that_have_shifted_are_an_alarm(self, watched: Watched) -> None:
        watched.ask_singly(table(800, 1, bergen=0.65))
        assert watched.judge().alarms == ("input/town",)

    def test_an_alarm_ends_when_the_window_has_gone_on(self, rent: Path, tmp_path: Path) -> None:
        watched = Watched(rent, tmp_path, window_rows=1_000)
        watched.ask_singly(table(1_000, 1, moved=40))
        assert watched.judge().state == "alarm"
        watched.ask_singly(table(1_200, 2))
        report = watched.judge()
        assert report.state != "alarm"
        assert 1_000 <= report.window.rows <= 1_100

    def test_rows_are_forgotten_by_time(self, watched: Watched) -> None:
        watched.ask_singly(table(600, 1))
        assert watched.judge().window.rows == 600
        watched.clock.now += 2 * 86_400
        assert watched.judge().window.rows == 0

    def test_windows_outlive_the_server(self, rent: Path, tmp_path: Path) -> None:
        first = Watched(rent, tmp_path)
        first.ask_singly(table(600, 1, moved=40))
        first.recorder.close()
        first.state.close()
        assert Watched(rent, tmp_path).judge().state == "alarm"

    def test_processes_share_a_window(self, rent: Path, tmp_path: Path) -> None:
        first, second = Watched(rent, tmp_path), Watched(rent, tmp_path)
        for each, seed in ((first, 1), (second, 2)):
            each.ask_singly(table(400, seed))
            each.judge()
        assert first.judge().window.rows == second.judge().window.rows == 800

    def test_a_page_shows_it(self, watched: Watched) -> None:
        watched.ask_singly(table(800, 1, moved=20))
        page = drift_page("rent", "1", watched.watch.columns.baseline, watched.judge()).html()
        assert "not what it was trained on" in page
        assert page.count("<svg") == 6
        assert "Bergen" in page

    def test_a_page_of_too_few_rows_says_so(self, watched: Watched) -> None:
        assert "Too few rows" in drift_page("rent", "1", watched.watch.columns.baseline, watched.judge()).html()


class TestSamples:
    def test_a_busy_model_is_sampled(self, watched: Watched) -> None:
        def respond(_: Any) -> Response:
            return Response(200, b"")

        rows = table(8, 1)
        tensors = watched.predictor.tensors(rows)

        def drawn(requests: int) -> int:
            count = 0
            for _ in range(requests):
                call = Call(watched.served, tensors, ["prediction"], respond)
                watched.watch.observe(call, Request("POST", "/"))
                count += call.respond is not respond
            return count

        assert drawn(500) == 100  # a burst, of which no more than this is
        watched.watch.adapt(0.5)  # a thousand a second, of which a tenth is enough
        assert 20 <= drawn(500) <= 90

    def test_of_a_large_request_a_few_rows_are_drawn(self, watched: Watched) -> None:
        watched.ask(table(5_000, 1))
        watched.recorder.flush()
        assert watched.watch.pane.rows == 16

    def test_what_cannot_be_taken_up_in_time_is_left_out(self, watched: Watched) -> None:
        rows = table(1_000, 1)
        for number in range(80):
            watched.ask(rows, f"request-{number}")
        assert watched.recorder.pending <= 51_000

    def test_answers_of_which_nothing_else_is_wanted_are_kept_together_and_found_one_by_one(
        self, watched: Watched
    ) -> None:
        rows = table(300, 1)
        expected = watched.predictor.run(watched.predictor.tensors(rows), ["prediction"])["prediction"].tolist()
        for number in range(300):
            watched.ask(rows[number : number + 1], f"request-{number}")
        watched.ask(rows[:3], "several")
        watched.ask(rows[7:8], "request-150")  # an id that comes again: the first stays
        watched.recorder.flush()
        assert not watched.recorder.pending
        assert watched.state.rows_of("rent", "several") == {}
        watched.state.unpack("rent", {"several", "request-150", "request-299", "never", "request-3 request-4"})
        assert watched.state.rows_of("rent", "several").keys() == {0, 1, 2}
        watched.state.put_truths("rent", [("several", row, 1.0) for row in range(3)] + [("request-150", 0, 2.0)])
        judged = {each.truth: each for each in watched.state.judged("rent", 10)}
        assert judged[2.0].answer == {"prediction": expected[150]}
        assert judged[2.0].model_id == watched.watch.model_id
        answers = [each.answer["prediction"] for each in watched.state.judged("rent", 10) if each.truth == 1.0]
        assert sorted(answers) == sorted(expected[:3])
        watched.state.unpack("rent", {"several", "request-150"})
        assert len(watched.state.judged("rent", 10)) == 4, "what is known of them stays"

    def test_answers_that_nobody_asks_for_are_forgotten(self, watched: Watched) -> None:
        rows = table(400, 1)
        for start in (0, 200):
            for number in range(start, start + 200):
                watched.ask(rows[number : number + 1], f"request-{number}")
            watched.recorder.flush()
            watched.clock.now += 100.0
        watched.state.drop_answers(watched.clock.now - 1_000.0, 150)
        watched.state.unpack("rent", {f"request-{number}" for number in range(400)})
        kept = [number for number in range(100, 400) if watched.state.rows_of("rent", f"request-{number}")]
        assert kept == list(range(200, 400)), "the last batch is whole"
        watched.state.drop_answers(watched.clock.now, 0)
        assert not watched.state.rows_of("rent", "request-399")

    def test_rows_are_kept_as_they_came(self, watched: Watched) -> None:
        rows = table(5, 1)
        (first, *_) = watched.watch.columns.rows(watched.predictor.inputs, watched.predictor.tensors(rows))
        assert list(first) == ["area", "built", "garden", "town"]
        again = watched.predictor.tensors([first])
        expected = watched.predictor.tensors(rows[:1])
        assert all(np.array_equal(again[name], expected[name], equal_nan=name == "numbers") for name in expected)

    def test_a_share_is_a_share(self) -> None:
        with pytest.raises(UsageError, match="share of 2"):
            check_share(2.0)
