"""The metrics against scikit-learn, against values worked out by hand, and against their own laws."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from sklearn import metrics as reference

from lepton.core import DataError, SchemaError, UsageError
from lepton.evaluation import METRICS, Metric, metric, metrics_of

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]

LABELS = {2: ("no", "yes"), 3: ("a", "b", "c"), 4: (0, 1, 2, 7)}
# Quarters add up exactly, so that ties and halves are the same for both implementations.
WEIGHTS = st.integers(1, 12).map(lambda quarters: quarters / 4)
PROBABILITY = st.sampled_from([0.0, 1e-300, 1e-12, 0.1, 0.25, 0.5, 0.5000000001, 0.75, 0.9, 1 - 1e-12, 1.0])


@st.composite
def classified(draw: Callable[[Any], Any], widths: tuple[int, ...] = (2, 3, 4), one_class: bool = True) -> Rows:
    """Labels, probabilities with many ties and extremes, weights, and the model's labels."""
    width = draw(st.sampled_from(widths))
    size = draw(st.integers(1 if one_class else width, 30))
    truth = np.array(draw(st.lists(st.integers(0, width - 1), min_size=size, max_size=size)))
    if not one_class:
        truth[:width] = np.arange(width)
    if width == 2:
        positive = np.array(draw(st.lists(PROBABILITY, min_size=size, max_size=size)))
        probabilities = np.stack([1 - positive, positive], axis=1)
    else:
        raw = np.array(draw(st.lists(st.integers(0, 3), min_size=size * width, max_size=size * width)), dtype=float)
        raw = raw.reshape(size, width)
        raw[raw.sum(axis=1) == 0] = 1.0
        probabilities = raw / raw.sum(axis=1, keepdims=True)
    weights = np.array(draw(st.lists(WEIGHTS, min_size=size, max_size=size)))
    return np.array(LABELS[width])[truth], probabilities, weights, LABELS[width]


@st.composite
def regressed(draw: Callable[[Any], Any], smallest: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    number = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
    size = draw(st.integers(smallest, 30))
    three = [draw(st.lists(s, min_size=size, max_size=size)) for s in (number, number, WEIGHTS)]
    return np.array(three[0]), np.array(three[1]), np.array(three[2])


def close(ours: float, theirs: float) -> bool:
    return ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def quietly(function: Callable[..., float], *arguments: Any, **named: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(*arguments, **named))


BY_LABEL: dict[str, Callable[..., float]] = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "f1_macro": lambda y, a, **k: reference.f1_score(y, a, average="macro", **k),
    "f1_weighted": lambda y, a, **k: reference.f1_score(y, a, average="weighted", **k),
}


