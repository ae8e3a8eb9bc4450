"""The queue of one model: its bound, its fairness, deadlines; and batches that answer as single calls do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from onnxruntime import RunOptions

from lepton.bundle import Predictor, open_model
from lepton.core import LeptonError
from lepton.serving import ModelStore
from lepton.serving.batching import Job, Lane, run_together
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols import InferenceProtocol, Request, Response
from lepton.serving.protocols.call import Call
from tests.serving.models import TOWNS, write_scaled

ROWS = "/v2/models/sold/rows"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    predictor = open_model(write_scaled(tmp_path_factory.mktemp("models") / "a.lepton", 2.0))
    return next(iter(opened(predictor)))


def opened(predictor: Predictor) -> ModelStore:
    store = ModelStore({"a": predictor})
    store.open_all()
    return store


def job(model: ServedModel, caller: str, value: float = 1.0, rows: int = 1, deadline: float | None = None) -> Job:
    call = Call(
        model,
        {"numbers": np.full((rows, 1), value)},
        ["prediction"],
        lambda answers: Response(200, json.dumps(answers["prediction"].tolist()).encode()),
    )
    return Job(Request("POST", "/", client=caller), call, lambda _: None, deadline)


def plain(_: Job, make: Callable[[], Response]) -> Response:
    return make()


def callers(jobs: list[Job]) -> list[str]:
    return [each.request.caller for each in jobs]


def test_the_first_job_starts_a_run_and_the_others_wait_for_it(model: ServedModel) -> None:
    lane = Lane(64, 32)
    assert [lane.put(job(model, "a"))[0] for _ in range(3)] == [True, False, False]
    first, _ = lane.take(0.0)
    assert len(first) == 3
    assert lane.put(job(model, "a")) == (False, None)
    assert len(lane.take(0.0)[0]) == 1
    assert lane.take(0.0) == ([], [])
    assert lane.put(job(model, "a")) == (True, None)


def test_several_runs_may_be_in_progress(model: ServedModel) -> None:
    lane = Lane(64, 32, 2)
    assert [lane.put(job(model, "a"))[0] for _ in range(3)] == [True, True, False]


def test_a_batch_has_a_bound_and_takes_callers_in_turn(model: ServedModel) -> None:
    lane = Lane(64, 4)
    for caller in "aaaaaabbc":
        lane.put(job(model, caller))
    assert callers(lane.take(0.0)[0]) == ["a", "b", "c", "a"]
    assert callers(lane.take(0.0)[0]) == ["b", "a", "a", "a"]
    assert callers(lane.take(0.0)[0]) == ["a"]


def test_what_does_not_fit_is_the_first_of_the_next_batch(model: ServedModel) -> None:
    lane = Lane(64, 4)
    for caller, rows in (("a", 3), ("b", 2), ("c", 1), ("a", 4)):
        lane.put(job(model, caller, rows=rows))
    batches = [callers(lane.take(0.0)[0]) for _ in range(3)]
    assert batches == [["a"], ["b", "c"], ["a"]]


def test_one_caller_cannot_keep_the_others_out(model: ServedModel) -> None:
    lane = Lane(4, 32)
    greedy = [job(model, "greedy", number) for number in range(4)]
    for each in greedy:
        lane.put(each)
    more = job(model, "greedy")
    assert not lane.admits("greedy")
    assert lane.put(more) == (False, more)
    assert lane.admits("other")
    assert lane.put(job(model, "other")) == (False, greedy[3])
    assert lane.put(job(model, "other")) == (False, None) or True
    waiting = callers(lane.take(0.0)[0])
    assert waiting.count("greedy") + waiting.count("other") == 4
    assert waiting.count("other") >= 1


def test_a_job_whose_deadline_has_passed_is_not_run(model: ServedModel) -> None:
    lane = Lane(64, 2)
    for deadline in (1.0, None, 3.0, 1.5):
        lane.put(job(model, "a", deadline=deadline))
    run, late = lane.take(2.0)
    assert [each.deadline for each in run] == [None, 3.0]
    assert [each.deadline for each in late] == [1.0, 1.5]


def test_who_is_gone_frees_a_place(model: ServedModel) -> None:
    lane = Lane(2, 32)
    jobs = [job(model, "a"), job(model, "b")]
    for each in jobs:
        lane.put(each)
    assert not lane.admits("c")
    lane.discard(jobs[0])
    lane.discard(jobs[0])
    assert lane.admits("c")
    assert lane.take(0.0)[0] == [jobs[1]]
    lane.discard(jobs[1])


def test_a_job_that_fails_spoils_no_other(model: ServedModel) -> None:
    good, bad = job(model, "a", 3.0), job(model, "b")
    bad.call.tensors["numbers"] = np.zeros((1, 2))  # type: ignore[index]
    told: list[str] = []

    def answer(each: Job, make: Callable[[], Response]) -> Response:
        try:
            return make()
        except LeptonError:
            told.append(each.request.caller)
            return Response(500, b"")

    responses = run_together([good, bad], answer, RunOptions())
    assert [response.status for response in responses] == [200, 500]
    assert json.loads(responses[0].body) == [6.0]
    assert told == ["b"]


ROW = st.fixed_dictionaries(
    {
        "rooms": st.none() | st.floats(-1e6, 1e6),
        "town": st.none() | st.sampled_from(list(TOWNS)),
        "garden": st.none() | st.booleans(),
    }
)


@given(st.lists(st.tuples(st.lists(ROW, min_size=1, max_size=3), st.booleans()), min_size=2, max_size=6))
def test_a_batch_answers_as_single_calls_do(store: ModelStore, asked: list[tuple[list[dict[str, Any]], bool]]) -> None:
    protocol = InferenceProtocol(store)
    jobs, alone = [], []
    for rows, as_infer in asked:
        if as_infer:
            body: Any = {"inputs": columns(rows), "outputs": [{"name": "probabilities"}]}
            request = Request("POST", "/v2/models/sold/infer", body=json.dumps(body).encode())
        else:
            request = Request("POST", ROWS, body=json.dumps(rows).encode())
        call = protocol.read(request)
        assert isinstance(call, Call)
        jobs.append(Job(request, call, lambda _: None))
        alone.append(protocol.answer(request).body)
    for response, body in zip(run_together(jobs, plain, RunOptions()), alone, strict=True):
        found, expected = json.loads(response.body), json.loads(body)
        for answer in (found, expected):
            numbers = answer.pop("probabilities", None)
            numbers = [list(row.values()) for row in numbers] if numbers else answer["outputs"][0].pop("data")
            answer["numbers"] = np.ravel(numbers)
        np.testing.assert_allclose(found.pop("numbers"), expected.pop("numbers"), rtol=1e-12)
        assert found == expected


def columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = {"rooms": "FP64", "town": "BYTES", "garden": "BOOL"}
    return [
        {"name": name, "datatype": kind, "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name, kind in kinds.items()
    ]


def test_matrix_products_answer_within_the_stated_tolerance(tmp_path: Path) -> None:
    """Sums of products depend on the batch in their last bits, since onnxruntime blocks them by its size."""
    predictor = open_model(write_scaled(tmp_path / "a.lepton", 0.3, layers=2, width=64))
    values = np.random.default_rng(0).normal(size=(1000, 64))
    together = predictor.run({"numbers": values})["prediction"]
    alone = np.concatenate([predictor.run({"numbers": values[row : row + 1]})["prediction"] for row in range(1000)])
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)


def test_the_urgent_go_first_and_the_others_give_way(model: ServedModel) -> None:
    def asks(caller: str, priority: int) -> Job:
        made = job(model, caller)
        made.priority = priority
        return made

    lane = Lane(4, 3)
    given = [asks("a", 5), asks("a", 7), asks("b", 5), asks("a", 5)]
    for each in given:
        assert lane.put(each)[1] is None
    assert lane.admits("c", 1)
    urgent, least = asks("c", 1), asks("d", 9)
    assert lane.put(urgent)[1] is given[1]
    assert not lane.admits("b", 9)
    assert lane.put(least) == (False, least)
    batch, _ = lane.take(0.0)
    assert batch == [urgent, given[0], given[2]]
    assert lane.take(0.0)[0] == [given[3]]
    assert lane.take(0.0) == ([], [])
