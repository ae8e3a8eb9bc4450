"""What an explanation says: text, figures, pages and numbers for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.core import UsageError
from lepton.data import read
from lepton.evaluation.explain import Explanation, explain_table
from tests.evaluation.explain.table_models import forest, forest_model
from tests.evaluation.models import linear_model

NASTY = "<script>alert(1)</script>\x1b[31m"


def made(**changed: object) -> Explanation:
    """Two rows, three columns, one number."""
    given: dict[str, object] = {
        "model": "houses",
        "title": "'price'",
        "names": ("a", "b", "c"),
        "labels": (),
        "values": np.array([[[1.0], [-3.0], [0.5]], [[0.0], [0.0], [2.0]]]),
        "errors": np.full((2, 3, 1), 0.1),
        "degrees": np.array([10.0, np.inf]),
        "base": np.array([4.0]),
        "answers": np.array([[2.5], [6.0]]),
        "cells": pl.DataFrame({"a": [1.5, None], "b": ["red", ""], "c": [float("nan"), 7.0]}),
        "method": "sampling",
        "background": "100 rows",
        **changed,
    }
    return Explanation(**given)  # type: ignore[arg-type]


def test_margins_are_half_of_the_intervals() -> None:
    found = made()
    assert found.margins[0, 0, 0] == pytest.approx(0.2228, abs=1e-3)
    assert found.margins[1, 0, 0] == pytest.approx(0.196, abs=1e-3)


def test_the_strongest_come_first() -> None:
    found = made()
    assert [name for name, _, _ in found.strongest(0)] == ["b", "a", "c"]
    text = found.text()
    assert text.index("red") < text.index("1.5") < text.index("missing")
    assert "Row 1" in text
    assert "'price' is 2.5, and 4 on average" in text
    assert "±" in text
    assert "±" not in made(errors=np.zeros((2, 3, 1)), method="trees").text()


def test_many_columns_are_added_up_in_the_end() -> None:
    values = np.full((1, 40, 1), 0.25)
    found = made(
        names=tuple(f"c{at}" for at in range(40)),
        values=values,
        errors=np.zeros_like(values),
        degrees=np.array([np.inf]),
        answers=np.array([[14.0]]),
        cells=pl.DataFrame({f"c{at}": [1.0] for at in range(40)}),
    )
    assert "30 others" in found.text()
    assert "+7.5" in found.text()
    assert "25 others" in found.plot().render()


def test_many_rows_are_counted() -> None:
    many = 30
    found = made(
        values=np.ones((many, 3, 1)),
        errors=np.zeros((many, 3, 1)),
        degrees=np.full(many, np.inf),
        answers=np.full((many, 1), 7.0),
        cells=pl.DataFrame({"a": [1] * many}),
    )
    assert "and 20 more rows" in found.text()
    assert "on average over 30 rows" in found.page().html()


def test_figures_have_words_for_who_cannot_see_them() -> None:
    drawn = made().plot().render()
    assert "aria-label" in drawn or "<title" in drawn
    assert "b = red" in drawn


def test_names_from_outside_are_harmless() -> None:
    found = made(names=(NASTY, "b", "c"), cells=pl.DataFrame({NASTY: ["x", "y"], "b": [NASTY, "1"], "c": [1, 2]}))
    assert "<script>alert" not in found.page().html()
    assert "<script>alert" not in found._repr_html_()
    assert "\x1b" not in found.text()


def test_for_programs_there_is_no_nan() -> None:
    raw = json.loads(json.dumps(made().to_dict(), allow_nan=False))
    assert raw["rows"][0]["contributions"]["b"]["value"] == [-3.0]
    assert raw["base"] == [4.0]
    assert raw["rows"][1]["answer"] == [6.0]


def test_labels(tmp_path: Path) -> None:
    model = forest_model(tmp_path, forest(0, 3, num_trees=9, num_targets=3), labels=("red", "green", "blue"))
    rows = pl.DataFrame(np.random.default_rng(0).normal(size=(4, 3)), schema=["a", "b", "c"])
    found = explain_table(model, rows, data=read(rows))
    best = int(found.answers[0].argmax())
    assert found.strongest(0) == found.strongest(0, found.labels[best])
    assert found.plot(0, "green").render() != found.plot(0, "red").render()
    with pytest.raises(UsageError, match="purple"):
        found.plot(0, "purple")
    with pytest.raises(UsageError, match="row=4"):
        found.strongest(4)


def test_what_would_change_the_answer(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": [0.0, 4.0], "b": [0.0, 0.5]}, labels=("no", "yes"))
    data = pl.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), schema=["a", "b"])
    found = explain_table(model, {"a": [-0.4], "b": [0.1]}, data=read(data))
    changed = found.counterfactuals(k=1)
    assert "a" in str(changed)
    with pytest.raises(UsageError, match="no model"):
        made().counterfactuals()
