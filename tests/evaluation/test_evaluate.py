"""`evaluate`: known values, what is left out and said, every face, every refusal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, Interrupted, LeptonError, ProgressRecord, Role, SchemaError, UsageError, Work
from lepton.data import Dataset, read
from lepton.evaluation import METRICS, Evaluation, evaluate
from tests.evaluation.models import binary_model, linear_model


def houses(rows: int = 400, **columns: Any) -> pl.DataFrame:
    """price = 2·area + noise of one, by town."""
    generator = np.random.default_rng(0)
    area = generator.normal(100, 20, rows)
    return pl.DataFrame(
        {
            "area": area,
            "town": generator.choice(["Oslo", "Bergen"], rows, p=[0.7, 0.3]),
            "price": 2 * area + generator.normal(0, 1, rows),
            **columns,
        }
    )


def buyers(rows: int = 400) -> pl.DataFrame:
    """bought is yes with the probability 1 / (1 + exp(-2 x))."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=rows)
    return pl.DataFrame({"x": x, "bought": np.where(generator.random(rows) < 1 / (1 + np.exp(-2 * x)), "yes", "no")})


@pytest.fixture
def pricing(tmp_path: Path) -> Any:
    return linear_model(tmp_path, {"area": 2.0})


@pytest.fixture
def buying(tmp_path: Path) -> Any:
    return binary_model(tmp_path, 2.0)


def strict(found: Evaluation) -> dict[str, Any]:
    """The JSON form after a round trip that refuses NaN."""
    raw: dict[str, Any] = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    return raw


def test_regression_is_judged_by_every_metric_with_its_interval(pricing: Any) -> None:
    frame = houses()
    found = evaluate(pricing, read(frame))
    truth, given = frame["price"].to_numpy(), 2 * frame["area"].to_numpy()
    assert list(found.metrics) == ["rmse", "mae", "median_absolute_error", "mape", "mse", "r2"]
    for name, each in found.metrics.items():
        assert each.value == pytest.approx(METRICS[name](truth, given))
        assert each.lower is not None
        assert each.upper is not None
        assert each.value is not None
        assert each.lower <= each.value <= each.upper
    assert found.baseline["rmse"] == pytest.approx(truth.std())
    assert found.baseline["r2"] == 0
    assert found.residuals is not None
    assert found.residuals.quantiles["0.5"] == pytest.approx(np.median(truth - given))
    assert sum(found.residuals.counts) == 400
    assert found.warnings == ()


def test_a_binary_model_is_judged_by_labels_and_probabilities(buying: Any) -> None:
    frame = buyers()
    found = evaluate(buying, read(frame))
    x, y = frame["x"].to_numpy(), frame["bought"].to_numpy()
    positive = 1 / (1 + np.exp(-2 * x))
    probabilities = np.stack([1 - positive, positive], axis=1)
    assert found.metrics["roc_auc"].value == pytest.approx(METRICS["roc_auc"](y, probabilities, None, ("no", "yes")))
    assert found.metrics["accuracy"].value == pytest.approx(((x > 0) == (y == "yes")).mean())
    assert found.confusion is not None
    assert np.array(found.confusion).sum() == 400
    assert found.confusion[1][0] == ((x <= 0) & (y == "yes")).sum()
    yes = found.labels[1]
    assert (yes.label, yes.num_rows, yes.num_predicted) == ("yes", (y == "yes").sum(), (x > 0).sum())
    assert yes.recall == pytest.approx(found.metrics["recall"].value)
    assert yes.precision == pytest.approx(found.metrics["precision"].value)
    assert found.calibration is not None
    assert found.calibration.error < 0.1
    assert list(found.curves) == ["yes"]
    assert found.baseline["roc_auc"] == 0.5


