"""Questions are rows that the model takes, in every form; tables are asked with as they stand."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model, read_bundle
from lepton.core import SchemaError
from lepton.data import Baseline, read
from lepton.serving import ModelStore
from lepton.serving.load import questions, rows_like, rows_of
from lepton.serving.protocols import InferenceProtocol, Request
from tests.serving.models import SOLD_COLUMNS

ROW = {"rooms": 3.5, "town": "Basel", "garden": True}


@pytest.mark.parametrize("name", ["price", "sold"])
def test_rows_of_a_model_without_statistics_are_of_its_kinds(bundles, name):
    bundle = read_bundle(bundles[name])
    rows = rows_like(bundle, 50, seed=1)
    assert rows == rows_like(bundle, 50, seed=1) != rows_like(bundle, 50, seed=2)
    answers = open_model(bundle).predict(json.loads(json.dumps(rows)))
    assert len(answers) == 50


def test_rows_look_like_the_training_data(bundles, monkeypatch):
    random = np.random.default_rng(0)
    table = read(
        {
            "rooms": [None if random.random() < 0.25 else random.normal(100, 5) for _ in range(400)],
            "town": random.choice(["Basel", "Zürich"], 400, p=[0.9, 0.1]).tolist(),
            "garden": (random.random(400) < 0.8).tolist(),
        },
        kinds={"rooms": "number", "town": "category", "garden": "boolean"},
    )
    members = Baseline.of(table.frame(), table.schema, {}).to_members()
    bundle = read_bundle(bundles["sold"])
    monkeypatch.setattr(type(bundle), "names", ("baseline/inputs.json", "baseline/outputs.json"))
    monkeypatch.setattr(type(bundle), "member", lambda _, name: members[name.removeprefix("baseline/")])
    rows = rows_like(bundle, 300, seed=0)
    rooms = [row["rooms"] for row in rows if row["rooms"] is not None]
    assert 50 < 300 - len(rooms) < 100
    assert 98 < np.mean(rooms) < 102
    assert {row["town"] for row in rows} == {"Basel", "Zürich"}
    assert sum(row["town"] == "Basel" for row in rows) > 240
    assert 200 < sum(row["garden"] for row in rows) < 280


@pytest.mark.parametrize("form", ["rows", "tensors", "binary"])
@pytest.mark.parametrize("rows_each", [1, 3])
def test_the_server_answers_every_form_as_the_model_does(store: ModelStore, sold: Predictor, form, rows_each):
    rows = rows_like(sold.bundle, 7, seed=0)
    asked = questions(rows, SOLD_COLUMNS, "sold", form=form, rows_each=rows_each)
    assert len(asked) == -(-7 // rows_each)
    protocol = InferenceProtocol(store)
    for question in asked:
        assert len(question.rows) == rows_each
        answer = protocol.answer(Request("POST", question.path, headers=dict(question.headers), body=question.body))
        assert answer.status == 200, answer.body
        told = json.loads(answer.body)
        found = told["predictions"] if form == "rows" else told["outputs"][0]["data"]
        assert found == list(sold.predict(list(question.rows)))


def test_a_question_as_http():
    (question,) = questions([ROW], SOLD_COLUMNS, "a b/c", token="secret")
    top, _, body = question.http("[::1]:80").partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    assert lines[0] == "POST /v2/models/a%20b%2Fc/rows HTTP/1.1"
    assert {"host: [::1]:80", "authorization: Bearer secret", f"content-length: {len(body)}"} <= set(lines)
    assert json.loads(body) == [ROW]


def test_rows_of_a_table():
    frame = pl.DataFrame({"x": [1, 2], "rooms": [1.5, None], "town": ["a", "b"], "garden": [True, None]})
    assert rows_of(frame, SOLD_COLUMNS, 9) == [
        {"rooms": 1.5, "town": "a", "garden": True},
        {"rooms": None, "town": "b", "garden": None},
    ]
    assert len(rows_of(frame, SOLD_COLUMNS, 1)) == 1
    with pytest.raises(SchemaError, match="no column 'town'"):
        rows_of(frame.drop("town"), SOLD_COLUMNS, 9)
    with pytest.raises(SchemaError, match="no rows"):
        rows_of(frame.head(0), SOLD_COLUMNS, 9)
    when = pl.DataFrame({"rooms": [1.0], "town": [dt.datetime.fromisoformat("2020-01-02T03:00")], "garden": [True]})
    assert rows_of(when, SOLD_COLUMNS, 1)[0]["town"] == "2020-01-02T03:00:00"
