"""One error tree, one catalogue, one shape; every error of the source fits its row."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lepton.core import CATALOGUE, ErrorCode, LeptonError, MissingExtraError, WorkerError, errors

SOURCE = Path(__file__).parents[2] / "src"
FAMILIES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, LeptonError) and value is not MissingExtraError
}
EXIT_CODES = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130}

texts = st.text(max_size=40)
plain = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=3)


def raised_in_source() -> list[tuple[str, str, str]]:
    """Every `Family(ErrorCode.X, ...)` in the source, as place, family and code."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id=family),
                    args=[ast.Attribute(value=ast.Name(id="ErrorCode"), attr=code), *_],
                ) if family in FAMILIES:
                    found.append((f"{path.relative_to(SOURCE)}:{node.lineno}", family, code))
    return found


def test_the_catalogue_is_complete():
    assert set(CATALOGUE) == set(ErrorCode)


def test_codes_are_words_for_addresses_and_logs():
    for code in ErrorCode:
        assert code.value == code.name.lower().replace("_", "-")


@pytest.mark.parametrize("code", ErrorCode)
def test_a_row_can_be_shown_to_anybody(code):
    row = CATALOGUE[code]
    assert issubclass(row.family, LeptonError)
    assert 400 <= row.http_status <= 599
    assert row.exit_code in EXIT_CODES
    assert row.title[0].isupper()
    assert row.title[-1] != "."
    assert len(row.title) <= 60


def test_titles_are_distinct():
    assert len({row.title for row in CATALOGUE.values()}) == len(CATALOGUE)


def test_every_error_of_the_source_is_of_its_family():
    wrong = [
        f"{place}: {family} for {code}"
        for place, family, code in raised_in_source()
        if not issubclass(FAMILIES[family], CATALOGUE[ErrorCode[code]].family)
    ]
    assert wrong == []


def test_the_source_is_really_read():
    assert len(raised_in_source()) > 20


def test_the_sentences_of_a_message():
    error = WorkerError(ErrorCode.WORKER_DIED, "got 3", wanted="2", fix="take 2!")
    assert str(error) == "got 3. Wanted: 2. Fix: take 2!"
    assert (error.http_status, error.exit_code, error.title) == (503, 8, "A worker died")


@given(
    st.sampled_from(list(FAMILIES.values())),
    st.sampled_from(ErrorCode),
    texts,
    texts,
    texts,
    st.dictionaries(texts, plain, max_size=3),
)
def test_errors_travel_and_have_one_shape(family, code, came, wanted, fix, details):
    error = family(code, came, wanted=wanted, fix=fix, details=details)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is family
    assert (str(again), again.to_dict()) == (str(error), error.to_dict())
    assert set(error.to_dict()) == {"code", "title", "message", "wanted", "fix", "details"}
    assert json.loads(json.dumps(error.to_dict())) == error.to_dict()
    assert came.strip() in str(error)


def test_a_missing_library_names_its_extra_and_travels():
    error = MissingExtraError("lightgbm", "train", "training")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is MissingExtraError
        assert "training needs the library 'lightgbm'" in str(one)
        assert "pip install 'lepton-ai[train]'" in str(one)
        assert one.details == {"library": "lightgbm", "extra": "train"}


def test_families_can_be_caught_as_python_does():
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.SchemaError, errors.DataError)
    assert issubclass(MissingExtraError, ImportError)
