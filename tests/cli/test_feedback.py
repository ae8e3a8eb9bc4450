from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lepton.serving.watching.state import Answered, StateStore

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Three answers: one with its row and its truth, one without a row, one without a truth."""
    store = StateStore(tmp_path / "state")
    store.put_target("rent", "price")
    row = json.dumps({"area": 85.0, "town": "Oslo", "built": "1990-05-31T00:00:00.000000+00:00"})
    at = store.clock()
    kept = [("a", row), ("b", None), ("c", row)]
    store.put_answers(Answered("rent", name, 0, "1", "id", at, '{"prediction": 1.0}', row) for name, row in kept)
    store.put_truths("rent", [("a", 0, 12.5), ("b", 0, 3.0)])
    store.close()
    return tmp_path / "state"


def test_rows_and_truths_become_a_table(call: Call, state: Path, tmp_path: Path) -> None:
    output = tmp_path / "labelled.parquet"
    code, envelope = call("feedback", "export", str(state), "--model", "rent", "-o", str(output))
    assert (code, envelope["result"]["rows"], envelope["result"]["target"]) == (0, 1, "price")
    table = pl.read_parquet(output)
    assert table.select("area", "town", "price").rows() == [(85.0, "Oslo", 12.5)]
    assert table.schema["built"] == pl.Datetime("us", "UTC")


def test_a_model_that_was_not_served(call: Call, state: Path) -> None:
    code, envelope = call("feedback", "export", str(state), "--model", "price", "-o", "labelled.parquet")
    assert (code, envelope["error"]["code"]) == (3, "unknown-model")
    assert "one of rent" in envelope["error"]["message"]


def test_no_row_was_kept(call: Call, state: Path) -> None:
    words = ("feedback", "export", str(state), "--model", "rent", "-o", "labelled.parquet", "--since", "-1")
    code, envelope = call(*words)
    assert (code, envelope["error"]["code"]) == (3, "empty-data")


def test_a_folder_without_state_is_left_as_it_is(call: Call, tmp_path: Path) -> None:
    code, envelope = call("feedback", "export", str(tmp_path), "--model", "rent", "-o", "labelled.parquet")
    assert (code, envelope["error"]["code"]) == (3, "not-found")
    assert list(tmp_path.iterdir()) == []