def test_several_labels_are_judged_against_the_rest(tmp_path: Path) -> None:
    labels = (3, 1, 2)
    model = linear_model(tmp_path, {"x": [-4.0, 0.0, 4.0]}, offset=[0.0, 1.0, 0.0], labels=labels, target="k")
    x = np.linspace(-1, 1, 200)
    truth = np.where(x < -0.3, 3, np.where(x > 0.3, 2, 1))
    found = evaluate(model, read(pl.DataFrame({"x": x, "k": truth})))
    assert found.answers.task == "multiclass"
    assert "roc_auc" in found.metrics
    assert "recall" not in found.metrics
    assert [each.label for each in found.labels] == list(labels)
    assert [each.num_rows for each in found.labels] == [int((truth == label).sum()) for label in labels]
    assert list(found.curves) == ["3", "1", "2"]
    area = np.trapezoid(found.curves["3"].true_positive_rate, found.curves["3"].false_positive_rate)
    assert area == pytest.approx(
        METRICS["roc_auc"](truth == 3, np.stack([x, -x], axis=1), None, (False, True)), abs=0.01
    )
    assert "ROC curve, each label against the rest" in found.page().html()
    assert (found.metrics["accuracy"].value or 0) > 0.9
    assert "rows are the truth" in found.text()
    strict(found)


def test_perfect_answers_are_called_suspicious_and_bounded(tmp_path: Path) -> None:
    frame = buyers().with_columns(bought=pl.when(pl.col("x") > 0).then(pl.lit("yes")).otherwise(pl.lit("no")))
    found = evaluate(binary_model(tmp_path, 2.0), read(frame))
    assert found.metrics["accuracy"].value == 1
    assert any("0.0075" in each and "among the inputs" in each for each in found.warnings)


def test_rows_without_a_target_or_with_an_unknown_label_are_left_out_and_counted(buying: Any) -> None:
    frame = pl.concat([buyers(), pl.DataFrame({"x": [0.0] * 5, "bought": [None, None, "maybe", "maybe", "later"]})])
    found = evaluate(buying, read(frame, kinds={"bought": "category"}))
    assert found.num_rows == 400
    assert strict(found)["num_missing_target"] == 2
    assert strict(found)["unseen_labels"] == {"maybe": 2, "later": 1}
    assert [note.split(":")[0] for note in found.warnings] == ["2 rows were left out", "3 rows were left out"]
    assert found.metrics == evaluate(buying, read(buyers(), kinds={"bought": "category"})).metrics


def test_infinite_targets_count_as_missing(pricing: Any) -> None:
    frame = houses(price=np.concatenate([[math.inf, math.nan], np.ones(398)]))
    assert evaluate(pricing, read(frame)).answers.num_missing == 2


def test_a_single_class_gives_reasons_instead_of_values(buying: Any) -> None:
    found = evaluate(buying, read(buyers().filter(pl.col("bought") == "no"), kinds={"bought": "category"}))
    assert found.metrics["roc_auc"].value is None
    assert "one class" in found.metrics["roc_auc"].reason
    assert found.metrics["log_loss"].value is not None
    assert found.curves == {}
    assert any("Every row is 'no'" in each for each in found.warnings)
    assert strict(found)["metrics"]["roc_auc"]["value"] is None
    assert "one class" in found.text()
    found.page().html()


def test_few_rows_are_said_to_be_few(pricing: Any) -> None:
    assert any("There are 12 rows only" in each for each in evaluate(pricing, read(houses(12))).warnings)
    one = evaluate(pricing, read({"area": [1.0], "price": [3.0]}, kinds={"area": "number", "price": "number"}))
    assert one.metrics["mae"].value == 1
    assert one.metrics["r2"].value is None
    strict(one)
    one.page().html()


def test_weights_count_by_argument_and_by_role(pricing: Any) -> None:
    frame = houses(copies=np.tile([0.0, 1.0, 3.0, 0.5], 100))
    table = read(frame)
    named = evaluate(pricing, table, weight="copies")
    by_role = evaluate(pricing, table.with_roles({"copies": Role.WEIGHT}))
    truth, given, weight = frame["price"].to_numpy(), 2 * frame["area"].to_numpy(), frame["copies"].to_numpy()
    assert named.metrics["mae"].value == pytest.approx(np.average(abs(truth - given), weights=weight))
    assert named.metrics == by_role.metrics
    assert strict(named)["weighted"] is True


