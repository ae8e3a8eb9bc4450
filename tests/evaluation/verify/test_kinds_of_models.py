"""Models of other kinds than tables of two labels: what can be judged is, and the rest is unknown with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model
from lepton.core import LeptonError
from lepton.data import read
from lepton.evaluation.verify import rules_of, verify
from tests.bundle.pictures import picture_bytes, write_brightness
from tests.evaluation.models import linear_model
from tests.evaluation.verify.models import judged


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 140)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.full((6, 6, 3), low + draw.integers(0, 100), np.uint8)
            (tmp_path / "pictures" / label / f"{number}.png").write_bytes(picture_bytes(pixels))
    return tmp_path / "pictures"


def test_pictures(tmp_path: Path, pictures: Path) -> None:
    write_brightness(tmp_path / "b.lepton")
    wanted: list[tuple[Any, str, str]] = [
        ({"metric": {"metric": "accuracy", "least": 0.9}}, "passed", "on 40 rows"),
        ({"latency": {"p99": "9s", "blocks": 1}}, "passed", "p99"),
        ({"rows_per_label": {"least": 20}}, "passed", "20 rows"),
        ({"missing": {"most": 0.1}}, "unknown", "takes no table"),
        ("drift", "unknown", "no statistics"),
        ("personal", "unknown", "takes no table"),
        ({"weak_slices": {"most_loss": 0.1}}, "unknown", "nothing can be concluded"),
    ]
    found = verify(open_model(tmp_path / "b.lepton"), read(pictures), rules_of([rule for rule, _, _ in wanted]))
    for result, (_, verdict, evidence) in zip(found.results, wanted, strict=True):
        assert str(result.verdict) == verdict, result
        assert evidence in result.evidence


def test_a_table_for_a_model_of_pictures_is_refused(tmp_path: Path) -> None:
    write_brightness(tmp_path / "b.lepton")
    with pytest.raises(LeptonError):
        judged(open_model(tmp_path / "b.lepton"), pl.DataFrame({"x": [1.0], "label": ["dark"]}), "finite_answers")


def test_a_constant_answer_of_one_column(tmp_path: Path) -> None:
    predictor = linear_model(tmp_path, {"x": 0.0}, offset=3.0)
    frame = pl.DataFrame({"x": np.arange(80.0), "price": np.full(80, 3.0)})
    assert str(judged(predictor, frame, {"metric": {"metric": "r2", "least": 0.5}}).verdict) == "unknown"
    assert str(judged(predictor, frame, "varied_answers").verdict) == "failed"
    assert str(judged(predictor, frame, "better_than_baseline").verdict) == "failed"
    assert str(judged(predictor, frame, {"weak_slices": {"most_loss": 0.0}}).verdict) in ("unknown", "passed")


def test_a_thousand_columns(tmp_path: Path) -> None:
    names = [f"x{number}" for number in range(1_000)]
    predictor = linear_model(tmp_path, dict.fromkeys(names, 0.001))
    values = np.random.default_rng(0).normal(size=(8, 1_000))
    frame = pl.DataFrame(values, schema=names).with_columns(price=pl.Series(values.sum(axis=1) * 0.001))
    assert str(judged(predictor, frame, {"missing": {"most": 0.0}}).verdict) == "passed"


def test_weights_and_groups_count(tmp_path: Path) -> None:
    predictor = linear_model(tmp_path, {"x": 1.0})
    frame = pl.DataFrame({"x": np.arange(80.0), "price": np.arange(80.0)}).with_columns(
        price=pl.when(pl.col("x") < 40).then(pl.col("price") + 10).otherwise("price"), counts=pl.col("x").ge(40) * 1.0
    )
    rule = rules_of([{"metric": {"metric": "rmse", "most": 0.1}}])
    assert not verify(predictor, read(frame), rule).passed
    assert verify(predictor, read(frame, roles={"counts": "weight"}), rule).passed
