"""More models than memory: who is let go, and who waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import Predictor, open_model
from lepton.core import ErrorCode, Resources, ServingError, WorkerError
from lepton.serving import ModelState, ModelStore, Server, Sources
from lepton.serving.model_store import ServedModel
from lepton.serving.repository import Repository
from lepton.serving.residency import MemoryBound, resident_bytes, wait_for
from tests.serving.models import write_scaled
from tests.serving.wire import post, request

SIZE = 100_000
"""What each model takes here, larger than its file."""


class Meter:
    """The memory of a process in which models are all that there is."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._opened = 0

    def __call__(self) -> int:
        self._opened += 1
        return SIZE * (self._opened // 2)  # before and after each opening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate("abcd", start=1):
        write_scaled(tmp_path / f"{name}.lepton", float(number))
    return tmp_path


@pytest.fixture
def store(folder: Path) -> ModelStore:
    return bounded(folder, 2 * SIZE)


def bounded(folder: Path, limit: int) -> ModelStore:
    store = ModelStore.empty(Resources(cpus=1))
    store.residency = MemoryBound(limit, store.resources, Meter(store))
    Repository(Sources([folder]), store).open_all()
    return store


def bound_of(store: ModelStore) -> MemoryBound:
    assert isinstance(store.residency, MemoryBound)
    return store.residency


def is_open(store: ModelStore) -> list[str]:
    return [model.name for model in store if model.is_open]


def ask(store: ModelStore, name: str) -> list[float]:
    answer: list[float] = store[name].predictor.predict([{"x0": 1.0}])
    return answer


def test_those_asked_least_recently_are_let_go_and_come_again(store: ModelStore) -> None:
    assert is_open(store) == ["c", "d"]
    assert set(store.states.values()) == {"ready"}
    assert ask(store, "c") == [3.0]
    assert ask(store, "a") == [1.0]
    assert is_open(store) == ["a", "c"]
    assert ask(store, "b") == [2.0]
    assert is_open(store) == ["a", "b"]
    bound = bound_of(store)
    assert (bound.used, bound.size(store["a"]), bound.evictions) == (2 * SIZE, SIZE, 4)


def test_what_was_let_go_tells_of_itself_without_being_opened(store: ModelStore) -> None:
    rests = store["a"]
    assert rests.rests
    assert rests.described.inputs.names == ("x0",)
    assert rests.inputs[0].name == "numbers"
    assert rests.described.model_id == open_model(rests.source).model_id  # type: ignore[arg-type]
    assert rests.rests


def test_a_request_that_holds_a_model_keeps_it(store: ModelStore) -> None:
    held = store["d"].predictor
    ask(store, "a")
    ask(store, "b")
    assert not store["d"].is_open
    assert held.predict([{"x0": 2.0}]) == [8.0]


def test_a_model_that_does_not_fit_says_so_and_the_others_answer(folder: Path) -> None:
    small = bounded(folder, SIZE - 1)
    assert set(small.states.values()) == {"failed"}
    assert isinstance(small["a"].error, WorkerError)
    assert small["a"].error.code is ErrorCode.OUT_OF_MEMORY
    tiny = bounded(folder, 10)  # not even opened
    assert "Wanted: at most 0 MB" in tiny["a"].reason
    (folder / "e.lepton").write_bytes((folder / "a.lepton").read_bytes() + bytes(3 * SIZE))
    store = bounded(folder, 2 * SIZE)
    assert store["e"].state is ModelState.FAILED
    assert "--max-memory" in store["e"].reason
    assert ask(store, "a") == [1.0]


def test_a_file_that_changed_or_went_is_no_answer_of_the_old_version(store: ModelStore, folder: Path) -> None:
    model = store["a"]
    write_scaled(folder / "a.lepton", 9.0)
    with pytest.raises(ServingError, match="holds another model") as refused:
        ask(store, "a")
    assert refused.value.code is ErrorCode.NOT_READY
    (folder / "b.lepton").unlink()
    with pytest.raises(ServingError, match="cannot be opened again"):
        ask(store, "b")
    write_scaled(folder / "a.lepton", 1.0)
    with pytest.raises(ServingError):  # it is not tried at every request
        ask(store, "a")
    record = bound_of(store)._known[model]
    assert record.failed is not None
    record.failed = (record.failed[0] - 10.0, record.failed[1])
    assert ask(store, "a") == [1.0]


def test_an_opened_model_is_never_let_go(folder: Path) -> None:
    store = ModelStore({"a": open_model(folder / "a.lepton"), "b": folder / "b.lepton", "c": folder / "c.lepton"})
    store.residency = MemoryBound(SIZE, store.resources, Meter(store))
    store.open_all()
    assert is_open(store) == ["a", "c"]


def test_unseen_values_go_on_being_counted(store: ModelStore) -> None:
    store["d"].predictor.unseen["town"] = 3
    ask(store, "a")
    ask(store, "b")
    assert store["d"].rests
    assert store["d"].described.unseen == {"town": 3}
    store["d"].predictor.unseen["town"] += 1
    assert store["d"].described.unseen == {"town": 4}


def test_waiting_has_an_end(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()

    def slow(*arguments: Any, **options: Any) -> Predictor:
        assert opened.wait(20)
        return open_model(*arguments, **options)

    monkeypatch.setattr("lepton.serving.residency.open_model", slow)
    model = store["a"]
    with pytest.raises(TimeoutError):
        wait_for(model, 0.0)
    first, second = bound_of(store).open_soon(model), bound_of(store).open_soon(model)
    assert first is second
    opened.set()
    wait_for(ServedModel("both", Path("both"), parts=(model, store["d"])), None)
    assert model.is_open
    bound_of(store).close()


def test_what_fails_at_once_is_told_at_once(store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.lepton").unlink()
    bound = bound_of(store)

    def at_once(call: Any, model: ServedModel) -> Future[Predictor]:
        done: Future[Predictor] = Future()
        with pytest.raises(ServingError) as failed:
            call(model)
        done.set_exception(failed.value)
        return done

    monkeypatch.setattr(bound._opener, "submit", at_once)
    for _ in range(2):
        with pytest.raises(ServingError, match="cannot be opened again"):
            wait_for(store["a"], None)
    assert not bound._futures


def test_this_process_takes_memory() -> None:
    assert resident_bytes() > 2**20


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Server(Sources([folder]), port=0, max_memory=10**9) as server:
        yield server


def let_go(server: Server, name: str) -> None:
    server.models[name].put(None)


def body(**parameters: Any) -> dict[str, Any]:
    tensor = {"name": "numbers", "datatype": "FP64", "shape": [1, 1], "data": [1]}
    return {"inputs": [tensor], "parameters": parameters}


def test_the_loop_answers_others_while_a_model_is_opened(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, opened = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Predictor:
        opening.set()
        assert opened.wait(20)
        return open_model(*arguments, **options)

    monkeypatch.setattr("lepton.serving.residency.open_model", slow)
    address = (server.host, server.port)
    let_go(server, "a")
    assert request(address, "GET", "/v2/models/a").json["state"] == "ready"
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(post, address, f"/v2/models/a/{kind}", body()) for kind in ("infer", "infer")]
        rows = pool.submit(post, address, "/v2/models/a/rows", {"x0": 5})
        assert opening.wait(20)
        assert post(address, "/v2/models/b/infer", body()).json["outputs"][0]["data"] == [2.0]
        late = post(address, "/v2/models/a/infer", body(timeout=1000))
        assert (late.status, late.json["code"]) == (504, "deadline-passed")
        assert post(address, "/v2/models/a/infer", body(timeout="soon")).status == 400
        opened.set()
        assert [each.result().json["outputs"][0]["data"] for each in waiting] == [[1.0], [1.0]]
        assert rows.result().json["predictions"] == [5.0]


def test_a_model_that_cannot_be_opened_again_says_why(server: Server, folder: Path) -> None:
    let_go(server, "c")
    (folder / "c.lepton").write_bytes(b"PK")
    answer = post((server.host, server.port), "/v2/models/c/infer", body())
    assert (answer.status, answer.json["code"]) == (503, "not-ready")
    assert "let go for want of memory" in answer.json["error"]
    assert str(folder) not in answer.json["error"]
