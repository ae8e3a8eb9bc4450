"""Learners that are asked for by name: which are tried, what is refused, and what the file then says."""

import polars as pl
import pytest

import lepton
from lepton.core import MissingExtraError, UsageError
from lepton.training.base import LEARNERS, Problem, learners_for
from lepton.training.learners.baseline import Baseline
from tests.training.conftest import make_frame

TABLE = make_frame(200)


@pytest.fixture(scope="module")
def rules():
    return lepton.train(TABLE.drop("level", "dear"), target="price", learners=["rules"])


def test_only_those_that_are_asked_for_are_tried(rules):
    assert {row.learner for row in rules.leaderboard().rows} == {"baseline", "rules"}
    assert rules.reports()["training"]["words"]


def test_a_list_of_rules_is_said_in_the_words_of_the_table(rules):
    said = rules.how().text()
    assert "IF " in said
    assert "THEN price is " in said
    assert "\nELSE price is " in said
    page = rules.report().html()
    assert "The model in words" in page
    assert "THEN price is" in page


def test_rules_of_classes_name_labels_and_shares():
    rows = {"town": ["Oslo", "Rome"] * 60, "sold": ["yes", "no"] * 60}
    model = lepton.train(rows, target="sold", learners=["rules"])
    assert model.reports()["training"]["words"] == [
        "IF town is 'Oslo' THEN sold is yes (99%) (60 rows)",
        "ELSE sold is no (99%) (60 rows)",
    ]
    assert list(model.predict({"town": ["Rome", "Oslo"]})) == ["no", "yes"]


def test_a_file_says_that_it_holds_rows():
    model = lepton.train(TABLE.drop("price", "dear"), target="level", learners=["neighbours"], keep_rows=True)
    assert any("holds 200 rows of the table" in note for note in model.leaderboard().notes)
    assert {row.learner for row in model.leaderboard().rows} == {"baseline", "neighbours"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"learners": ["rulez"]}, r"there is no 'rulez' among the learners\. Wanted: one of baseline, .*'rules'"),
        ({"learners": []}, r"got learners=\[\]\. Wanted: at least one of baseline"),
        ({"learners": ["neighbours"]}, r"without leave to keep rows\. Wanted: keep_rows=True"),
        ({"learners": ["naive-bayes"]}, r"got the learner 'naive-bayes' for the task 'regression'"),
        ({"learners": ["rules"], "monotone": {"size": 1}}, r"got the learner 'rules' with monotone"),
        ({"learners": ["rules"], "task": "anomaly", "target": None}, r"with task='anomaly'"),
        ({"keep_rows": True, "task": "forecast"}, r"keep_rows=True with task='forecast'"),
    ],
)
def test_what_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        lepton.train(TABLE.drop("level", "dear"), **({"target": "price"} | asked))


def test_one_name_may_be_given_as_it_is():
    rows = {"town": ["Oslo", "Rome"] * 20, "sold": ["yes", "no"] * 20}
    board = lepton.train(rows, target="sold", learners="naive-bayes").leaderboard()
    assert {row.learner for row in board.rows} == {"baseline", "naive-bayes"}


def test_a_search_with_nothing_to_look_for_is_the_portfolio():
    rows = pl.DataFrame({"town": ["Oslo", "Rome"] * 60, "sold": ["yes", "no"] * 60})
    model = lepton.train(rows, target="sold", learners=["rules"], within="30s")
    assert "search" not in model.reports()
    assert [row.learner for row in model.leaderboard().rows if row.chosen] == ["rules"]


def test_what_is_tried_without_being_asked():
    problem = Problem("binary", 2, 100)
    offered = {learner.name for learner in learners_for(problem)}
    assert {"baseline", "linear", "lightgbm", "forest"} <= offered
    assert not offered & {"rules", "naive-bayes", "neighbours"}
    assert "neighbours" in {learner.name for learner in learners_for(Problem("binary", 2, 100, keep_rows=True))}


class Absent(Baseline):
    """Needs a library that nobody has."""

    name = "absent"
    library = "a_library_that_is_nowhere"
    where_present = True


def test_a_library_that_is_absent(monkeypatch):
    addresses = {name: LEARNERS.address(name) for name in LEARNERS.names()}
    monkeypatch.setattr(LEARNERS, "_addresses", {**addresses, "absent": f"{__name__}:Absent"})
    assert "absent" not in {learner.name for learner in learners_for(Problem("binary", 2, 100))}
    with pytest.raises(MissingExtraError, match=r"absent.*Fix: pip install a_library_that_is_nowhere"):
        lepton.train(TABLE.drop("level", "dear"), target="price", learners=["absent"])