def test_a_group_column_widens_the_intervals(pricing: Any) -> None:
    street = np.repeat(np.arange(10), 40)
    frame = houses(street=[f"s{each}" for each in street])
    frame = frame.with_columns(price=2 * pl.col("area") + street * 5.0)
    table = read(frame)
    alone = evaluate(pricing, table).metrics["mae"]
    together = evaluate(pricing, table.with_roles({"street": Role.GROUP}))
    wide = together.metrics["mae"]
    assert None not in (wide.upper, wide.lower, alone.upper, alone.lower)
    assert wide.upper - wide.lower > 3 * (alone.upper - alone.lower)  # type: ignore[operator]
    assert any("10 of them" in each for each in together.warnings)


def test_costs_choose_a_threshold(buying: Any) -> None:
    found = evaluate(buying, read(buyers(4_000)), costs={"false_positive": 1, "false_negative": 5})
    assert found.decision is not None
    assert found.decision.threshold == pytest.approx(1 / 6, abs=0.1)
    text = found.text()
    assert "Costs: false positive 1, false negative 5" in text
    assert "chosen on these very rows" in text
    assert "Threshold" in found.page().html()
    strict(found)


def test_answers_do_not_depend_on_order_or_batches(pricing: Any) -> None:
    frame = houses()
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    one, two = (evaluate(pricing, read(each)) for each in (frame, shuffled))
    for name, each in one.metrics.items():
        assert two.metrics[name].value == pytest.approx(each.value, rel=1e-12)
    again = evaluate(pricing, read(frame))
    assert again.to_dict() == one.to_dict()
    assert evaluate(pricing, read(frame), seed=1).metrics["rmse"].lower != one.metrics["rmse"].lower


def test_extra_columns_do_not_matter_and_integers_are_numbers(pricing: Any) -> None:
    frame = pl.DataFrame({"spare": ["a", "b", "c"], "price": [2, 4, 7], "area": [1, 2, 3]})
    found = evaluate(pricing, read(frame, kinds={"area": "number", "price": "number"}))
    assert found.metrics["mae"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize("labels", [(0, 1), ("false", "true"), ("0", "1")])
@pytest.mark.parametrize("truth", [[False, True, True, None], [0, 1, 1, None], ["0", "1", "1", None]])
def test_truths_are_matched_to_labels_whatever_they_were_read_as(
    tmp_path: Path, labels: tuple[Any, ...], truth: list[Any]
) -> None:
    if labels == ("false", "true") and not isinstance(truth[0], bool):
        truth = [None if each is None else ("true" if int(each) else "false") for each in truth]
    model = linear_model(tmp_path, {"x": [0.0, 1.0]}, labels=labels, target="bought")
    frame = pl.DataFrame({"x": [-1.0, 1.0, -1.0, 1.0], "bought": truth})
    read_as: list[dict[str, str]] = [{}] if isinstance(truth[0], bool) else [{}, {"bought": "category"}]
    for kinds in read_as:
        found = evaluate(model, read(frame, kinds={"x": "number", **kinds}))
        assert found.answers.y.tolist() == [0, 1, 1]
        assert found.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_two_spellings_of_a_label_are_one(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"x": [0.0, 1.0]}, labels=("thé", "café"), target="drink")
    frame = pl.DataFrame({"x": [-1.0, 1.0, 1.0], "drink": ["the\u0301", "cafe\u0301", ""]})
    found = evaluate(model, read(frame, kinds={"x": "number", "drink": "category"}))
    assert found.answers.y.tolist() == [0, 1]
    assert found.answers.num_missing == 1


def test_a_model_that_answers_no_number_is_exposed(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"area": 2.0})
    frame = houses(area=[None] * 3 + [1.0] * 397)
    found = evaluate(model, read(frame))
    assert found.metrics["rmse"].value is None
    assert any("In 3 rows the model's answer is not a finite number" in each for each in found.warnings)
    assert found.residuals is None
    strict(found)
    found.page().html()


def test_text_and_page_show_the_same_numbers(pricing: Any) -> None:
    found = evaluate(pricing, read(houses()), segments=["town", "area"])
    text, page = found.text(), found.page().html()
    assert text.startswith("linear: regression of 'price', 400 rows\n\n  metric")
    for fragment in ("rmse", "95 % interval", "By town", "Oslo", "Bergen", "Residuals", "1,000 resamples"):
        assert fragment in text, fragment
    for fragment in ("Root mean squared error", "By town", "By area", "Target against prediction", "<svg", "Residuals"):
        assert fragment in page, fragment
    assert "<script" not in page
    assert str(found) == text
    assert "iframe" in found._repr_html_()


