"""The overview: each part that can be made is there, and what is not there is named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, Interrupted, UsageError, Work
from lepton.data import Dataset, read
from lepton.evaluation.explain.strengths import strengths
from lepton.evaluation.explain.whole import overview
from tests.evaluation.explain.functions import function_model, two_labels
from tests.evaluation.models import linear_model

COLUMNS = {"x": "number", "twin": "number", "town": "category", "unused": "number"}
GAIN = {"Oslo": 3.0, "Bergen": 0.0, "Bodø": -2.0}


def answers(c: dict[str, Any]) -> Any:
    return 2 * c["x"] + c["twin"] + np.array([GAIN[text] for text in c["town"]]) * (1 + (c["x"] > 0))


def table(rows: int = 400, seed: int = 0, labels: bool = True) -> Dataset:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=rows)
    town = generator.choice(list(GAIN), rows)
    columns = {
        "x": x,
        "twin": x + 0.05 * generator.normal(size=rows),
        "town": town,
        "unused": generator.normal(size=rows),
    }
    frame = pl.DataFrame(columns)
    if labels:
        y = answers({name: frame[name].to_numpy() for name in columns}) + generator.normal(size=rows)
        frame = frame.with_columns(y=pl.Series(y))
    return read(frame)


def test_all_parts_with_labels():
    found = overview(function_model(COLUMNS, answers), table())
    assert found.missing == {}
    assert found.importance is not None
    assert found.importance.groups[0].columns == ("x", "twin")
    assert {each.column for each in found.effects[:2]} == {"x", "town"}
    assert "unused" not in [each.column for each in found.effects]
    assert found.together[0][:2] == ("x", "twin")
    assert found.interactions is not None
    assert set(found.interactions.pairs[0].columns) == {"x", "town"}
    assert [each.told for each in found.interactions.pairs] == [True, False, False]
    assert found.surrogate is not None
    assert found.prototypes is not None
    text, html = found.text(), found.page().html()
    for told in ("These go together", "x, twin", "x × town", "Typical rows", "rows that it did not see"):
        assert told in text.replace("town × x", "x × town")
    for heading in (
        "Columns that go together",
        "How closely",
        "What each column does",
        "Effect of town",
        "Typical rows",
    ):
        assert heading in html
    assert html.count('role="img"') >= 5
    assert html.count("aria-label") > html.count('role="img"')
    assert "<script" not in html
    json.dumps(found.to_dict(), allow_nan=False)


def test_without_labels_what_can_be_said_is_said():
    found = overview(function_model(COLUMNS, answers), table(labels=False))
    assert found.importance is None
    assert "no labels" in found.missing["importance"]
    assert "no labels" in found.text()
    assert found.strengths is not None
    assert found.strengths.strongest(9) == [each.column for each in found.effects]
    assert found.strengths.columns[-1].column == "unused"
    assert found.strengths.columns[-1].moved.value == 0
    assert "needs no labels" in found.page().html()


def test_strengths_are_those_of_theory(tmp_path):
    """Of a linear model with independent columns, a column takes part in weight² times its variance."""
    generator = np.random.default_rng(0)
    data = read(pl.DataFrame({name: generator.normal(size=500) for name in ("a", "b", "c")}))
    found = strengths(linear_model(tmp_path, {"a": 3.0, "b": 1.0, "c": 0.0}), data)
    moved = {each.column: each.moved for each in found.columns}
    for name, weight in (("a", 3.0), ("b", 1.0)):
        lower, upper = moved[name].lower, moved[name].upper
        assert lower is not None
        assert upper is not None
        assert lower < weight < upper
    assert (moved["c"].value, moved["c"].upper) == (0.0, 0.0)
    assert found.complete


def test_of_very_many_columns_only_the_strongest():
    generator = np.random.default_rng(0)
    cells = generator.normal(size=(120, 1_500))
    names = [f"c{place}" for place in range(1_500)]
    weight = np.zeros(1_500)
    weight[[7, 1_000, 1_499]] = (1.0, 2.0, 3.0)
    model = function_model(
        dict.fromkeys(names, "number"), lambda c: sum(weight[p] * c[f"c{p}"] for p in (7, 1_000, 1_499))
    )
    found = overview(model, read(pl.DataFrame(cells, schema=names)), max_rows=120)
    assert [each.column for each in found.effects] == ["c1499", "c1000", "c7"]
    assert model.num_asked < 300_000  # type: ignore[attr-defined]
    assert any("3 strongest of 1,500" in note for note in found.notes)
    assert len(found.text().splitlines()) < 60


def test_many_columns_that_all_count_are_not_told_as_if_all_were_known(tmp_path, monkeypatch):
    monkeypatch.setattr("lepton.evaluation.explain.strengths._QUESTIONS", 150)
    generator = np.random.default_rng(1)
    weights: dict[str, Any] = {f"c{place}": float(generator.normal()) for place in range(300)}
    weights["c123"] = 40.0
    data = read(pl.DataFrame(generator.normal(size=(100, 300)), schema=list(weights)))
    found = strengths(linear_model(tmp_path, weights), data, most=20)
    assert found.columns[0].column == "c123"
    assert len(found.columns) >= 20
    assert not found.complete
    whole = overview(linear_model(tmp_path, weights, name="other"), data)
    assert any("no time to be sure" in note for note in whole.notes)


def test_one_column_a_constant_answer_and_a_few_rows():
    one = overview(function_model({"x": "number"}, lambda c: c["x"] ** 2), read({"x": np.arange(200.0)}))
    assert any("one column" in note for note in one.notes)
    assert one.interactions is not None
    assert one.interactions.pairs == ()
    flat = overview(function_model(COLUMNS, lambda c: np.full(len(c["x"]), 1.0)), table())
    assert flat.effects == ()
    assert any("answers the same" in note for note in flat.notes)
    assert "nothing to imitate" in flat.text()
    few = overview(function_model(COLUMNS, answers), table(3))
    assert few.missing.keys() == {"surrogate", "interactions", "prototypes"}
    assert any("3 rows" in note for note in few.notes)
    for found in (one, flat, few):
        assert found.page().html()
        json.dumps(found.to_dict(), allow_nan=False)


def test_all_missing_and_infinite_cells():
    frame = table().frame().with_columns(unused=pl.lit(None, dtype=pl.Float64), twin=pl.lit(float("inf")))
    model = function_model(
        COLUMNS, lambda c: answers({"x": c["x"], "town": c["town"], "twin": np.where(np.isnan(c["unused"]), 0.0, 1.0)})
    )
    found = overview(model, read(frame))
    assert {each.column for each in found.effects} == {"x", "town"}
    assert found.page().html()
    json.dumps(found.to_dict(), allow_nan=False)


def test_classifiers_of_two_and_of_many_labels():
    def chance(c: dict[str, Any]) -> Any:
        return 1 / (1 + np.exp(-answers(c)))

    two = overview(function_model(COLUMNS, lambda c: two_labels(chance(c)), labels=("no", "yes")), table(200))
    assert "'yes'" in two.text()

    def seven(c: dict[str, Any]) -> Any:
        raw = np.exp(np.stack([answers(c) * place / 6 for place in range(7)], axis=1))
        return raw / raw.sum(axis=1, keepdims=True)

    labels = tuple("abcdefg")
    many = overview(function_model(COLUMNS, seven, labels=labels), table(200, labels=False), max_rows=150)
    assert {len(each.curves) for each in many.effects} == {5}
    assert any("2 labels" in note for note in many.notes)
    assert any("150 of 200" in note for note in many.notes)
    assert many.page().html()


def test_texts_are_pointed_elsewhere():
    data = read(table(100).frame().with_columns(words=pl.Series(["good indeed", "rather bad"] * 50)))
    model = function_model({**COLUMNS, "words": "text"}, lambda c: answers(c) + 9.0 * (c["words"] == "good indeed"))
    found = overview(model, data)
    assert "words" not in [each.column for each in found.effects]
    assert found.strengths is not None
    assert found.strengths.columns[0].column == "words"
    assert any("which words" in note for note in found.notes)


def test_columns_and_a_target_that_are_named():
    model = function_model(COLUMNS, answers)
    found = overview(model, table(), columns=["unused", "town"], kind="pdp")
    assert [(each.column, each.kind) for each in found.effects] == [("unused", "pdp"), ("town", "pdp")]
    with pytest.raises(DataError, match="did you mean 'twin'"):
        overview(model, table(), columns=["twins"])
    with pytest.raises(DataError, match="nowhere"):
        overview(model, table(), target="nowhere")
    with pytest.raises(UsageError, match="numbers"):
        overview(model, table(), label="yes")


def test_time_that_is_over_gives_what_there_is_and_names_the_rest():
    work = Work()

    def stop(record: Any) -> None:
        if "effect of x" in record.note:
            work.cancel.set()

    work.reporter = stop
    found = overview(function_model(COLUMNS, answers), table(), work=work)
    assert [each.column for each in found.effects] == ["town"]
    assert found.missing["effects"] == "there was no time for all"
    assert {"surrogate", "interactions", "prototypes"} <= found.missing.keys()
    assert "Not here" in found.text()
    assert "no time" in found.page().html()
    with pytest.raises(Interrupted):
        overview(function_model(COLUMNS, answers), table(), work=work)


def test_the_same_seed_gives_the_same():
    model = function_model(COLUMNS, answers)
    first, again = (overview(model, table(), max_rows=150, seed=4).to_dict() for _ in range(2))
    assert first == again
    assert first != overview(model, table(), max_rows=150, seed=5).to_dict()


def test_models_without_a_table_or_a_number_are_refused():
    clusters = function_model(COLUMNS, lambda c: np.zeros(len(c["x"])), task="clustering")
    with pytest.raises(UsageError, match="clustering"):
        overview(clusters, table())
