"""Anonymity: counts of small tables that can be done by hand, and the earth mover's distance by its definition."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.quality.anonymity import measure_anonymity

TABLE = {
    "age": [21, 22, 23, 34, 35, 36, 36],
    "town": ["a", "a", "a", "b", "b", "b", None],
    "ill": ["flu", "flu", "flu", "cold", "flu", "cough", "flu"],
}


def _measured(quasi, **options):
    return measure_anonymity(read(TABLE, kinds={"town": "category", "ill": "category"}), quasi, **options)


def test_groups_and_diversity_by_hand():
    found = _measured(["town"], sensitive=["ill"], least=3)
    assert (found.k, found.num_groups, found.num_rows, found.rows_in_small_groups) == (1, 3, 7, 1)
    (ill,) = found.sensitive
    assert (ill.l_distinct, ill.rows_given_away) == (1, 4)
    assert ill.l_entropy == pytest.approx(1.0)
    assert ill.t == pytest.approx(2 * (1 / 3 - 1 / 7))
    assert "k = 1 over town" in found.text()


def test_generalisations_that_raise_k_are_named():
    found = _measured(["age"], least=3)
    assert found.k == 1
    best = found.suggestions[0]
    assert (best.column, best.k, best.rows_in_small_groups) == ("age", 3, 0)
    assert best.how == "band of 5" or best.how == "band of 10"


def test_a_table_that_hides_well_needs_nothing():
    found = _measured(["town"], least=2).suggestions
    assert [each.how for each in found] == []


def test_l_by_entropy_counts_equally_likely_values():
    values = {"g": ["x"] * 4, "s": ["a", "b", "c", "d"]}
    (found,) = measure_anonymity(
        read(values, kinds={"g": "category", "s": "category"}), ["g"], sensitive=["s"]
    ).sensitive
    assert (found.l_distinct, found.t) == (4, 0.0)
    assert found.l_entropy == pytest.approx(4.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60))
def test_closeness_of_numbers_is_the_distance_of_cumulated_shares(rows):
    table = read({"g": [g for g, _ in rows], "s": [s for _, s in rows]}, kinds={"g": "number", "s": "number"})
    (found,) = measure_anonymity(table, ["g"], sensitive=["s"]).sensitive
    values = sorted({s for _, s in rows})
    whole = Counter(s for _, s in rows)
    expected = 0.0
    for group in {g for g, _ in rows}:
        own = Counter(s for g, s in rows if g == group)
        gap = np.cumsum([own[v] / own.total() - whole[v] / whole.total() for v in values])
        expected = max(expected, float(np.abs(gap[:-1]).sum()) / max(len(values) - 1, 1))
    assert found.t == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("quasi", "options"), [([], {}), (["age", "age"], {}), (["age"], {"sensitive": ["age"]}), (["age"], {"least": 1})]
)
def test_what_cannot_be_counted_is_refused(quasi, options):
    with pytest.raises(UsageError):
        _measured(quasi, **options)


def test_unknown_columns_are_named():
    with pytest.raises(DataError, match="'gone'"):
        _measured(["gone"])
