"""Names are labels, never paths."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, UsageError, check_label, check_name, printable

HOSTILE = [
    "../../canary",
    "/etc/passwd",
    "file:///etc",
    "%2e%2e%2f",
    "..\\..\\x",
    "a/b",
    "..",
    ".",
    ".hidden",
    "-rf",
    "~root",
    "$HOME",
    "a;b",
    "*",
    "a ",
    " a",
    "<script>",
    "${7*7}",
    "．．／",
]
HIDDEN = ["a\0b", "a\nb", "a\tb", "a\u202eb", "a\u200bb", "\ufeffa", "a\u2028b", "a\ud800b", "\x1b[31m"]


@pytest.mark.parametrize("name", ["houses", "v1.2_final-3", "Häuser", "房价", "my model", "नमूना"])
def test_good_names(name):
    assert check_name(name) == check_label(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_paths_and_shell_words_are_no_names(name):
    with pytest.raises(UsageError, match="cannot be used") as caught:
        check_name(name, "model name")
    assert caught.value.code is ErrorCode.BAD_NAME
    assert "model name" in str(caught.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_but_columns_may_be_called_so(name):
    assert check_label(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", HIDDEN)
def test_what_cannot_be_seen_is_refused_and_shown_escaped(name):
    for check in (check_label, check_name):
        with pytest.raises(UsageError, match="hidden characters") as caught:
            check(name)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(("name", "count"), [("", 0), ("a" * 129, 129), ("a" * 1_000_000, 1_000_000)])
def test_lengths(name, count):
    with pytest.raises(UsageError, match=f"has {count} characters") as caught:
        check_label(name)
    assert len(str(caught.value)) < 200
    assert check_label("a" * 128)


@pytest.mark.parametrize("name", [None, 3, b"a", ["a"]])
def test_only_text_is_a_name(name):
    with pytest.raises(UsageError, match=type(name).__name__):
        check_label(name)


@given(st.text(max_size=150))
def test_a_label_is_refused_or_comes_back_normal(text):
    try:
        label = check_label(text)
    except UsageError:
        return
    assert unicodedata.is_normalized("NFC", label)
    assert check_label(label) == label
    assert printable(label, 1000) == label


@given(st.text(max_size=150))
def test_a_name_is_a_label_without_separators(text):
    try:
        name = check_name(text)
    except UsageError:
        return
    assert check_label(name) == name
    assert not set(name) & set("/\\:%~$;*?\"'<>|&`{}\0")
    assert name.strip() == name


@given(st.text(max_size=300), st.integers(1, 100))
def test_printable_is_short_and_without_line_ends(text, limit):
    shown = printable(text, limit)
    assert not set(shown) & {"\n", "\r", "\0", "\x1b", "\u202e", "\u2028"}
    shown.encode("utf-8")
    assert len(shown) <= 10 * limit + 3