@pytest.mark.parametrize("name", BY_LABEL)
@given(rows=classified())
def test_label_metrics_equal_scikit_learn(name: str, rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    answer = np.array(labels)[probabilities.argmax(axis=1)]
    for chosen in (None, weight):
        theirs = quietly(BY_LABEL[name], y, answer, sample_weight=chosen)
        assert close(METRICS[name](y, answer, chosen, labels), theirs)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@given(rows=classified(widths=(2,)))
def test_positive_label_metrics_equal_scikit_learn(name: str, rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    answer = np.array(labels)[probabilities.argmax(axis=1)]
    function = getattr(reference, f"{name}_score")
    for chosen in (None, weight):
        theirs = quietly(function, y, answer, sample_weight=chosen, pos_label="yes", zero_division=np.nan)
        assert METRICS[name](y, answer, chosen, labels) == pytest.approx(theirs, rel=1e-12, nan_ok=True)


@given(rows=classified())
def test_matthews_equals_scikit_learn(rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    assume(len(set(y.tolist())) > 1)
    answer = np.array(labels)[probabilities.argmax(axis=1)]
    for chosen in (None, weight):
        theirs = quietly(reference.matthews_corrcoef, y, answer, sample_weight=chosen)
        assert close(METRICS["matthews"](y, answer, chosen, labels), theirs)


@pytest.mark.parametrize(
    ("name", "function"),
    [("roc_auc", reference.roc_auc_score), ("average_precision", reference.average_precision_score)],
)
@given(rows=classified(one_class=False))
def test_ranking_metrics_equal_scikit_learn(name: str, function: Callable[..., float], rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    assume(set(y.tolist()) == set(labels))
    truth = y[:, None] == np.array(labels)
    score = probabilities
    if len(labels) == 2:
        truth, score = truth[:, 1], probabilities[:, 1]
    for chosen in (None, weight):
        assert close(METRICS[name](y, probabilities, chosen, labels), function(truth, score, sample_weight=chosen))


@given(rows=classified())
def test_log_loss_and_brier_equal_scikit_learn(rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    positions = np.array([labels.index(each) for each in y.tolist()])
    for chosen in (None, weight):
        keywords: dict[str, Any] = {"sample_weight": chosen, "labels": list(range(len(labels)))}
        theirs = quietly(reference.log_loss, positions, probabilities, **keywords)
        assert close(METRICS["log_loss"](y, probabilities, chosen, labels), theirs)
        theirs = quietly(reference.brier_score_loss, positions, probabilities, scale_by_half=True, **keywords)
        assert close(METRICS["brier"](y, probabilities, chosen, labels), theirs)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mae", reference.mean_absolute_error),
        ("mse", reference.mean_squared_error),
        ("rmse", reference.root_mean_squared_error),
        ("median_absolute_error", reference.median_absolute_error),
    ],
)
@given(rows=regressed())
def test_errors_equal_scikit_learn(name: str, function: Callable[..., float], rows: tuple[np.ndarray, ...]) -> None:
    y, answer, weight = rows
    for chosen in (None, weight):
        assert close(METRICS[name](y, answer, chosen), function(y, answer, sample_weight=chosen))


@given(rows=regressed(smallest=2))
def test_r2_equals_scikit_learn(rows: tuple[np.ndarray, ...]) -> None:
    y, answer, weight = rows
    assume(np.ptp(y) > 0)
    for chosen in (None, weight):
        assert close(METRICS["r2"](y, answer, chosen), reference.r2_score(y, answer, sample_weight=chosen))


@given(rows=regressed())
def test_mape_equals_scikit_learn_on_rows_whose_target_is_not_zero(rows: tuple[np.ndarray, ...]) -> None:
    y, answer, weight = rows
    there = y != 0
    assume(there.any())
    for chosen, kept in ((None, None), (weight, weight[there])):
        theirs = reference.mean_absolute_percentage_error(y[there], answer[there], sample_weight=kept)
        assert close(METRICS["mape"](y, answer, chosen), theirs)


def answers(each: Metric, probabilities: np.ndarray, labels: tuple[Any, ...]) -> np.ndarray:
    return probabilities if each.needs == "probabilities" else np.array(labels)[probabilities.argmax(axis=1)]


@given(rows=classified(), seed=st.integers(0, 99))
def test_classification_metrics_ignore_order_and_split_weights(rows: Rows, seed: int) -> None:
    y, probabilities, weight, labels = rows
    shuffled = np.random.default_rng(seed).permutation(len(y))
    for each in metrics_of("binary" if len(labels) == 2 else "multiclass"):
        answer = answers(each, probabilities, labels)
        value = each(y, answer, weight, labels)
        permuted = each(y[shuffled], answer[shuffled], weight[shuffled], labels)
        halved = each(np.tile(y, 2), np.concatenate([answer, answer]), np.tile(weight / 2, 2), labels)
        assert permuted == pytest.approx(value, rel=1e-9, nan_ok=True), each.name
        assert halved == pytest.approx(value, rel=1e-9, nan_ok=True), each.name


@given(rows=regressed(), seed=st.integers(0, 99))
def test_regression_metrics_ignore_order_and_split_weights(rows: tuple[np.ndarray, ...], seed: int) -> None:
    y, answer, weight = rows
    shuffled = np.random.default_rng(seed).permutation(len(y))
    for each in metrics_of("regression"):
        value = each(y, answer, weight)
        assert each(y[shuffled], answer[shuffled], weight[shuffled]) == pytest.approx(value, rel=1e-9, nan_ok=True)
        doubled = each(np.tile(y, 2), np.tile(answer, 2), np.tile(weight / 2, 2))
        assert doubled == pytest.approx(value, rel=1e-9, nan_ok=True), each.name


@given(rows=classified())
def test_a_weight_is_a_number_of_copies(rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    copies = np.ceil(weight).astype(int)
    for each in metrics_of("binary" if len(labels) == 2 else "multiclass"):
        answer = answers(each, probabilities, labels)
        repeated = each(np.repeat(y, copies), np.repeat(answer, copies, axis=0), None, labels)
        assert each(y, answer, copies, labels) == pytest.approx(repeated, rel=1e-9, nan_ok=True), each.name


@given(rows=classified())
def test_many_weightings_at_once_equal_one_by_one(rows: Rows) -> None:
    y, probabilities, weight, labels = rows
    weights = np.stack([weight, np.roll(weight, 1), np.ones(len(weight))])
    for each in metrics_of("binary" if len(labels) == 2 else "multiclass"):
        answer = answers(each, probabilities, labels)
        together = each.over(y, answer, labels)(weights)
        assert together.tolist() == pytest.approx([each(y, answer, w, labels) for w in weights], nan_ok=True)


def test_a_perfect_classifier_and_one_that_knows_nothing() -> None:
    y = np.array(["no", "yes"] * 50)
    right = (y[:, None] == np.array(["no", "yes"])).astype(float)
    level = np.full((100, 2), 0.5)
    best = {
        each.name: each(y, answers(each, right, ("no", "yes")), None, ("no", "yes")) for each in metrics_of("binary")
    }
    assert best.pop("log_loss") == pytest.approx(0, abs=1e-15)
    assert best.pop("brier") == 0
    assert set(best.values()) == {1.0}
    assert METRICS["roc_auc"](y, level, None, ("no", "yes")) == 0.5
    assert METRICS["average_precision"](y, level, None, ("no", "yes")) == 0.5
    assert METRICS["log_loss"](y, level, None, ("no", "yes")) == pytest.approx(math.log(2))
    assert METRICS["brier"](y, level, None, ("no", "yes")) == 0.25
    assert METRICS["matthews"](y, np.full(100, "no"), None, ("no", "yes")) == 0


def test_a_perfect_regressor_and_the_mean() -> None:
    y = np.array([1.0, 2.0, 3.0, 6.0])
    for each in metrics_of("regression"):
        assert each(y, y) == (1.0 if each.name == "r2" else 0.0)
    mean = np.full(4, y.mean())
    assert METRICS["r2"](y, mean) == pytest.approx(0)
    assert METRICS["mae"](y, mean) == 1.5
    assert METRICS["median_absolute_error"](y, mean) == 1.5
    assert METRICS["mape"](y, mean) == pytest.approx((2 + 0.5 + 0 + 0.5) / 4)


def test_undefined_is_nan_with_a_reason_and_never_zero() -> None:
    yes, no = np.array(["yes"] * 4), np.array(["no"] * 4)
    labels, level = ("no", "yes"), np.full((4, 2), 0.5)
    undefined = [
        ("roc_auc", yes, level),
        ("roc_auc", no, level),
        ("average_precision", no, level),
        ("precision", yes, no),
        ("recall", no, no),
        ("f1", no, no),
        ("matthews", no, yes),
        ("r2", np.full(4, 0.1), np.zeros(4)),
        ("mape", np.zeros(4), np.ones(4)),
        ("median_absolute_error", np.zeros(3), np.array([0.0, 1.0, np.nan])),
        ("roc_auc", np.array(["no", "yes", "no", "yes"]), np.full((4, 2), np.nan)),
    ]
    for name, y, answer in undefined:
        assert math.isnan(METRICS[name](y, answer, None, labels)), name
        assert METRICS[name].undefined
    assert METRICS["balanced_accuracy"](yes, yes, None, labels) == 1


def test_labels_may_be_texts_integers_or_booleans() -> None:
    kinds: list[tuple[Any, Any]] = [
        (["b", "a", "b"], ("a", "b")),
        ([1, 0, 1], (0, 1)),
        ([True, False, True], (False, True)),
        (np.array(["b", "a", "b"], dtype=object), ("a", "b")),
        ([1, 0, 1], range(2)),
    ]
    for y, labels in kinds:
        answer = np.asarray([y[0], y[0], y[0]])
        assert METRICS["accuracy"](np.asarray(y), answer, None, labels) == pytest.approx(2 / 3)
        assert METRICS["recall"](np.asarray(y), answer, None, labels) == 1


def test_bad_input_is_refused_with_what_came() -> None:
    y, labels = np.array(["no", "yes"]), ("no", "yes")
    with pytest.raises(DataError, match=r"the target holds the label 'maybe'.*'no', 'yes'"):
        METRICS["accuracy"](np.array(["no", "maybe"]), y, None, labels)
    with pytest.raises(DataError, match="the weight of row 1 is -1"):
        METRICS["accuracy"](y, y, [1, -1], labels)
    with pytest.raises(DataError, match="the weight of row 0 is nan"):
        METRICS["accuracy"](y, y, [math.nan, 1], labels)
    with pytest.raises(DataError, match="every weight is 0"):
        METRICS["accuracy"](y, y, [0, 0], labels)
    with pytest.raises(SchemaError, match="3 weights for 2 rows"):
        METRICS["accuracy"](y, y, [1, 1, 1], labels)
    with pytest.raises(SchemaError, match="1 answers for 2 targets"):
        METRICS["accuracy"](y, y[:1], None, labels)
    with pytest.raises(SchemaError, match=r"shape \[2, 3\]"):
        METRICS["log_loss"](y, np.ones((2, 3)), None, labels)
    with pytest.raises(SchemaError, match=r"shape \[2\] and the prediction \[2, 1\]"):
        METRICS["mae"](np.ones(2), np.ones((2, 1)))
    with pytest.raises(UsageError, match="3 labels"):
        METRICS["f1"](y, y, None, ("no", "yes", "maybe"))


def test_a_metric_is_found_by_name_and_task() -> None:
    assert metric(None, "regression").name == "rmse"
    assert metric(None, "binary") is METRICS["log_loss"]
    assert metric("roc_auc", "multiclass") is METRICS["roc_auc"]
    assert metric(METRICS["f1"], "binary") is METRICS["f1"]
    assert metrics_of("regression")[0].name == "rmse"
    with pytest.raises(UsageError, match=r"'auc'.*did you mean 'roc_auc'"):
        metric("auc", "binary")
    with pytest.raises(UsageError, match=r"'rmse' does not fit the task 'binary' \(it is for regression\).*log_loss"):
        metric("rmse", "binary")
    with pytest.raises(UsageError, match="task 'ranking'"):
        metric("rmse", "ranking")


def test_a_function_is_a_metric() -> None:
    def caught(y: Any, answer: Any, weight: Any, labels: Any) -> float:
        return float(np.average(y == answer, weights=weight))

    mine = metric(caught, "binary")
    assert (mine.name, mine.needs, mine.greater_is_better) == ("caught", "labels", True)
    y, answer = np.array(["no", "yes", "yes"]), np.array(["no", "yes", "no"])
    assert mine(y, answer, [1, 1, 2], ("no", "yes")) == 0.5
    assert mine.over(y, answer, ("no", "yes"))(np.array([[1.0, 1, 2], [1, 1, 0]])).tolist() == [0.5, 1.0]
    assert metric(caught, "regression").needs == "numbers"


def test_every_metric_says_what_it_is() -> None:
    for name, each in METRICS.items():
        assert each.name == name
        assert each.title
        assert each.tasks
        assert each.better(1.0, 0.0) is each.greater_is_better
