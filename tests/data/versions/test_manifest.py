"""Manifests say what was saved, add up over parts, and are refused where they are none."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError
from lepton.data import read
from lepton.data.versions.manifest import ColumnSummary, read_manifest, summed
from tests.data.versions.tables import claims

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


def summary(values):
    kept = np.array([value for value in values if value is not None])
    if not len(kept):
        return len(values), ColumnSummary("x", len(values))
    ends = float(kept.min()), float(kept.max()), float(kept.mean()), float(kept.std())
    return len(values), ColumnSummary("x", len(values) - len(kept), *ends)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_summaries_of_parts_add_up_to_that_of_the_whole(parts):
    found = summed(map(summary, parts))
    _, whole = summary([value for part in parts for value in part])
    assert (found.missing, found.minimum, found.maximum) == (whole.missing, whole.minimum, whole.maximum)
    if whole.mean is not None:
        assert found.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6)
        assert found.deviation == pytest.approx(whole.deviation, rel=1e-6, abs=1e-3)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    claims().save(tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet.manifest.json").read_bytes()
    version = read_manifest(data, "t")
    assert version.to_bytes() == data
    assert version.id == claims().fingerprint()
    assert (version.num_rows, version.schema) == (60, claims().schema)
    income = version.statistics[2]
    values = claims().frame()["income"]
    assert (income.missing, income.minimum, income.maximum) == (values.null_count(), values.min(), values.max())
    assert income.mean == pytest.approx(values.mean())


def test_values_that_no_double_can_sum_leave_a_manifest_that_can_be_read(tmp_path):
    table = read(pl.DataFrame({"x": [1e308, 1e308, -1e308, float("inf")], "y": [2**62, 2**62, 1, 0]}))
    table.save(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").frame().equals(table.frame())


def _changed(change):
    def changed(raw):
        change(raw)
        return json.dumps(raw).encode()

    return changed


@pytest.mark.parametrize(
    "make",
    [
        lambda raw: b"",
        lambda raw: b"[]",
        lambda raw: b"[" * 100_000,
        lambda raw: json.dumps(raw).encode()[:-200],
        _changed(lambda raw: raw.update(lepton="table/9")),
        _changed(lambda raw: raw.pop("parts")),
        _changed(lambda raw: raw.update(parts=[])),
        _changed(lambda raw: raw.update(number=True)),
        _changed(lambda raw: raw.update(number=-1)),
        _changed(lambda raw: raw.update(operation="stolen")),
        _changed(lambda raw: raw.update(id="0" * 64)),
        _changed(lambda raw: raw.update(recipe=[1])),
        _changed(lambda raw: raw["columns"].pop()),
        _changed(lambda raw: raw["columns"][0].update(kind="gold")),
        _changed(lambda raw: raw["parts"][0].update(file="../../canary.parquet")),
        _changed(lambda raw: raw["parts"][0].update(file="/etc/passwd")),
        _changed(lambda raw: raw["parts"][0].update(num_rows="many")),
        _changed(lambda raw: raw["parts"][0].update(sha256="x")),
        _changed(lambda raw: raw["parts"][0].update(surprise=1)),
    ],
    ids=range(19),
)
def test_a_manifest_that_is_none_is_refused_in_one_sentence(tmp_path, make):
    claims().save(tmp_path / "t.parquet")
    beside = tmp_path / "t.parquet.manifest.json"
    beside.write_bytes(make(json.loads(beside.read_bytes())))
    with pytest.raises(DataError, match="manifest") as caught:
        read(tmp_path / "t.parquet")
    assert caught.value.code == "bad-version"
