"""The verbs and the `Model` that they give: what a user holds, copies, saves and shows."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import Any

import pytest

import lepton
from lepton.core import DataError, ErrorCode, UsageError

TABLE: dict[str, list[Any]] = {
    "rooms": [1.0, 2.0, 3.0, 4.0] * 10,
    "town": ["Ulm", "Bonn"] * 20,
    "price": [10.0, 21.0, 29.0, 41.0] * 10,
}
ROWS = [{"rooms": 2.0, "town": "Ulm"}, {"rooms": None, "town": "Rome"}]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of two models that differ."""
    folder = tmp_path_factory.mktemp("models")
    doubled = {**TABLE, "price": TABLE["price"][::-1]}
    lepton.train(TABLE, target="price", within="1s", output=folder / "one.lepton")
    lepton.train(doubled, target="price", within="1s", output=folder / "two.lepton")
    return folder / "one.lepton", folder / "two.lepton"


@pytest.fixture
def path(two, tmp_path) -> Path:
    """A copy of the first model's file."""
    return lepton.load(two[0]).save(tmp_path / "one.lepton")


def test_a_model_is_saved_over_itself_and_again(path):
    before = path.read_bytes()
    model = lepton.load(path)
    assert model.save(path) == model.save(path) == path
    assert path.read_bytes() == before


def test_a_model_whose_file_was_replaced_does_not_save_the_other(two, path, tmp_path):
    model = lepton.load(path)
    answers = model.predict(ROWS)
    lepton.load(two[1]).save(path)
    for use in (lambda: model.save(tmp_path / "new.lepton"), model.reports, lambda: model.save(path)):
        with pytest.raises(DataError, match="holds another model") as caught:
            use()
        assert caught.value.code is ErrorCode.CHANGED_WHILE_READ
    assert not (tmp_path / "new.lepton").exists()
    assert lepton.load(path).model_id == lepton.load(two[1]).model_id
    assert model.predict(ROWS) == answers


def test_a_model_whose_file_is_gone_still_answers_and_shows_itself(two, path):
    model = lepton.load(path)
    shown = model._repr_html_()
    path.unlink()
    assert model.predict(ROWS) == lepton.load(two[0]).predict(ROWS)
    assert model.leaderboard().rows
    assert model._repr_html_() == shown
    with pytest.raises(DataError, match=r"no file 'one\.lepton'"):
        model.save(two[1])
    assert lepton.load(two[1]).model_id != model.model_id


def test_copies_outlive_the_model_that_was_trained_without_output():
    model = lepton.train(TABLE, target="price", within="1s")
    held = model.path
    copies = [copy.copy(model), copy.deepcopy(model)]
    again = pickle.loads(pickle.dumps(model))
    assert again.model_id == model.model_id
    assert again.predict(ROWS) == model.predict(ROWS)
    del model, again
    gc.collect()
    assert all(each.leaderboard().rows and each.reports() for each in copies)
    del copies
    gc.collect()
    assert not held.parent.exists()


def test_a_pickle_does_not_open_another_model(two, path):
    pickled = pickle.dumps(lepton.load(path))
    lepton.load(two[1]).save(path)
    with pytest.raises(DataError, match="another model than was pickled"):
        pickle.loads(pickled)


def test_predict_takes_what_read_gives(path, tmp_path):
    model = lepton.load(path)
    table = lepton.read(TABLE)
    wanted = model.predict(table.frame()).to_list()
    table.save(tmp_path / "rows.csv")
    assert model.predict(table).to_list() == wanted
    assert model.predict(tmp_path / "rows.csv").to_list() == lepton.predict(path, table).to_list() == wanted


def test_a_leaderboard_shows_itself_in_a_notebook(path):
    page = lepton.load(path).leaderboard()._repr_html_()
    assert "baseline" in page
    assert "<table" in page


def test_one_segment_as_text_is_refused(path):
    with pytest.raises(UsageError, match=r"segments='town'.*\['town'\]"):
        lepton.evaluate(path, TABLE, segments="town")


def test_arguments_of_another_type_are_refused():
    nothing: Any = None
    number: Any = 3
    text: Any = "one"
    for call, message in (
        (lambda: lepton.load(nothing), "got a path of type NoneType"),
        (lambda: lepton.train(TABLE, target=number), "no column '3'"),
        (lambda: lepton.train(TABLE, target="price", seed=text), "got seed='one'"),
        (lambda: lepton.train(TABLE, target="price", seed=number / 2), "got seed=1.5"),
    ):
        with pytest.raises(lepton.LeptonError, match=message):
            call()
