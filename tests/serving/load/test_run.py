"""Loads of real servers: right answers are told from wrong ones, and a load can be ended early."""

from __future__ import annotations

import threading

import pytest

from lepton.bundle import Predictor
from lepton.core import ServingError, UsageError, Work
from lepton.serving import Server
from lepton.serving.load import LoadShape, own_server, questions, rows_like, run_load
from tests.serving.load.scripted import scripted
from tests.serving.models import SOLD_COLUMNS


def asked(sold: Predictor, form="rows"):
    return questions(rows_like(sold.bundle, 16, seed=0), SOLD_COLUMNS, "sold", form=form, rows_each=2)


@pytest.mark.parametrize("form", ["rows", "tensors", "binary"])
def test_a_server_is_asked_and_its_answers_are_right(server: Server, sold: Predictor, form):
    shape = LoadShape(0.3, rate=200.0)
    found = run_load(server.url, "sold", asked(sold, form), shape, form=form, predictor=sold, work=Work())
    told = found.to_dict()
    assert told["codes"] == {"200": told["sent"]}
    assert told["sent"] > 20
    assert told["answers"] == {
        "compared": told["sent"] + 8,
        "different": 0,
        "against": "those of the file, opened here",
    }


def test_wrong_answers_are_counted(sold: Predictor):
    body = b'{"predictions":["yes","perhaps"]}'
    with scripted(lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body) as port:
        found = run_load(
            f"http://127.0.0.1:{port}",
            "sold",
            asked(sold),
            LoadShape(0.1),
            form="rows",
            predictor=sold,
            work=Work(),
        )
    assert found.checks["different"] == 8


def test_answers_that_change_under_load_are_counted(sold: Predictor):
    def answer(number, _):
        body = b'{"predictions":[%s]}' % (b"0.30000000000000004", b"0.3", b"0.4")[number % 3]
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    with scripted(answer) as port:
        shape = LoadShape(0.2, connections=1)
        found = run_load(f"http://127.0.0.1:{port}", "sold", asked(sold)[:1], shape, form="rows", work=Work())
    third = len(found.codes) / 3
    assert third - 1 <= found.checks["different"] <= third + 1


def test_a_load_is_ended_early_with_what_it_has(server: Server, sold: Predictor):
    work = Work(reporter=lambda record: work.cancel.set() if record.done > 0.5 else None)
    shape = LoadShape(600.0, rate=100.0)
    found = run_load(server.url, "sold", asked(sold), shape, form="rows", predictor=sold, work=work)
    assert found.stopped
    assert found.seconds < 500
    assert len(found.codes) > 10


def test_a_server_of_its_own(bundles):
    with own_server(bundles["sold"], "shop") as url:
        assert url.startswith("http://127.0.0.1:")
    with pytest.raises(ServingError, match="did not start"), own_server(bundles["damaged"], "shop"):
        pass


@pytest.mark.parametrize(
    ("url", "message"),
    [("https://127.0.0.1:1", "https://127.0.0.1:1"), ("127.0.0.1:1", "127.0.0.1:1"), ("http://h/v2", "http://h/v2")],
)
def test_addresses_that_are_none(sold: Predictor, url, message):
    with pytest.raises(UsageError, match=message):
        run_load(url, "sold", asked(sold), LoadShape(0.1), form="rows", work=Work())


def test_servers_that_do_not_answer(server: Server, sold: Predictor):
    with pytest.raises(ServingError, match="does not answer"):
        run_load("http://127.0.0.1:9", "sold", asked(sold), LoadShape(0.1), form="rows", work=Work())
    wrong = questions([{"rooms": 1, "town": "x", "garden": True}], SOLD_COLUMNS, "nobody")
    with pytest.raises(ServingError, match="answered 404 to the first request"):
        run_load(server.url, "nobody", wrong, LoadShape(0.1), form="rows", work=Work())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"seconds": 0}, "seconds=0"),
        ({"seconds": 1, "rate": -1}, "rate=-1"),
        ({"seconds": 1, "connections": 0}, "connections=0"),
        ({"seconds": 1, "timeout": float("nan")}, "timeout=nan"),
    ],
)
def test_shapes_that_are_none(shape, message):
    with pytest.raises(UsageError, match=message):
        LoadShape(**shape)


def test_ctrl_c_of_the_caller_ends_the_generator(server: Server, sold: Predictor):
    before = threading.active_count()
    work = Work(reporter=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_load(server.url, "sold", asked(sold), LoadShape(600.0, rate=10.0), form="rows", work=work)
    assert threading.active_count() == before
