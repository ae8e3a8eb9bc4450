"""Rules about how good the answers are, each with rows that keep it and rows that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.verify import Verdict
from lepton.evaluation.verify.base import keeps
from tests.evaluation.models import linear_model
from tests.evaluation.verify.models import bought, judged, model, outcome


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return model(tmp_path_factory.mktemp("model"))


def verdict(predictor: Predictor, frame: pl.DataFrame | None, rule: object) -> str:
    return str(judged(predictor, frame, rule).verdict)


def test_a_metric_is_judged_by_the_unfavourable_end_of_its_interval(predictor: Predictor) -> None:
    found = judged(predictor, bought(120), {"metric": {"metric": "accuracy", "least": 0.1}}).measured
    assert isinstance(found, Estimate)
    assert found.value is not None
    assert found.lower is not None
    assert found.upper is not None
    between, above = (found.lower + found.value) / 2, (found.value + found.upper) / 2
    bounds: list[tuple[dict[str, Any], str]] = [
        ({"least": found.lower}, "passed"),
        ({"least": between}, "failed"),
        ({"least": between, "by": "value"}, "passed"),
        ({"most": above}, "failed"),
        ({"most": above, "by": "value"}, "passed"),
    ]
    rules = [{"metric": {"metric": "accuracy", **bound}} for bound, _ in bounds]
    results = outcome(predictor, bought(120), *rules).results
    assert [str(each.verdict) for each in results] == [wanted for _, wanted in bounds]
    assert (
        verdict(predictor, bought(120), {"metric": {"metric": "accuracy", "least": above, "by": "value"}}) == "failed"
    )


def test_few_rows_conclude_nothing(predictor: Predictor) -> None:
    for rule in ({"metric": {"least": 0.1}}, "better_than_baseline"):
        found = judged(predictor, bought(12), rule)
        assert (str(found.verdict), found.accepted) == ("unknown", False)
        assert "12 rows" in found.evidence


def test_a_metric_that_is_undefined_is_unknown(predictor: Predictor) -> None:
    frame = bought(120).filter(pl.col("bought") == "yes")
    found = judged(predictor, frame, {"metric": {"metric": "roc_auc", "least": 0.1}})
    assert found.verdict is Verdict.UNKNOWN
    assert "class" in found.evidence or "label" in found.evidence


def test_a_model_that_ignores_its_inputs_is_not_better_than_one_that_does(tmp_path: Path, predictor: Predictor) -> None:
    assert verdict(predictor, bought(120), "better_than_baseline") == "passed"
    assert verdict(model(tmp_path, 0.0, name="flat"), bought(120), "better_than_baseline") == "failed"
    assert verdict(predictor, bought(120), {"better_than_baseline": {"margin": 5.0}}) == "failed"
    assert verdict(predictor, bought(120), {"better_than_baseline": {"metric": "accuracy", "by": "value"}}) == "passed"


def test_one_bad_part_is_found(predictor: Predictor) -> None:
    frame = bought(600)
    turned = frame.with_columns(
        bought=pl.when(pl.col("region") == "south")
        .then(pl.col("bought").replace({"yes": "no", "no": "yes"}))
        .otherwise("bought")
    )
    rule = {"segments": {"column": "region", "metric": "accuracy", "least": 0.5}}
    assert verdict(predictor, frame, rule) == "passed"
    found = judged(predictor, turned, rule)
    assert found.verdict is Verdict.FAILED
    assert "worst where region is south" in found.evidence
    overall = {"segments": {"column": "sex", "metric": "accuracy", "least": 0.3}}
    assert verdict(predictor, turned, overall) == "passed"


def test_a_part_of_three_people_is_told_and_not_judged(predictor: Predictor) -> None:
    frame = bought().with_columns(region=pl.Series(["east"] * 3 + ["west"] * 197))
    rule = {"column": "region", "metric": "accuracy", "least": 0.5}
    found = judged(predictor, frame, {"segments": rule})
    assert found.verdict is Verdict.PASSED
    assert "too few rows to say: east" in found.evidence
    assert verdict(predictor, frame, {"segments": {**rule, "all_known": True}}) == "unknown"
    assert verdict(predictor, bought(12), {"segments": rule}) == "unknown"


def test_answers_that_are_always_the_same(tmp_path: Path, predictor: Predictor) -> None:
    assert verdict(predictor, bought(120), "varied_answers") == "passed"
    assert verdict(model(tmp_path, 0.0, name="flat"), bought(120), "varied_answers") == "failed"
    assert verdict(predictor, bought(1), "varied_answers") == "unknown"
    assert verdict(predictor, bought(50).drop("bought"), "varied_answers") == "passed"


def test_answers_that_are_no_numbers(tmp_path: Path) -> None:
    predictor = linear_model(tmp_path, {"x": 1.0})
    frame = pl.DataFrame({"x": [1.0, 2.0, None], "price": [1.0, 2.0, 3.0]})
    found = judged(predictor, frame, "finite_answers")
    assert (str(found.verdict), found.measured) == ("failed", 1)
    assert verdict(predictor, frame[:2], "finite_answers") == "passed"


@pytest.mark.parametrize(
    ("least", "most", "by", "kept"),
    [(0.4, None, "interval", True), (0.41, None, "interval", False), (0.41, 0.6, "value", True)],
)
def test_bounds_belong_to_what_is_kept(least: float, most: float | None, by: str, kept: bool) -> None:
    assert keeps(Estimate(0.5, 0.4, 0.6), least, most, by) is kept


def test_coverage_is_judged_against_what_is_stated(tmp_path: Path, predictor: Predictor) -> None:
    found = judged(predictor, bought(120), "coverage")
    assert "neither intervals nor sets" in found.evidence
    assert np.isfinite(found.seconds)
