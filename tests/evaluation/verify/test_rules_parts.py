"""Rules about parts of the rows: calibration, slices, groups of people, rows unlike those of the training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model, write_bundle
from lepton.core import DataError
from lepton.data.statistics import Baseline
from tests.evaluation.models import linear_model
from tests.evaluation.verify.models import bought, dataset, judged, model, outcome


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return model(tmp_path_factory.mktemp("model"))


def verdict(predictor: Predictor, frame: pl.DataFrame | None, rule: Any) -> str:
    return str(judged(predictor, frame, rule).verdict)


def test_probabilities_that_come_true(tmp_path: Path, predictor: Predictor) -> None:
    rows = bought(800)
    assert verdict(predictor, rows, {"calibration": {"most": 0.1}}) == "passed"
    assert verdict(model(tmp_path, 20.0, name="sure"), rows, {"calibration": {"most": 0.1}}) == "failed"
    assert verdict(predictor, bought(12), {"calibration": {"most": 0.1}}) == "unknown"
    numbers = linear_model(tmp_path, {"x": 1.0}, target="x2", name="numbers")
    found = judged(numbers, rows.with_columns(x2="x"), {"calibration": {"most": 0.1}})
    assert (str(found.verdict), found.evidence) == ("unknown", "the model gives no probabilities")


def weak(rows: int = 1_200) -> pl.DataFrame:
    """In the south the answers are wrong."""
    frame = bought(rows)
    turned = pl.col("bought").replace({"yes": "no", "no": "yes"})
    return frame.with_columns(bought=pl.when(pl.col("region") == "south").then(turned).otherwise("bought"))


def test_a_weak_slice_is_found(predictor: Predictor) -> None:
    rule = {"weak_slices": {"most_loss": 0.2, "among": ["region", "sex"], "max_conditions": 1}}
    assert verdict(predictor, bought(1_200), rule) == "passed"
    found = judged(predictor, weak(), rule)
    assert str(found.verdict) == "failed"
    assert "region" in found.evidence
    assert "south" in found.evidence
    lenient = {"weak_slices": {**rule["weak_slices"], "allowed": 1}}
    assert verdict(predictor, weak(), lenient) == "passed"
    assert verdict(predictor, bought(12), rule) == "unknown"
    assert verdict(predictor, bought(40), rule) == "unknown"
    with pytest.raises(DataError, match="rule 1, weak_slices"):
        judged(predictor, bought(), {"weak_slices": {"most_loss": 0.1, "among": "regoin"}})


def unfair(rows: int = 400) -> pl.DataFrame:
    """Men have a larger x, and are answered "yes" more often."""
    frame = bought(rows)
    return frame.with_columns(sex=pl.when(pl.col("x") > 0).then(pl.lit("m")).otherwise(pl.lit("f")))


def test_groups_of_people(predictor: Predictor) -> None:
    rule = {"fairness": {"column": "sex", "measure": "selection_rate_difference", "most": 0.3}}
    assert verdict(predictor, bought(800), rule) == "passed"
    found = outcome(predictor, unfair(), rule, {"fairness": {**rule["fairness"], "column": "region"}})
    assert [str(each.verdict) for each in found.results] == ["failed", "passed"]
    assert set(found.measured["fairness"]["columns"]) == {"sex", "region"}
    unknown = judged(predictor, bought(), {"fairness": {**rule["fairness"], "measure": "luck"}})
    assert str(unknown.verdict) == "unknown"
    assert "selection_rate_ratio" in unknown.evidence


def test_nothing_is_concluded_about_three_people(predictor: Predictor) -> None:
    frame = bought().with_columns(sex=pl.Series(["x"] * 3 + ["f"] * 197))
    found = judged(
        predictor, frame, {"fairness": {"column": "sex", "measure": "selection_rate_difference", "most": 1.0}}
    )
    assert (str(found.verdict), found.accepted) == ("unknown", False)
    assert "x: 3" in found.evidence
    sizes = judged(predictor, frame, {"group_sizes": {"column": "sex", "least": 30}})
    assert (str(sizes.verdict), sizes.measured) == ("failed", 3)
    assert verdict(predictor, frame, {"group_sizes": {"column": "sex", "least": 3}}) == "passed"
    empty = frame.with_columns(sex=pl.lit(None, dtype=pl.String))
    assert verdict(predictor, empty, {"group_sizes": {"column": "sex"}}) == "unknown"


def test_rows_unlike_those_of_the_training(tmp_path: Path, predictor: Predictor) -> None:
    learned = dataset(bought(2_000, seed=9)).select(["x"])
    members = Baseline.of(learned.frame(), learned.schema, {}).to_members()
    path = tmp_path / "known.lepton"
    write_bundle(path, manifest=replace(predictor.manifest, members={}), graph=predictor.bundle.graph, baseline=members)
    known = open_model(path)
    rows = bought(200)
    assert verdict(known, rows, "outliers") == "passed"
    strange = rows.with_columns(x=pl.Series(np.r_[np.full(20, 900.0), rows["x"].to_numpy()[20:]]))
    found = judged(known, strange, "outliers")
    assert str(found.verdict) == "failed"
    assert found.evidence.startswith("20 of 200 rows") or found.evidence.startswith("21 of 200 rows")
    assert verdict(predictor, rows, "outliers") == "unknown"