def test_names_from_outside_cannot_act(tmp_path: Path) -> None:
    target, label, value = "<b>target", "<script>alert(1)</script>", "\x1b[31mred<img src=x>"
    model = linear_model(tmp_path, {"x": [0.0, 1.0]}, labels=("plain", label), target=target)
    frame = pl.DataFrame({"x": [-1.0, 1.0] * 40, target: ["plain", label] * 40, "c": [value] * 80})
    found = evaluate(model, read(frame, kinds={"x": "number", target: "category", "c": "category"}), segments=["c"])
    text, page = found.text(), found.page().html()
    assert "red" in text
    assert "\x1b" not in text + page
    assert not any(markup in page for markup in ("<script", "<img", "<b>"))


REFUSED: list[tuple[Any, dict[str, Any], type[LeptonError], str]] = [
    ({"area": [1.0, 2.0], "town": ["a", "b"]}, {}, DataError, "no column 'price'.*judged by them"),
    ({"area": [1.0, 2.0], "Price": [1.0, 2.0]}, {}, DataError, "did you mean target='Price'"),
    ({"area": [1.0, 2.0], "price": [None, None]}, {}, DataError, "missing in all 2 rows"),
    ({"area": [1.0, 2.0], "price": ["dear", "cheap"]}, {}, SchemaError, "'dear'.*numbers.*kinds=.*'number'"),
    ({"area": [1.0, 2.0], "price": [1.0, 2.0], "w": [1.0, -2.0]}, {"weight": "w"}, DataError, "row 1 is -2"),
    ({"area": [1.0, 2.0], "price": [1.0, 2.0], "w": [0.0, 0.0]}, {"weight": "w"}, DataError, "every weight is 0"),
    (
        {"area": [1.0, 2.0], "price": [1.0, 2.0], "w": ["a", "b"]},
        {"weight": "w"},
        SchemaError,
        "weights 'w' are String",
    ),
    ({"area": [1.0, 2.0], "price": [1.0, 2.0]}, {"weight": "mass"}, DataError, "no column 'mass'"),
    ({"area": [1.0, 2.0], "price": [1.0, 2.0]}, {"segments": ["twon"]}, DataError, "no column 'twon'"),
    ({"area": [1.0, 2.0], "price": [1.0, 2.0]}, {"costs": {"false_positive": 1}}, UsageError, "task 'regression'"),
    ({"rooms": [1.0, 2.0], "price": [1.0, 2.0]}, {}, SchemaError, "area"),
]


@pytest.mark.parametrize(("rows", "options", "error", "message"), REFUSED)
def test_bad_input_is_refused(
    pricing: Any, rows: dict[str, Any], options: dict[str, Any], error: type[LeptonError], message: str
) -> None:
    numbers = {name: "number" for name, values in rows.items() if not isinstance(values[0], str)}
    with pytest.raises(error, match=message):
        evaluate(pricing, read(rows, kinds=numbers), **options)


def test_labels_that_are_all_unknown_are_refused(buying: Any) -> None:
    table = read({"x": [1.0, 2.0], "bought": ["oui", "non"]}, kinds={"x": "number", "bought": "category"})
    with pytest.raises(DataError, match=r"no label that the model knows: found '(oui|non)'.*it knows 'no', 'yes'"):
        evaluate(buying, table)


def test_data_without_rows_is_refused(pricing: Any) -> None:
    empty: Dataset = read(pl.DataFrame(schema={"area": pl.Float64, "price": pl.Float64}))
    with pytest.raises(DataError, match="no rows"):
        evaluate(pricing, empty)


def test_progress_is_told_and_a_stop_is_heard(pricing: Any) -> None:
    told: list[ProgressRecord] = []
    evaluate(pricing, read(houses()), work=Work(reporter=told.append))
    assert (told[0].done, told[0].unit) == (400, "rows")
    assert (told[-1].done, told[-1].total, told[-1].unit) == (1_000, 1_000, "resamples")
    stopped = Work()
    stopped.cancel.set()
    with pytest.raises(Interrupted):
        evaluate(pricing, read(houses()), work=stopped)
