"""Content types: taken apart strictly, and chosen by `Accept`."""

from __future__ import annotations

import pytest

from lepton.serving.protocols.media import (
    ARROW_FILE,
    ARROW_STREAM,
    CSV,
    MULTIPART,
    PARQUET,
    is_form,
    media_of,
    wanted_media,
)

JSON = "application/json"


@pytest.mark.parametrize(
    ("given", "essence", "parameters"),
    [
        ("text/csv", CSV, {}),
        (" Text/CSV ; Charset=UTF-8;header=present", CSV, {"charset": "UTF-8", "header": "present"}),
        ('multipart/form-data; boundary="a b;c"', MULTIPART, {"boundary": "a b;c"}),
        ("multipart/form-data; boundary=--x--", MULTIPART, {"boundary": "--x--"}),
        ("text/csv;", CSV, {}),
        ("", "", {}),
        ("csv", "", {}),
        ("text/csv, text/plain", "", {}),
        ("text/csv; charset", "", {}),
        ("text/csv; charset=utf-8; charset=utf-16", "", {}),
        ("text/csv; charset=utf-8 x", "", {}),
        ("text/plain; text/csv", "", {}),
    ],
)
def test_a_content_type_is_taken_apart(given: str, essence: str, parameters: dict[str, str]) -> None:
    assert (media_of(given).essence, dict(media_of(given).parameters)) == (essence, parameters)


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/html, image/png", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("text/csv", CSV),
        ("application/json, text/csv", JSON),
        ("text/csv, application/json", CSV),
        ("application/json;q=0.5, text/csv;q=0.9", CSV),
        ("text/csv;q=0, */*;q=0.1", JSON),
        ("TEXT/CSV", CSV),
        (ARROW_STREAM, ARROW_STREAM),
        (f"{ARROW_FILE}, */*;q=0.1", ARROW_FILE),
        (PARQUET, PARQUET),
        ("text/csv;q=2", JSON),
        ("text/csv;q=nan", JSON),
        (",,;;=", JSON),
    ],
)
def test_the_answer_is_what_accept_asks_for(accept: str | None, answer: str) -> None:
    assert wanted_media({} if accept is None else {"accept": accept}) == answer


def test_forms_are_told_from_json() -> None:
    assert is_form({"content-type": CSV})
    assert is_form({"content-type": "multipart/form-data; boundary=x"})
    assert not is_form({"content-type": JSON})
    assert not is_form({"content-type": "application/json; charset=utf-8"})
    assert not is_form({})
