"""Rules about spoilt rows, about what must hold between answers, and about rows that a model gives away."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from lepton.bundle import Predictor
from lepton.core import LeptonError, UsageError
from lepton.evaluation.robustness import robustness
from lepton.evaluation.verify import rules_stress
from tests.evaluation.verify.models import bought, judged, model, outcome


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return model(tmp_path_factory.mktemp("model"))


def verdict(predictor: Predictor, frame: pl.DataFrame | None, rule: Any, **options: Any) -> str:
    return str(judged(predictor, frame, rule, **options).verdict)


def test_rows_are_spoilt_once_for_all_rules(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(*given: Any, **options: Any) -> Any:
        asked.append((options["tests"], options["strengths"]))
        return robustness(*given, **options)

    monkeypatch.setattr(rules_stress, "robustness", counted)
    found = outcome(
        predictor,
        bought(),
        {"robustness": {"test": "noise", "most_loss": 0.5, "strength": 1}},
        {"robustness": {"test": "missing_cells", "most_loss": 0.0, "strength": 5}},
    )
    assert asked == [(["noise", "missing_cells"], [1, 5])]
    assert [str(each.verdict) for each in found.results] == ["passed", "failed"]
    assert "0.8 of the cells missing" in found.results[1].evidence
    assert {each["name"] for each in found.measured["robustness"]["curves"]} == {"noise", "missing_cells"}


def test_what_does_not_apply_is_unknown(predictor: Predictor) -> None:
    rule = {"robustness": {"test": "unseen_categories", "most_loss": 0.1}}
    found = judged(predictor, bought(), rule)
    assert str(found.verdict) == "unknown"
    assert "the model has no" in found.evidence
    noise = {"robustness": {"test": "noise", "most_loss": 0.1}}
    assert verdict(predictor, bought().drop("bought"), noise) == "unknown"
    assert verdict(predictor, bought(12), noise) == "unknown"


class TestMetamorphic:
    def test_what_must_hold(self, predictor: Predictor) -> None:
        rising = {"metamorphic": {"change": {"x": "+1"}, "answer": "not_decreasing"}}
        falling = {"metamorphic": {"change": {"x": "+1"}, "answer": "not_increasing"}}
        near = {"metamorphic": {"change": {"x": "+0.001"}, "answer": "within 0.01"}}
        found = outcome(predictor, bought(), rising, near)
        assert [str(each.verdict) for each in found.results] == ["passed", "passed"]
        assert "0 of 200 rows break it" in found.results[0].evidence
        assert len(found.measured["metamorphic"]["results"]) == 2
        broken = judged(predictor, bought(), falling)
        assert str(broken.verdict) == "failed"
        assert "200 of 200 rows break it" in broken.evidence
        assert verdict(predictor, bought(), {"metamorphic": {**falling["metamorphic"], "most_share": 0.99}}) == "failed"
        some = {"change": {"x": "+1"}, "answer": "within 0.2", "most_share": 0.9}
        assert verdict(predictor, bought(), {"metamorphic": some}) == "passed"
        assert verdict(predictor, bought(), {"metamorphic": {**some, "most_share": 0.0}}) == "failed"
        with pytest.raises(UsageError, match="contradict"):
            outcome(predictor, bought(), rising, falling)

    def test_no_row_of_the_data_is_kept_in_the_report(self, predictor: Predictor) -> None:
        found = outcome(predictor, bought(), {"metamorphic": {"change": {"x": "+1"}, "answer": "not_increasing"}})
        told = found.to_dict()["measured"]["metamorphic"]
        assert told["results"]
        assert "examples" not in told["results"][0]

    def test_columns_that_are_not_there_are_refused(self, predictor: Predictor) -> None:
        with pytest.raises(LeptonError, match="rule 1"):
            judged(predictor, bought(), {"metamorphic": {"change": {"y": "+1"}, "answer": "same"}})
