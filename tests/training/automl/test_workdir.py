"""The folder of a search: what is written comes back, what is damaged is refused, nothing in it runs."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, Kind, Role, UsageError, Work
from lepton.data import read
from lepton.training.automl.workdir import Asked, SearchFolder
from lepton.training.folds import Fold
from lepton.training.learners.baseline import Baseline
from lepton.training.learners.linear import Linear
from lepton.training.options import Options
from lepton.training.portfolio import Candidate

FOLDS = (Fold(np.arange(6), np.arange(6, 9)), Fold(np.arange(3, 9), np.arange(3)))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def asked(**changes):
    told = {
        "fingerprint": "f" * 64,
        "target": "price",
        "task": "regression",
        "metric": "rmse",
        "seed": 3,
        "within": 60.0,
        "effort": "good",
        "columns": {"size": ("number", "feature"), "price": ("number", "feature")},
        "options": {"monotone": {"size": 1}},
    }
    return Asked(**{**told, **changes})


def scored(seed=0, **more):
    raw = [np.random.default_rng(seed).normal(size=(3, 1)) for _ in FOLDS]
    return Candidate(Linear, {"label": "a", "penalty": 0.5}, settled={"penalty": 0.25}, raw=raw, **more)


@pytest.fixture
def folder(tmp_path):
    made = SearchFolder.make(tmp_path / "search", asked(), FOLDS)
    made.keep(scored(measured=(1000, 2.5), fit_seconds=1.5, fold_seconds=0.5))
    made.keep(Candidate(Linear, {"label": "b"}, note="given up", given_up=(3.5, 1), point={"penalty": 2.0}))
    made.keep(Candidate(Baseline, {"label": "mean"}, note="failed"))
    return made


def test_what_is_kept_comes_back(folder):
    again = SearchFolder.open(folder.path)
    assert again.asked == asked()
    for fold, before in zip(again.folds, FOLDS, strict=True):
        np.testing.assert_array_equal(fold.train, before.train)
        np.testing.assert_array_equal(fold.valid, before.valid)
    first, given_up, failed = again.candidates([Linear, Baseline], 1)
    wanted = scored()
    assert all(np.array_equal(a, b) for a, b in zip(first.raw, wanted.raw, strict=True))
    assert (first.learner, first.configuration, first.settled) == (Linear, wanted.configuration, wanted.settled)
    assert (first.measured, first.fit_seconds, first.fold_seconds) == ((1000, 2.5), 1.5, 0.5)
    assert (given_up.given_up, given_up.point, given_up.raw) == ((3.5, 1), {"penalty": 2.0}, [])
    assert (failed.learner, failed.note) == (Baseline, "failed")


def test_learners_that_are_not_asked_for_are_left_out(folder):
    assert [each.learner for each in folder.candidates([Baseline], 1)] == [Baseline]


def test_nothing_is_pickled(folder):
    assert {file.suffix for file in folder.path.iterdir()} == {".json", ".npz"}
    for file in folder.path.glob("*.npz"):
        with np.load(file, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype in (np.float64, np.int64) for name in arrays.files)


def test_a_trial_whose_facts_were_not_written_is_not_there(folder):
    (folder.path / "trial-00001.json").unlink()
    assert len(folder.candidates([Linear, Baseline], 1)) == 2
    folder.keep(scored(1))
    assert len(folder.candidates([Linear, Baseline], 1)) == 3


def test_one_folder_is_for_one_search(folder):
    with pytest.raises(UsageError, match=r"'search' holds a search already.*--continue"):
        SearchFolder.make(folder.path, asked(), FOLDS)


def test_a_folder_without_a_search(tmp_path):
    with pytest.raises(DataError, match="no search in the folder 'nothing'"):
        SearchFolder.open(tmp_path / "nothing")


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=9)))
def test_any_plain_configuration_comes_back(tmp_path_factory, configuration):
    path = tmp_path_factory.mktemp("any")
    SearchFolder.make(path, asked(), FOLDS).keep(Candidate(Linear, configuration, note="failed"))
    (found,) = SearchFolder.open(path).candidates([Linear], 1)
    assert found.configuration == configuration


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["search.json", "folds.npz", "trial-00001.json", "trial-00001.npz"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\x93NUMPY", b"PK\x03\x04", b"\xff" * 50, b'{"format": 2}'])
def test_damaged_files_are_refused(folder, name, content):
    (folder.path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*cannot be read"):
        SearchFolder.open(folder.path).candidates([Linear, Baseline], 1)


def test_a_missing_file_is_refused(folder):
    (folder.path / "trial-00001.npz").unlink()
    with pytest.raises(DataError, match=r"trial-00001\.npz"):
        folder.candidates([Linear], 1)


def test_objects_are_not_unpickled(folder):
    np.savez(folder.path / "trial-00001.npz", **{"fold-0": np.array([{}], dtype=object)}, allow_pickle=True)
    with pytest.raises(DataError, match=r"trial-00001\.npz.*cannot be read"):
        folder.candidates([Linear], 1)


@pytest.mark.parametrize(
    "raw",
    [
        np.zeros((2, 1)),
        np.zeros((3, 2)),
        np.zeros(3),
        np.zeros((3, 1), dtype=np.float32),
        np.full((3, 1), np.nan),
    ],
)
def test_scores_of_other_rows_are_refused(folder, raw):
    np.savez(folder.path / "trial-00001.npz", **{"fold-0": raw, "fold-1": np.zeros((3, 1))})
    with pytest.raises(DataError, match="scores of fold 0"):
        folder.candidates([Linear], 1)


@pytest.mark.parametrize("key", ["fingerprint", "target", "seed", "columns", "options"])
@pytest.mark.parametrize("value", [None, [1, 2], 0.5])
def test_what_was_asked_is_checked(folder, key, value):
    told = json.loads((folder.path / "search.json").read_text("utf-8"))
    (folder.path / "search.json").write_text(json.dumps({**told, key: value}), "utf-8")
    with pytest.raises(DataError, match=r"search\.json"):
        SearchFolder.open(folder.path)


# --- what was asked -------------------------------------------------------------------------------------------------


def test_the_same_question():
    schema = read({"size": [1.0, 2.0], "price": [3.0, 4.0]}).schema.with_roles({"size": Role.WEIGHT})
    one = Asked.of(schema, "f", "price", "regression", "rmse", "good", Options(monotone={"size": 1}), Work(9, seed=1))
    assert one.columns == {"size": (str(Kind.NUMBER), "weight"), "price": ("number", "feature")}
    assert (one.within, one.seed, one.options) == (9.0, 1, {"monotone": {"size": 1}})
    one.check(one, any_metric=False)


def test_another_table_is_refused():
    other = asked(fingerprint="a" * 64, columns={"size": ("category", "feature"), "price": ("number", "feature")})
    with pytest.raises(
        DataError, match=r"fingerprint is aaaaaaaaaaaa…, that of the search ffffffffffff….*'size' differs"
    ):
        asked().check(other, any_metric=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", "size"),
        ("task", "binary"),
        ("metric", "mae"),
        ("seed", 4),
        ("options", {}),
        ("columns", {"size": ("number", "weight"), "price": ("number", "feature")}),
    ],
)
def test_another_question_is_refused(name, value):
    with pytest.raises(UsageError, match=rf"asked with .*{name}"):
        asked().check(asked(**{name: value}), any_metric=False)


def test_another_metric_may_choose():
    asked().check(asked(metric="mae"), any_metric=True)


def test_a_copied_folder_is_the_same_search(folder, tmp_path):
    shutil.copytree(folder.path, tmp_path / "copy")
    assert len(SearchFolder.open(tmp_path / "copy").candidates([Linear, Baseline], 1)) == 3
