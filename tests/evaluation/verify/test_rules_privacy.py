"""The rule about what a model gives away of the rows that it was trained on."""

from __future__ import annotations

from pathlib import Path

from lepton.evaluation import Estimate
from tests.evaluation.verify.models import bought, judged, model


def test_the_advantage_of_an_attack(tmp_path: Path) -> None:
    predictor, rule = model(tmp_path), {"membership": {"most": 0.4}}
    training, rows = bought(600, seed=7), bought(600)
    found = judged(predictor, rows, rule, training=training)
    assert str(found.verdict) == "passed"
    assert isinstance(found.measured, Estimate)
    assert str(judged(predictor, rows, rule).verdict) == "unknown"
    assert "not given" in judged(predictor, rows, rule).evidence
    assert str(judged(predictor, rows.drop("bought"), rule, training=training).verdict) == "unknown"


def test_a_model_that_knows_its_rows(tmp_path: Path) -> None:
    """Rows of the training are answered right and surely, others by chance."""
    predictor = model(tmp_path, 50.0)
    training = bought(600, seed=7, slope=50.0)
    rows = bought(600, slope=0.0)
    assert str(judged(predictor, rows, {"membership": {"most": 0.1}}, training=training).verdict) == "failed"
