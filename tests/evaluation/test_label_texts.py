"""Several labels in one text."""

import polars as pl
import pytest

from lepton.evaluation import flags_of_texts, labels_of_texts


@pytest.mark.parametrize("separator", ["; ", "|", " ,"])
def test_labels_are_found_between_separators(separator):
    texts = pl.Series([separator.join(["b", "a"]), None, "", "e\u0301", separator.join(["a", "", "a"])])
    labels = labels_of_texts(texts)
    assert labels == ("a", "b", "é")
    assert flags_of_texts(texts, labels).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_one_separator_is_meant():
    texts = pl.Series(["a, b; c", "c"])
    assert labels_of_texts(texts) == ("a, b", "c")
    assert flags_of_texts(texts, ("a, b", "c")).tolist() == [[1, 1], [0, 1]]
    assert flags_of_texts(pl.Series(["x", "x; c"]), ("a, b", "c")).tolist() == [[0, 0], [0, 1]]
