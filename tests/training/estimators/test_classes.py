import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError
from lepton.training.estimators.classes import numbered_classes

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@given(st.lists(TEXTS, min_size=1, max_size=30), st.booleans())
def test_texts_are_numbered_as_numpy_numbers_them(values, as_objects):
    # numpy's own texts drop NULs at the end.
    few = [value.rstrip("\0") for value in values]
    y = np.array(few * (200 if len(few) > 15 else 1) * 2, dtype=object if as_objects else str)
    classes, numbers = numbered_classes(y)
    expected, inverse = np.unique(y, return_inverse=True)
    assert classes.dtype == expected.dtype
    assert classes.tolist() == expected.tolist()
    assert numbers.tolist() == inverse.tolist()


@pytest.mark.parametrize("y", [np.array([3, 1, 3]), np.array([True, False]), np.array([2.0, 1.0, 2.0])])
def test_other_classes_keep_their_type(y):
    classes, numbers = numbered_classes(y)
    assert classes.dtype == y.dtype
    assert classes[numbers].tolist() == y.tolist()


def test_numbers_that_are_no_classes_are_refused():
    with pytest.raises(ValueError, match="continuous"):
        numbered_classes(np.array([0.5, 1.25, 3.75]))


def test_texts_among_numbers_are_refused():
    with pytest.raises(DataError, match="different kinds: int, str"):
        numbered_classes(np.array(["a", 1], dtype=object))
