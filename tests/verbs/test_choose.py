"""`Model.choose`: which table it takes, and what it says where it cannot."""

import copy
import pickle

import polars as pl
import pytest

import lepton
from lepton.core import BudgetError, DataError, UsageError
from tests.training.automl.conftest import few_learners
from tests.training.conftest import make_frame

FRAME = make_frame(240).select(pl.exclude("dear", "level", "town"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with few_learners():
        path = tmp_path_factory.mktemp("verbs") / "m.lepton"
        return lepton.train(FRAME, target="price", max_trials=6, output=path)


def chosen(model, *source, **options):
    with few_learners():
        return model.choose(*source, **options)


def test_the_table_is_remembered_by_who_trained(model, tmp_path):
    small = chosen(model, max_size="30KB", output=tmp_path / "small.lepton")
    assert small.path.stat().st_size > 0
    assert small.reports()["training"]["limits"]["size"]["measured"] <= 30_000
    again = chosen(small, metric="mae")  # a chosen model knows its search and its table too
    assert again.leaderboard().metric == "mae"
    assert len(again.predict(FRAME.drop("price"))) == 240


def test_a_loaded_model_is_given_it(model):
    loaded = lepton.load(model.path)
    assert chosen(loaded, FRAME, max_size="30KB").task == "regression"
    for forgetful in (loaded, pickle.loads(pickle.dumps(model))):
        with pytest.raises(UsageError, match="got no table"):
            forgetful.choose(max_size="30KB")
    assert chosen(copy.copy(model), max_size="30KB").task == "regression"


def test_mistakes(model, tmp_path):
    with pytest.raises(UsageError, match="nothing to choose by"):
        model.choose()
    with pytest.raises(DataError, match="not the one that was searched"):
        model.choose(FRAME.head(200), max_size="1MB")
    with pytest.raises(BudgetError, match=r"the one that needs least is saved in .*least\.lepton"):
        chosen(model, max_size="1KB", output=tmp_path / "least.lepton")
    assert (tmp_path / "least.lepton").exists()


def test_a_model_that_was_not_searched_for(tmp_path):
    with few_learners():
        plain = lepton.train(FRAME, target="price", effort="fast", output=tmp_path / "plain.lepton")
    with pytest.raises(DataError, match=r"does not know a search .*effort='fast'"):
        plain.choose(FRAME, max_size="1MB")


def test_a_metric_of_ones_own(tmp_path):
    def closeness(y, answer, weight, labels):
        return -float(abs(y - answer).mean())

    with few_learners():
        model = lepton.train(FRAME, target="price", max_trials=2, metric=closeness, output=tmp_path / "m.lepton")
    with pytest.raises(UsageError, match="function 'closeness'"):
        model.choose(max_size="1MB")
    assert chosen(model, max_size="1MB", metric=closeness).leaderboard().metric == "closeness"


def test_forecasts_have_no_search(tmp_path):
    with pytest.raises(UsageError, match="workdir='here'"):
        lepton.train(FRAME, target="price", task="forecast", time="when", horizon=3, workdir="here")
