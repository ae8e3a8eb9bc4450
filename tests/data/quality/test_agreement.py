"""Coefficients of agreement and consensus labels, against the examples of their papers."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics import cohen_kappa_score

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.quality import (
    cohen_kappa,
    consensus_labels,
    fleiss_kappa,
    krippendorff_alpha,
    measure_agreement,
)

PSYCHIATRISTS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
"""A table of 14 raters, 10 subjects and 5 labels that is widely used to explain Fleiss' kappa: 0.210."""

KRIPPENDORFF = {
    "a": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "b": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "c": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "d": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}
"""Four observers, twelve units, missing data: example C of Krippendorff 2011."""

# Pre-anaesthetic fitness of 45 patients: observer 1 three times, observers 2 to 5 once (Dawid and Skene 1979, table 1).
PATIENTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""


def table(columns):
    rows = [(item, who, label) for who, labels in columns.items() for item, label in enumerate(labels)]
    return read(pl.DataFrame(rows, schema=["item", "who", "label"], orient="row"), kinds={"item": "category"})


def patients():
    rows = [
        (f"patient {number}", str(max(1, place - 1)), label)
        for number, labels in enumerate(PATIENTS.split(), 1)
        for place, label in enumerate(labels)
    ]
    return read(pl.DataFrame(rows, schema=["item", "who", "label"], orient="row"), kinds={"label": "category"})


def test_cohen_1960():
    one = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    other = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert cohen_kappa(one, other) == pytest.approx(0.4)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(3))
def test_cohen_as_in_scikit_learn(weights, seed):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 4, 100)
    other = np.where(rng.random(100) < 0.6, one, rng.integers(0, 4, 100))
    wanted = cohen_kappa_score(one, other, weights=None if weights == "none" else weights)
    assert cohen_kappa(one, other, weights=weights) == pytest.approx(wanted)


def test_fleiss_1971():
    assert fleiss_kappa(PSYCHIATRISTS) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_krippendorff_2011(level, alpha):
    found = measure_agreement(table(KRIPPENDORFF), item="item", annotator="who", label="label", level=level)
    assert found.alpha == pytest.approx(alpha, abs=5e-4)
    assert (found.items, found.annotators, found.labels) == (11, 4, 40)


def test_krippendorff_of_two_observers_and_binary_labels():
    columns = {"a": [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], "b": [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]}
    found = measure_agreement(table(columns), item="item", annotator="who", label="label")
    assert found.alpha == pytest.approx(0.095, abs=5e-4)
    assert len(found.pairs) == 1
    assert found.pairs[0].agreed == 0.6
    assert "0.095" in found.text()
    assert found.to_dict()["pairs"][0]["items"] == 10


def test_dawid_and_skene_1979():
    found = consensus_labels(patients(), item="item", annotator="who", label="label")
    assert found.classes == ("1", "2", "3", "4")
    assert found.prevalence == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)
    assert list(found.counts.values()) == [135, 45, 45, 45, 45]
    labels = dict(zip(found.items, found.labels, strict=True))
    assert [labels[f"patient {number}"] for number in (1, 5, 11, 32)] == ["1", "2", "4", "3"]
    for matrix in found.confusion.values():
        assert matrix.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_consensus_beats_the_majority_where_annotators_differ(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, 400)
    skill = [0.95, 0.9, 0.45, 0.4, 0.4]
    columns = {
        f"a{k}": np.where(rng.random(400) < each, truth, (truth + 1) % 3).tolist() for k, each in enumerate(skill)
    }
    found = consensus_labels(table(columns), item="item", annotator="who", label="label")
    right = np.mean(np.array(found.labels) == truth)
    votes = np.array(list(columns.values()))
    majority = np.array([np.bincount(column, minlength=3).argmax() for column in votes.T])
    assert right > max(0.95, np.mean(majority == truth))
    assert found.annotators()["annotator"].to_list()[-1] == "a0"
    for k, each in enumerate(skill):
        assert np.diag(found.confusion[f"a{k}"]) == pytest.approx([each] * 3, abs=0.12)
    assert "a0" in repr(found)


def test_the_likelihood_of_the_consensus_is_that_of_a_maximum():
    short = consensus_labels(patients(), item="item", annotator="who", label="label")
    shuffled = read(patients().frame().sample(fraction=1.0, shuffle=True, seed=3), kinds={"label": "category"})
    again = consensus_labels(shuffled, item="item", annotator="who", label="label")
    assert short.likelihood == pytest.approx(again.likelihood, abs=1e-3)
    one = dict(zip(short.items, short.labels, strict=True))
    assert one == dict(zip(again.items, again.labels, strict=True))


@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=2, max_size=20))
def test_agreement_is_at_most_one(rows):
    counts = np.array(rows) + np.array([2, 0, 0])
    for value in (fleiss_kappa(counts), krippendorff_alpha(counts)):
        assert value is None or -1.01 <= value <= 1 + 1e-12


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30))
def test_who_always_agrees_has_one(labels):
    counts = 3 * np.eye(4, dtype=np.int64)[labels]
    wanted = None if len(set(labels)) == 1 else pytest.approx(1.0)
    assert fleiss_kappa(counts) == krippendorff_alpha(counts) == wanted
    assert cohen_kappa(np.array(labels), np.array(labels)) == wanted


def test_the_first_of_several_labels_counts():
    frame = pl.DataFrame(
        {"i": ["x", "x", "x", "y", "y"], "w": ["a", "a", "b", "a", "b"], "l": ["p", "q", "p", "q", "q"]}
    )
    found = measure_agreement(read(frame, kinds=dict.fromkeys("iwl", "category")), item="i", annotator="w", label="l")
    assert found.pairs[0].agreed == 1.0


def test_bad_input():
    labels = table(KRIPPENDORFF)
    with pytest.raises(DataError, match="gone"):
        measure_agreement(labels, item="item", annotator="who", label="gone")
    with pytest.raises(DataError, match="no item has labels of two"):
        measure_agreement(table({"a": [1, 2]}), item="item", annotator="who", label="label")
    with pytest.raises(DataError, match="no numbers"):
        measure_agreement(patients(), item="item", annotator="who", label="label", level="ordinal")
    with pytest.raises(DataError, match="three different columns"):
        consensus_labels(labels, item="item", annotator="item", label="label")
    with pytest.raises(UsageError, match="at least one item"):
        cohen_kappa(np.array([], dtype=int), np.array([], dtype=int))
    with pytest.raises(UsageError, match="at least two labels"):
        fleiss_kappa(np.array([[1, 0]]))
    with pytest.raises(UsageError, match="values"):
        krippendorff_alpha(PSYCHIATRISTS, level="interval")
