"""Names, numbers and texts that C reads back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.optimization.export.c_text import identifiers, literal, quoted


@given(st.text(max_size=20))
def test_a_quoted_text_reads_back(text):
    written = quoted(text)
    assert written.isascii()
    assert written[0] == written[-1] == '"'
    assert "?" not in written  # of which three make another character
    assert not {*written[1:-1].replace("\\", "")} & {'"', "\n", "\0"}
    assert written[1:-1].encode().decode("unicode_escape").encode("latin-1").decode() == text


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
        (np.float32(0.1), "0.10000000149011612f"),
        (float("nan"), "NAN"),
        (float("-inf"), "-INFINITY"),
        (True, "1"),
        (np.int64(-(2**63)), "INT64_MIN"),
        (2**40, "1099511627776LL"),
        (-5, "-5"),
    ],
)
def test_a_number_is_written_to_the_bit(value, wanted):
    assert literal(value) == wanted


@given(st.lists(st.text(max_size=70), max_size=8))
def test_identifiers_differ_and_are_names_of_c(names):
    found = identifiers(names)
    assert len({*found}) == len(names)
    assert all(name.isascii() and name.isidentifier() and not name.startswith("_") for name in found)


def test_identifiers_keep_what_they_can():
    assert identifiers(["rooms", "2nd floor", "int", "Köln", "rooms ", "!"]) == [
        "rooms", "x_2nd_floor", "int_2", "K_ln", "rooms_2", "column"
    ]  # fmt: skip
