"""A statement holds as a whole: for its purpose, its fields and its key, or not at all."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.security import PrivateKey, check_statement, sign_statement, verify_statement

KEY = PrivateKey.generate()
FIELDS = {"model_id": "0" * 64, "time": "2026-11-21T08:00:00+00:00"}
NAMES = frozenset(FIELDS)
PURPOSE = "test/1"

plain = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=20)


@given(st.dictionaries(plain.filter(lambda name: name not in {"purpose", "key_id", "signature"}), plain), plain)
def test_what_was_signed_holds_and_nothing_else(fields, purpose):
    signed = sign_statement(purpose, fields, KEY)
    check_statement(signed, purpose, frozenset(fields))
    verify_statement(signed, KEY.public())
    for name in signed.keys() - {"signature"}:
        for changed in (signed | {name: signed[name] + "x"}, {k: v for k, v in signed.items() if k != name}):
            with pytest.raises(SecurityError) as caught:
                verify_statement(changed, KEY.public())
            assert caught.value.code == ErrorCode.BAD_SIGNATURE
    with pytest.raises(SecurityError):
        verify_statement(signed | {"another": "x"}, KEY.public())


def test_the_bytes_that_are_signed():
    signed = sign_statement(PURPOSE, {"b": "two", "a": "one"}, KEY)
    assert signed["signature"].endswith("==")
    text = f'{{"a":"one","b":"two","key_id":"{KEY.key_id}","purpose":"test/1"}}'
    assert sign_statement(PURPOSE, {"a": "one", "b": "two"}, KEY) == signed
    KEY.public().verify(base64.b64decode(signed["signature"]), text.encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"a": 'quote"'},
        {"a": "back\\slash"},
        {"a": "é"},
        {"a": "line\n"},
        {"a": ""},
        {"": "a"},
        {"a": "x" * 201},
        {"key_id": "0"},
        {"purpose": "x"},
        {"signature": "x"},
    ],
)
def test_what_a_statement_cannot_say(fields):
    with pytest.raises(UsageError, match="a statement cannot say"):
        sign_statement(PURPOSE, fields, KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": "AAAA"}, "its signature is AAAA"),
        ({"signature": "A" * 200}, "its signature is AAA"),
        ({"signature": "*" * 88}, "its signature is"),
        ({"signature": ""}, "its signature is ''"),
        ({"signature": None}, "its signature is None"),
        ({"time": 5}, "its time is 5"),
        ({"time": ["a"]}, "its time is"),
        ({"time": "a\x1b[31m"}, "its time is"),
        ({"model_id": "x" * 1000}, "its model_id is"),
        ({"purpose": "test/2"}, "its purpose is test/2"),
        ({"extra": "x"}, "it has the fields"),
    ],
)
def test_forms_that_are_refused(change, message):
    signed = sign_statement(PURPOSE, FIELDS, KEY)
    with pytest.raises(SecurityError, match="not a signed statement") as caught:
        check_statement(signed | change, PURPOSE, NAMES)
    assert caught.value.code == ErrorCode.BAD_SIGNATURE
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["signature", "key_id", "purpose", "time"])
def test_a_field_that_is_missing(name):
    signed = sign_statement(PURPOSE, FIELDS, KEY)
    del signed[name]
    with pytest.raises(SecurityError, match="it has the fields"):
        check_statement(signed, PURPOSE, NAMES)
