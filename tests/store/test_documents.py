"""YAML from strangers is plain data, bounded, and what is written comes back."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode
from lepton.store.documents import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml, write_yaml

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_what_is_written_is_read_back(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "round-trip.yaml"
    write_yaml(path, data)
    found = read_yaml(path)
    assert found == data
    assert repr(found) == repr(data), "types stay: 1 is not 1.0 and not True"


@pytest.mark.parametrize(
    "text", ["1e3", "0E0", "no", "012", "1_0", "2020-01-01", "~", "", ".inf", "=", "<<", "1:30", "- a", "#"]
)
def test_texts_that_look_like_something_else_stay_texts(text, tmp_path):
    write_yaml(tmp_path / "a.yaml", {text: [text]})
    assert read_yaml(tmp_path / "a.yaml") == {text: [text]}


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_one_error(raw):
    with suppress(DataError):  # anything else is a fault
        parse_yaml(raw, "a.yaml")


@given(st.text(st.sampled_from("&*!|>{}[]:-?#,%@` \n\t'\"ab01.~<"), max_size=60))
def test_any_marks_of_yaml_are_data_or_one_error(text):
    with suppress(DataError):
        parse_yaml(text.encode(), "a.yaml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("!!python/name:os.system", "tag"),
        ("!<tag:yaml.org,2002:python/object:object> {}", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: !mine 3", "tag"),
        ("a: !!set {b}", "tag"),
        ("a: &x [1]\nb: *x", "anchor"),
        ("a: &x 1", "anchor"),
        ("a: 1\na: 2", "'a' twice.*line 2"),
        ("? [1, 2]\n: 3", "key that is no text"),
        ("a: 1\n---\nb: 2", "another document in line 2"),
        ("a: [1, 2", "line"),
        ("a: " + "1" * 5_000, "5000 digits"),
        ("\tb: 1", "line 1"),
    ],
)
def test_more_than_plain_data_is_refused_with_its_line(text, match):
    with pytest.raises(DataError, match=match) as caught:
        parse_yaml(text.encode(), "a.yaml")
    assert caught.value.code is ErrorCode.UNREADABLE


def test_a_merge_key_is_a_plain_text():
    assert parse_yaml(b"<<: {a: 1}\nb: 2", "a.yaml") == {"<<": {"a": 1}, "b": 2}


def test_a_bomb_of_aliases_is_refused_before_it_is_built():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(DataError, match=r"anchor or alias in line 1"):
        parse_yaml("\n".join(lines).encode(), "bomb.yaml")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5_000, "- " * 5_000 + "x"])
def test_deep_nesting_is_refused(text):
    with pytest.raises(DataError, match=r"levels"):
        parse_yaml(text.encode(), "deep.yaml")


def test_the_deepest_that_is_allowed_is_read():
    assert parse_yaml(("[" * MAX_DEPTH + "]" * MAX_DEPTH).encode(), "deep.yaml")


def test_a_large_file_is_refused(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DataError, match=r"large\.yaml is larger than"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("12:30:00", "12:30:00"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("010", 10),
        ("1e3", 1000.0),
        ("~", None),
        ("true", True),
        ("'1'", "1"),
        ("", None),
        ("\ufeffa", "a"),
    ],
)
def test_words_mean_what_they_mean_in_yaml_1_2(text, value):
    found = parse_yaml(text.encode(), "a.yaml")
    assert found == value
    assert type(found) is type(value)


def test_numbers_without_end():
    assert parse_yaml(b"[.inf, -.inf]", "a.yaml") == [math.inf, -math.inf]
    assert math.isnan(parse_yaml(b".nan", "a.yaml"))


def test_other_encodings_are_refused():
    with pytest.raises(DataError, match=r"not UTF-8 at byte 2"):
        parse_yaml(b"ab\xff", "a.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_path_that_is_no_file_is_refused(name, tmp_path):
    with pytest.raises(DataError) as caught:
        read_yaml(tmp_path / name)
    assert caught.value.code in (ErrorCode.NOT_FOUND, ErrorCode.NOT_A_FILE)
    assert str(tmp_path) not in str(caught.value)
