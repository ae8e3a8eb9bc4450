from __future__ import annotations

import json

import numpy as np
import pytest

from lepton.evaluation.weak import confident_mistakes, confusions
from lepton.evaluation.weak.confident import confidence_of
from tests.evaluation.weak.made import labelled, numbered


def test_the_surest_mistakes_come_first() -> None:
    answers = labelled(500, wrong=(0.2, 0.2))
    assert answers.probabilities is not None
    sure = np.linspace(0.5, 0.99, 500)
    answers.probabilities[np.arange(500), answers.predicted] = sure
    answers.probabilities[np.arange(500), 1 - answers.predicted] = 1 - sure
    found = confident_mistakes(answers, columns=["town"], most=5)
    wrong = np.flatnonzero(answers.y != answers.predicted)
    assert [each.row for each in found.cases] == wrong[::-1][:5].tolist()
    assert all(each.truth != each.answer and set(each.values) == {"town"} for each in found.cases)
    assert found.num_sure == int((sure >= 0.9).sum())
    assert found.expected == pytest.approx(float((1 - sure[sure >= 0.9]).mean()))
    assert found.wrong is not None
    assert found.wrong.value is not None
    assert found.wrong.value > 0.1
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_is_wrong() -> None:
    found = confident_mistakes(labelled(100, wrong=(0.0, 0.0)))
    assert found.cases == ()
    assert found.wrong is not None
    assert found.wrong.value == 0
    assert confusions(labelled(100, wrong=(0.0, 0.0))) == ()


def test_numbers_are_held_against_their_own_interval() -> None:
    answers = numbered(300)
    half = np.full(300, 10.0)
    half[7] = 0.01
    answers.beside.update(lower=answers.predicted - half, upper=answers.predicted + half)
    found = confident_mistakes(answers)
    assert found.cases[0].row == 7
    assert found.num_sure == 1
    assert found.limit is None
    without = confident_mistakes(numbered(300))
    error = np.abs(answers.y - answers.predicted)
    assert without.cases[0].row == int(error.argmax())
    assert "no intervals" in without.measure
    assert without.cases[0].sure == pytest.approx(float(error.max() / np.median(error)))


def test_an_interval_of_no_width_and_an_answer_that_is_none() -> None:
    answers = numbered(50)
    answers.predicted[3] = np.nan
    answers.beside.update(lower=answers.predicted.copy(), upper=answers.predicted.copy())
    found = confident_mistakes(answers, columns=["age", "since"])
    assert found.cases[0].row == 3
    json.dumps(found.to_dict(), allow_nan=False)


def test_confusions_are_counted_with_examples() -> None:
    answers = labelled(900, wrong=(0.3, 0.3), num_labels=3)
    found = confusions(answers, columns=["age"], examples=2)
    assert {(each.truth, each.answer) for each in found} == {("b", "a"), ("c", "b"), ("a", "c")}
    for each in found:
        truth, answer = answers.labels.index(each.truth), answers.labels.index(each.answer)
        rows = (answers.y == truth) & (answers.predicted == answer)
        assert each.num_rows == rows.sum()
        assert each.share == pytest.approx(rows.sum() / (answers.y == truth).sum())
        assert len(each.examples) == 2
        assert all(rows[case.row] for case in each.examples)
    json.dumps([each.to_dict() for each in found], allow_nan=False)
    assert confusions(numbered(50)) == ()


def test_how_sure_needs_no_truth() -> None:
    found = confidence_of(labelled(100))
    assert found is not None
    assert found.mean == pytest.approx(0.9)
    assert found.sure == 1
    assert found.unsure == 0
    assert confidence_of(numbered(100)) is None
