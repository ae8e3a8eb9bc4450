"""The whole of a verification: one pass, verdicts, what is refused before anything runs, and how it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from lepton.bundle import Predictor
from lepton.core import DataError, Interrupted, LeptonError, UsageError, Work
from lepton.evaluation import evaluate
from lepton.evaluation.verify import Examined, Finding, Rule, Unknown, Verdict, rules_of, verify
from tests.evaluation.models import linear_model
from tests.evaluation.verify.models import bought, dataset, judged, model, outcome

MANY = [
    {"metric": {"metric": "accuracy", "least": 0.6}},
    {"metric": {"metric": "roc_auc", "least": 0.6}},
    {"better_than_baseline": {}},
    {"segments": {"column": "region", "metric": "accuracy", "least": 0.5}},
    {"segments": {"column": "sex", "metric": "accuracy", "least": 0.5}},
    "finite_answers",
    "varied_answers",
    {"rows": {"least": 150}},
    {"rows_per_label": {"least": 60}},
    {"missing": {"most": 0.1}},
    {"fairness": {"column": "sex", "measure": "selection_rate_difference", "most": 0.9}},
]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return model(tmp_path_factory.mktemp("model"))


def test_every_rule_looks_at_the_same_answers(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    outputs = Predictor.outputs

    def counted(self: Predictor, rows: Any) -> Any:
        asked.append(len(rows))
        return outputs(self, rows)

    monkeypatch.setattr(Predictor, "outputs", counted)
    found = outcome(predictor, bought(), *MANY)
    assert asked == [200]
    assert found.passed
    assert [each.verdict for each in found.results] == [Verdict.PASSED] * len(MANY)


def test_metrics_are_those_of_evaluate(predictor: Predictor) -> None:
    found = outcome(predictor, bought(), MANY[0], seed=3)
    wanted = evaluate(predictor, dataset(bought()), seed=3).metrics
    assert found.measured["metrics"] == {name: each.to_dict() for name, each in wanted.items()}


def test_the_same_seed_gives_the_same_result(predictor: Predictor) -> None:
    first, second = (outcome(predictor, bought(), *MANY, seed=5) for _ in range(2))
    assert first.results == second.results
    assert first.measured == second.measured


def test_one_broken_rule_is_enough(predictor: Predictor) -> None:
    found = outcome(predictor, bought(), *MANY, {"rows": {"least": 10_000}})
    assert not found.passed
    assert [each.rule for each in found.failed] == ["rows"]
    assert found.unknown == ()
    assert "did not pass: of 12 rules 1 failed, 0 unknown" in found.text()


def test_unknown_does_not_pass_unless_it_is_said_so(predictor: Predictor) -> None:
    found = outcome(predictor, bought().drop("bought"), MANY[0])
    (result,) = found.results
    assert (result.verdict, result.accepted, found.passed) == (Verdict.UNKNOWN, False, False)
    assert "no column 'bought'" in result.evidence
    accepted = {"metric": {"metric": "accuracy", "least": 0.6, "if_unknown": "pass"}}
    found = outcome(predictor, bought().drop("bought"), accepted)
    assert found.passed
    assert found.results[0].verdict is Verdict.UNKNOWN
    assert "1 of them unknown and accepted so" in found.text()
    broken = outcome(predictor, bought(), {"rows": {"least": 10_000, "if_unknown": "pass"}})
    assert not broken.passed


def test_without_data_the_file_alone_is_judged(predictor: Predictor) -> None:
    found = outcome(predictor, None, {"size": {"most": "1MB"}}, {"rows": {"least": 1}}, MANY[3])
    assert [str(each.verdict) for each in found.results] == ["passed", "unknown", "unknown"]
    assert {each.evidence for each in found.results[1:]} == {"no data was given"}
    assert found.data is None


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            [{"metric": {"least": 0.9, "metric": "accuracy"}}, {"metric": {"most": 0.8, "metric": "accuracy"}}],
            "rules 1 and 2 contradict each other: one wants the metric accuracy to be at least 0.9",
        ),
        ([{"metric": {"least": 0.5}}, MANY[0], {"metric": {"metric": "log_loss", "most": 0.4}}], "rules 1 and 3"),
        ([{"runtime": {"least_opset": 20}}, {"runtime": {"most_opset": 15}}], "the operator set"),
        ([{"metric": {"metric": "rmse", "most": 1.0}}], "rule 1, metric: the metric 'rmse' does not fit"),
        ([{"metric": {"metric": "acuracy", "least": 0.9}}], "did you mean 'accuracy'"),
        ([{"metric": {"metric": "accuracy", "least": 90.0}}], "did you mean 0.9?"),
        ([{"segments": {"column": "regoin", "least": 0.5}}], "'region'"),
        ([{"robustness": {"test": "blur", "most_loss": 0.1}}], "rule 1, robustness"),
        ([{"age": {"within": "9d", "column": "when"}}], "no input of the model"),
        ([{"age": {"within": "9d", "column": "x"}}], "of kind number"),
    ],
)
def test_what_cannot_be_meant_of_this_model_is_refused_before_anything_runs(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, rules: list[Any], said: str
) -> None:
    monkeypatch.setattr(Predictor, "outputs", lambda self, rows: pytest.fail("it ran"))
    with pytest.raises((UsageError, DataError)) as caught:
        outcome(predictor, bought(), *rules)
    assert said in str(caught.value)


def test_bounds_that_touch_do_not_contradict(predictor: Predictor) -> None:
    rules = [{"metric": {"least": 0.5, "metric": "accuracy"}}, {"metric": {"most": 0.5, "metric": "accuracy"}}]
    assert len(outcome(predictor, bought(), *rules).results) == 2


@dataclass(frozen=True, kw_only=True)
class Mine(Rule):
    """A rule of somebody else."""

    name: ClassVar[str] = "mine"
    known: bool = True

    def judge(self, examined: Examined) -> Finding:
        """Passes."""
        if not self.known:
            raise Unknown("nobody knows")
        return Finding(True, float("nan"), "wanted", "\x1b[31mred")


def test_rules_of_python(predictor: Predictor) -> None:
    found = outcome(predictor, None, Mine(), Mine(known=False))
    assert [str(each.verdict) for each in found.results] == ["passed", "unknown"]
    assert found.to_dict()["rules"][0]["measured"] is None
    assert "\x1b" not in found.text()


def test_it_is_told_in_every_form(predictor: Predictor) -> None:
    found = outcome(predictor, bought(), *MANY, {"latency": {"p99": "9s", "blocks": 1, "why": "<b>fast</b>"}})
    told = found.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["passed"] is True
    assert told["model_id"] == predictor.model_id
    assert told["data"]["num_rows"] == 200
    assert told["data"]["fingerprint"] == dataset(bought()).fingerprint()
    assert [each["rule"] for each in told["rules"]] == [each.rule for each in found.results]
    text = found.text()
    assert str(found) == text
    for each in found.results:
        assert each.evidence[:60] in text
    assert "why: <b>fast</b>" in text
    html = found.page().html()
    assert "Verification of linear" in html
    assert "<b>fast" not in html
    assert html.count("<svg") == 3
    for title in ("Metrics, with 95 % intervals", "Accuracy by region", "Accuracy by sex"):
        assert title in html
    assert found._repr_html_() == html


def test_a_verification_is_good_for_a_time(predictor: Predictor) -> None:
    rules = rules_of({"lepton": "release-rules/1", "valid_for": "90d", "rules": [{"size": {"most": "1MB"}}]})
    found = verify(predictor, None, rules)
    assert found.valid_until is not None
    assert found.valid_until[:10] > found.time[:10]
    assert f"Good until {found.valid_until}" in found.text()


def test_names_from_outside_are_only_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[2J"
    frame = bought().rename({"region": hostile.replace("\x1b", "")})
    found = judged(model(tmp_path), frame, {"segments": {"column": hostile.replace("\x1b", ""), "least": 0.01}})
    assert found.verdict is Verdict.PASSED
    rule = {"segments": {"column": hostile.replace("\x1b", ""), "least": 0.01}}
    assert "<script>alert" not in outcome(model(tmp_path), frame, rule).page().html()


def test_it_stops_when_it_is_told_to(predictor: Predictor) -> None:
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        outcome(predictor, bought(), *MANY, work=work)


def test_progress_is_told(predictor: Predictor) -> None:
    heard: list[Any] = []
    outcome(predictor, bought(), *MANY, work=Work(reporter=heard.append))
    assert {each.unit for each in heard} >= {"rules", "rows"}


def test_rows_that_cannot_be_judged_at_all_are_refused(predictor: Predictor) -> None:
    frame = bought().with_columns(bought=pl.lit(None, dtype=pl.String))
    with pytest.raises(LeptonError, match="missing in all"):
        outcome(predictor, frame, MANY[0])


def test_numbers_are_judged_as_well(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [float(n) for n in range(100)]}).with_columns(price=pl.col("x") * 2 + 1)
    predictor = linear_model(tmp_path, {"x": 2.0})
    found = outcome(
        predictor,
        frame,
        {"metric": {"metric": "rmse", "most": 1.01}},
        {"better_than_baseline": {"metric": "rmse"}},
        {"calibration": {"most": 0.1}},
        {"rows_per_label": {"least": 1}},
        "coverage",
    )
    assert [str(each.verdict) for each in found.results] == ["passed", "passed", "unknown", "unknown", "unknown"]
