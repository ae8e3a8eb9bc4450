"""Models by name, and why one is not ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton.core import ErrorCode, ServingError, UsageError
from lepton.serving import ModelState, ModelStore, named


def test_a_damaged_model_does_not_take_the_others_down(store: ModelStore) -> None:
    assert store.states == {"price": "ready", "sold": "ready", "damaged": "failed"}
    assert store.ready
    assert store.first_error is None
    assert store["sold"].row_seconds > 0
    assert store["damaged"].reason
    with pytest.raises(ServingError, match="'damaged' is not ready") as caught:
        _ = store["damaged"].predictor
    assert caught.value.code is ErrorCode.NOT_READY


def test_nothing_is_ready_before_models_are_open(bundles: dict[str, Path]) -> None:
    store = ModelStore({"sold": bundles["sold"]})
    assert not store.ready
    assert store["sold"].state is ModelState.LOADING
    with pytest.raises(ServingError, match="being opened"):
        _ = store["sold"].predictor


def test_when_no_model_opens_the_first_reason_is_known(bundles: dict[str, Path], tmp_path: Path) -> None:
    store = ModelStore({"damaged": bundles["damaged"], "absent": tmp_path / "absent.lepton"})
    store.open_all()
    assert not store.ready
    assert store.first_error is store["damaged"].error
    assert str(tmp_path) not in store["absent"].reason


def test_opened_models_are_served_as_they_are(store: ModelStore) -> None:
    predictor = store["sold"].predictor
    other = ModelStore({"champion": predictor})
    other.open_all()
    assert other["champion"].predictor is predictor


def test_an_unknown_model_is_said_with_those_that_are_there(store: ModelStore) -> None:
    with pytest.raises(ServingError, match=r"no model 'huses'.*price, sold") as caught:
        _ = store["huses"]
    assert caught.value.code is ErrorCode.UNKNOWN_MODEL


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a\u202eb", "x" * 129])
def test_names_that_cannot_be_used(name: str, bundles: dict[str, Path]) -> None:
    with pytest.raises(UsageError):
        ModelStore({name: bundles["sold"]})


def test_names_that_are_one_are_refused(bundles: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="two models"):
        ModelStore({"e\u0301": bundles["sold"], "\u00e9": bundles["sold"]})


def test_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model"):
        ModelStore({})


def test_names_of_files() -> None:
    assert named(["a/houses.lepton", "best=b/x.lepton"]) == {
        "houses": Path("a/houses.lepton"),
        "best": Path("b/x.lepton"),
    }
    with pytest.raises(UsageError, match="two models have the name 'houses'"):
        named(["a/houses.lepton", "b/houses.lepton"])
