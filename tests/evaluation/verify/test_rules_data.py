"""Rules about the rows: their number, age and likeness to those of the training, and whether the test is a fair one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model, write_bundle
from lepton.core import DataError
from lepton.data.statistics import Baseline
from tests.evaluation.verify.models import bought, dataset, judged, model
from tests.evaluation.verify.test_rules_file import LINEAGE, told
from tests.serving.models import write_sold


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """With the statistics of its training."""
    folder = tmp_path_factory.mktemp("model")
    bundle = model(folder, name="bare").bundle
    learned = dataset(bought(2_000, seed=9)).select(["x"])
    members = Baseline.of(learned.frame(), learned.schema, {}).to_members()
    lineage = {**LINEAGE, "dataset": {"fingerprint": dataset(bought(300)).fingerprint(), "num_rows": 300}}
    path = folder / "linear.lepton"
    write_bundle(path, manifest=replace(bundle.manifest, lineage=lineage), graph=bundle.graph, baseline=members)
    return open_model(path)


def verdict(predictor: Predictor, frame: pl.DataFrame | None, rule: Any, **options: Any) -> str:
    return str(judged(predictor, frame, rule, **options).verdict)


def test_rows(predictor: Predictor) -> None:
    assert verdict(predictor, bought(100), {"rows": {"least": 100}}) == "passed"
    assert verdict(predictor, bought(99), {"rows": {"least": 100}}) == "failed"
    frame = bought(100).with_columns(bought=pl.Series([None] * 3 + ["yes"] * 97))
    found = judged(predictor, frame, {"rows": {"least": 97}})
    assert found.measured == 97
    assert "3 have no truth" in found.evidence


def test_rows_of_the_rarest_label(predictor: Predictor) -> None:
    frame = bought(100).with_columns(bought=pl.Series(["yes"] * 95 + ["no"] * 5))
    found = judged(predictor, frame, {"rows_per_label": {"least": 6}})
    assert (str(found.verdict), found.measured) == ("failed", 5)
    assert "'no'" in found.evidence
    assert verdict(predictor, frame, {"rows_per_label": {"least": 5}}) == "passed"


def test_missing_cells(predictor: Predictor) -> None:
    frame = bought(100).with_columns(x=pl.Series([None] * 20 + [1.0] * 80))
    assert verdict(predictor, frame, {"missing": {"most": 0.2}}) == "passed"
    assert verdict(predictor, frame, {"missing": {"most": 0.19}}) == "failed"


def test_drift_from_the_training(predictor: Predictor, tmp_path: Path) -> None:
    assert verdict(predictor, bought(1_000, seed=4), "drift") == "passed"
    moved = bought(1_000, seed=4).with_columns(pl.col("x") * 2 + 1)
    found = judged(predictor, moved, "drift")
    assert str(found.verdict) == "failed"
    assert "'x' moved furthest" in found.evidence
    assert verdict(predictor, moved, {"drift": {"allowed": "x"}}) == "unknown"
    assert verdict(model(tmp_path, name="plain"), moved, "drift") == "unknown"


def test_unseen_categories(tmp_path: Path, predictor: Predictor) -> None:
    sold = open_model(write_sold(tmp_path))
    rows = pl.DataFrame({"rooms": [1.0] * 4, "town": ["Basel", "Genf", "Bern", "Basel"], "garden": [True] * 4})
    sold.predict(rows)  # what was counted before has no part in it
    found = judged(sold, rows, {"unseen": {"most": 0.4}})
    assert (str(found.verdict), found.measured) == ("failed", 0.5)
    assert "'town'" in found.evidence
    assert verdict(sold, rows, {"unseen": {"most": 0.5}}) == "passed"
    assert verdict(sold, rows[:1], {"unseen": {"most": 0.0}}) == "passed"
    assert verdict(predictor, bought(), {"unseen": {"most": 0.0}}) == "passed"


class TestAge:
    RULE: ClassVar = {"within": "90d", "now": "2026-07-01"}

    def test_of_what_the_lineage_says(self, tmp_path: Path) -> None:
        known = told(tmp_path, LINEAGE)
        assert verdict(known, None, {"age": self.RULE}) == "passed"
        assert verdict(known, None, {"age": {**self.RULE, "within": "30d"}}) == "failed"
        assert verdict(known, None, {"age": {**self.RULE, "now": "2020-01-01"}}) == "unknown"
        assert verdict(model(tmp_path), None, {"age": self.RULE}) == "unknown"

    def test_of_the_rows_of_the_training(self, predictor: Predictor) -> None:
        days = pl.datetime_range(dt.date(2026, 5, 1), dt.date(2026, 5, 10), eager=True)
        training = bought(10).with_columns(when=days)
        rule = {"age": {**self.RULE, "column": "when"}}
        found = judged(predictor, bought(10), rule, training=training)
        assert (str(found.verdict), found.measured) == ("passed", "52 days")
        with pytest.raises(DataError, match="'when'"):
            judged(predictor, None, {"age": {**self.RULE, "column": "wen"}}, training=training)


def test_rows_of_the_training_are_no_test(predictor: Predictor) -> None:
    training = bought(300)
    assert verdict(predictor, bought(300), "shared_rows") == "failed"  # by the fingerprint alone
    assert verdict(predictor, bought(200, seed=5), "shared_rows") == "unknown"
    assert verdict(predictor, bought(200, seed=5), "shared_rows", training=training) == "passed"
    mixed = pl.concat([bought(190, seed=5), training[:10]])
    found = judged(predictor, mixed, "shared_rows", training=training)
    assert (str(found.verdict), found.measured) == ("failed", 0.05)
    assert verdict(predictor, mixed, {"shared_rows": {"most": 0.05}}, training=training) == "passed"
    nearly = training.with_columns(pl.col("x") + 1e-7)
    assert verdict(predictor, nearly, "shared_rows", training=training) == "passed"
    assert verdict(predictor, nearly, {"shared_rows": {"near": True}}, training=training) == "failed"


def test_a_column_that_gives_the_truth_away(predictor: Predictor) -> None:
    assert verdict(predictor, bought(300), "giveaways") == "passed"
    frame = bought(300)
    given = frame.with_columns(x=(pl.col("bought") == "yes").cast(pl.Float64))
    found = judged(predictor, given, "giveaways")
    assert str(found.verdict) == "failed"
    assert found.evidence.startswith("x: ")
    assert verdict(predictor, given, {"giveaways": {"allowed": "x"}}) == "unknown"
    assert verdict(predictor, frame, "giveaways", training=given) == "failed"
    assert verdict(predictor, bought(20), "giveaways") == "unknown"


def test_personal_data_among_the_inputs(tmp_path: Path, predictor: Predictor) -> None:
    assert verdict(predictor, bought(), "personal") == "passed"
    sold = open_model(write_sold(tmp_path))
    towns = [f"anna.{n}@example.org" for n in range(50)]
    rows = pl.DataFrame({"rooms": np.ones(50), "town": towns, "garden": [True] * 50})
    found = judged(sold, rows, "personal")
    assert str(found.verdict) == "failed"
    assert "town: e-mail" in found.evidence
    assert "anna" not in found.evidence
    assert verdict(sold, rows, {"personal": {"allowed": "town"}}) == "passed"
