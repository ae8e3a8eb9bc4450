"""Windows of values."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from lepton.data.media.scans.windows import Shape, Window, plain_grey, usual_window

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


@given(values, st.floats(-1e5, 1e5), st.floats(1e-3, 1e5), st.sampled_from(Shape))
def test_grey_grows_with_the_value(found, center, width, shape):
    picture = Window(center, width, shape).grey(np.sort(np.array(found)))
    assert (np.diff(picture.astype(int)) >= 0).all()


@given(values)
def test_the_usual_window_is_finite_and_holds_the_middle(found):
    array = np.array(found)
    window = usual_window([array])
    assert window is not None
    assert window.width > 0
    assert array.min() - 1 <= window.center <= array.max() + 1


def test_what_is_no_number_is_black_and_does_not_count():
    array = np.array([np.nan, 0.0, 10.0, np.inf])
    window = usual_window([array])
    assert window is not None
    assert window.grey(array).tolist() == [0, 0, 255, 255]
    assert usual_window([np.array([np.nan])]) is None


def test_rare_values_do_not_vanish():
    mask = np.zeros(10_000)
    mask[:3] = 1
    window = usual_window([mask])
    assert window is not None
    assert window.grey(mask)[0] == 255


def test_levels_of_eight_bits_stay():
    assert plain_grey(np.array([-3.0, 0.0, 7.4, 300.0])).tolist() == [0, 0, 7, 255]
