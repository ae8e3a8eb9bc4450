"""Cards say what the file says, each figure with its report, and what nobody has found out; whatever the file holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings, strategies as st
from markdown_it import MarkdownIt

from lepton.bundle import Predictor, add_report, open_model, write_bundle
from lepton.bundle.approval import approve_bundle
from lepton.core import UsageError, task_record
from lepton.evaluation.card import CARD_VERSION, Card, card_of
from lepton.evaluation.card.faces import escaped
from lepton.evaluation.card.facts import Told, flattened
from lepton.security import PrivateKey
from tests.evaluation.models import binary_model

MACHINE = {"cpu": "Abacus 9", "cores": 2, "system": "Linux", "architecture": "x86_64", "onnxruntime": "1.31.1"}
WHEN = {"time": "2026-02-03T04:05:06+00:00", "machine": MACHINE}
TRAINING = {
    **WHEN,
    "metric": "log_loss",
    "rows": [
        {"chosen": False, "metric": 0.7, "lower": 0.6, "upper": 0.8, "num_folds": 5},
        {"chosen": True, "metric": 0.5, "lower": 0.45, "upper": 0.55, "num_folds": 5, "predict_us": 24.0},
    ],
    "num_rows": 900,
    "seconds": 4.5,
    "doubts": [{"what": "leakage", "evidence": "zip tells it all", "fix": "ignore zip"}],
    "errors": [{"column": "zip", "where": "A", "ratio": 2.5}],
    "calibration": {"expected_calibration_error": 0.03, "lower": 0.01, "upper": 0.05},
}
RATE = {"value": 0.2, "lower": 0.1, "upper": 0.3}
VERIFICATION = {
    **WHEN,
    "passed": True,
    "data": {"name": "test", "fingerprint": "ab" * 32, "num_rows": 500},
    "rules": [{"rule": "metric", "verdict": "passed", "accepted": True, "wanted": "at least 0.8", "evidence": "0.9"}],
    "measured": {
        "metrics": {"accuracy": {"value": 0.9, "lower": 0.87, "upper": 0.93}},
        "slices": {
            "found": [{"text": "zip = A", "num_rows": 60, "loss": {"value": 0.1, "lower": 0.05, "upper": 0.2}}],
            "num_tested": 40,
        },
        "fairness": {
            "favourable": "yes",
            "columns": {
                "sex": {
                    "groups": [{"name": "f", "num_rows": 250, "note": "", "measures": {"selection_rate": RATE}}],
                    "measures": {"selection_rate_difference": {**RATE, "shown": True}},
                }
            },
            "proxies": [{"protected": "sex", "column": "zip", "association": 0.6}],
        },
        "robustness": {
            "metric": "Accuracy",
            "curves": [
                {
                    "name": "noise",
                    "title": "Noise on numbers",
                    "strengths": [2],
                    "values": [{"value": 0.8, "lower": 0.7, "upper": 0.9}],
                    "losses": [{"value": 0.1, "lower": 0.05, "upper": 0.2}],
                }
            ],
        },
        "metamorphic": {"results": [{"says": "income rises", "passed": False, "num_rows": 50, "num_broken": 7}]},
        "privacy": {"advantage": {"value": 0.02, "lower": -0.01, "upper": 0.05}},
        "speed": {"latency": {"p99": 0.0001, "calls": 1000}, "size": 4096},
        "outliers": {"share": 0.02},
    },
}


def reported(tmp_path: Any, **reports: dict[str, Any]) -> Predictor:
    model = binary_model(tmp_path, 1.0)
    for name, report in reports.items():
        add_report(model.bundle.path, name, report)
    return open_model(model.bundle.path)


def facts(card: Card, part: str) -> dict[str, Any]:
    (found,) = [each for each in card.parts if each.key == part]
    return {fact.name: fact for fact in found.facts}


def test_a_model_that_knows_nothing_says_so(tmp_path):
    card = card_of(binary_model(tmp_path, 1.0))
    said = " ".join(each.what for each in card.not_known)
    for words in (
        "not signed",
        "which data",
        "licence",
        "No metric",
        "groups of people",
        "verified",
        "approved",
        "seed",
    ):
        assert words in said
    assert all(each.how for each in card.not_known)
    assert facts(card, "identity")["model_id"].value == card.model_id
    assert facts(card, "inputs")["x"].value == "number"
    assert "Nobody has said what it is for." in card.html()
    assert "Nobody has approved it." in card.markdown()


def test_a_model_without_truth_is_not_sent_to_rules_about_it(tmp_path):
    plain = binary_model(tmp_path, 1.0)
    bundle = SimpleNamespace(
        **{name: getattr(plain.bundle, name) for name in ("manifest", "model_id", "reports", "path")}
    )
    found = card_of(cast("Predictor", SimpleNamespace(bundle=bundle, task=task_record("anomaly"))))
    hows = {part.key: [each.how for each in part.missing] for part in found.parts}
    assert hows["fairness"] == ["nothing does: a model for anomaly has no truth, row by row"]
    assert "robustness" in hows["robustness"][0]


def test_figures_name_their_report_date_and_machine(tmp_path):
    card = card_of(reported(tmp_path, training=TRAINING, verification=VERIFICATION))
    accuracy = facts(card, "metrics")["Accuracy"]
    assert (accuracy.value, accuracy.lower, accuracy.upper) == (0.9, 0.87, 0.93)
    assert (accuracy.source.report, accuracy.source.time) == ("verification", WHEN["time"])
    assert "Abacus 9 · 2 cores" in accuracy.source.machine
    loss = facts(card, "metrics")["Log loss"]
    assert (loss.value, loss.source.report) == (0.5, "training")
    for part in card.parts:
        assert all(fact.source.report == "manifest" or fact.source.time for fact in part.facts)
    row = next(line for line in card.markdown().splitlines() if line.startswith("| Accuracy"))
    assert "0.87 to 0.93" in row
    assert "verification, 2026-02-03, Abacus 9" in row


def test_each_part_of_a_verification_is_told(tmp_path):
    card = card_of(reported(tmp_path, training=TRAINING, verification=VERIFICATION))
    assert facts(card, "slices")["zip = A"].upper == 0.2
    assert facts(card, "slices")["errs more where zip: A"].value == 2.5
    assert facts(card, "fairness")["sex: selection rate difference"].value == 0.2
    assert facts(card, "fairness")["sex: selection rate difference"].note == "groups differ"
    assert facts(card, "fairness")["selection rate of sex = f"].upper == 0.3
    assert facts(card, "fairness")["zip tells sex"].value == 0.6
    noise = facts(card, "robustness")["Accuracy, Noise on numbers, strength 2"]
    assert (noise.value, noise.note) == (0.8, "worse by 0.1")
    assert facts(card, "robustness")["rule: income rises"].shown == "no"
    assert facts(card, "robustness")["rule: income rises"].note == "broken in 7 of 50 rows"
    assert facts(card, "metrics")["rows unlike those of the training: share"].value == 0.02
    assert facts(card, "privacy")["privacy: advantage"].lower == -0.01
    assert (facts(card, "speed")["one row, p99"].value, facts(card, "speed")["one row, p99"].unit) == (
        0.0001,
        "seconds",
    )
    assert facts(card, "speed")["one row, median"].shown == "24.0 µs"
    assert facts(card, "verification")["rule metric"].value == "passed"
    assert facts(card, "training")["doubt: leakage"].value == "zip tells it all"
    said = {each.what for each in card.not_known}
    assert "The verification is not signed." in said
    assert not any("groups of people" in each for each in said)


def test_lineage_is_told(tmp_path):
    plain = binary_model(tmp_path, 1.0)
    lineage = {
        "dataset": {"fingerprint": "ab" * 32, "num_rows": 900},
        "recipe": {"lepton": 1, "steps": ["drop_duplicates", {"fill": {"columns": ["x"]}}]},
        "parents": ["p" * 64],
        "roles": {"sex": "protected"},
        "ignored": ["note"],
        "seed": 7,
        "learner": "linear",
        "options": {"coverage": 0.9, "costs": []},
        "versions": {"lepton": "0.1.0"},
    }
    manifest = replace(plain.manifest, lineage=lineage)
    write_bundle(tmp_path / "told.lepton", manifest=manifest, graph=plain.bundle.graph)
    card = card_of(open_model(tmp_path / "told.lepton"))
    data, training = facts(card, "data"), facts(card, "training")
    assert data["rows"].value == 900
    assert data["cleaned by a recipe"].value == "drop_duplicates, fill"
    assert data["made from"].value == "p" * 64
    assert data["role of sex"].value == "protected"
    assert data["columns that were not learned from"].value == "note"
    assert (training["seed"].value, training["learner"].value) == (7, "linear")
    assert training["option coverage"].value == "0.9"
    assert "option costs" not in training
    assert training["environment"].value == "lepton 0.1.0"


def test_a_verification_that_failed_is_not_passed(tmp_path):
    card = card_of(reported(tmp_path, verification={**VERIFICATION, "passed": False}))
    assert facts(card, "verification")["passed"].shown == "no"
    assert any("did not pass" in each.what for each in card.not_known)
    empty = card_of(reported(tmp_path, verification={**VERIFICATION, "rules": []}))
    assert facts(empty, "verification")["passed"].value is False


def test_compression_settings_import_and_approval(tmp_path):
    card = card_of(
        reported(
            tmp_path,
            compression={
                **WHEN, "original": {"name": "big", "model_id": "c" * 64, "size": 9000}, "size": 3000, "p99": 2e-5,
                "metric": "accuracy", "steps_text": "palettes",
                "loss": {"value": 0.01, "interval": [0.0, 0.02], "num_rows": 360},
                "verdicts": [{"name": "max_loss", "kept": True}],
            },
            settings={**WHEN, "machines": [{"machine": MACHINE, "plain": {"one thread": 3e-5},
                                            "gain": {"speedup": 1.4, "lower": 1.3, "upper": 1.5, "seconds": 2e-5}}]},
            approval={**WHEN, "by": "A. Person", "role": "credit officer"},
            provenance={**WHEN, "licence": "CC-BY-4.0", "collected": "2025-01-01"},
            mitigation={**WHEN, "steps": [{"kind": "reweighing", "protected": ["sex"]}]},
        )
    )  # fmt: skip
    assert facts(card, "compression")["loss of Accuracy"].upper == 0.02
    assert facts(card, "compression")["size"].shown == "3 kB"
    assert facts(card, "speed")["times as quick as plain"].lower is None  # quartiles are no 95 % interval
    assert "quartiles 1.3 to 1.5" in facts(card, "speed")["times as quick as plain"].note
    assert facts(card, "approval")["approved by"].value == "A. Person"
    assert facts(card, "data")["licence"].source.report == "provenance"
    assert facts(card, "fairness")["mitigation: reweighing"].value == "sex"
    said = " ".join(each.what for each in card.not_known)
    assert "approved" not in said
    assert "The approval is not signed." in said


def test_an_approval_as_it_is_written(tmp_path):
    path = binary_model(tmp_path, 1.0).bundle.path
    key = PrivateKey.generate()
    approve_bundle(path, "A. Person", role="credit officer", note="only if " * 200 + "asked", key=key)
    card = card_of(open_model(path))
    found = facts(card, "approval")
    assert "asked" in card.html()
    assert "asked" in card.markdown()
    assert found["approved by"].value == "A. Person"
    assert found["signed with the key"].value == key.key_id
    assert found["signed with the key"].note == "not checked here"


def test_the_same_file_gives_the_same_bytes(tmp_path):
    model = reported(tmp_path, training=TRAINING, verification=VERIFICATION)
    one, other = (card_of(open_model(model.bundle.path), intended_use="loans") for _ in range(2))
    assert (one.html(), one.markdown(), one.json()) == (other.html(), other.markdown(), other.json())


def test_the_json_form_keeps_its_shape(tmp_path):
    bare = json.loads(card_of(binary_model(tmp_path, 1.0)).json())
    full = json.loads(card_of(reported(tmp_path, training=TRAINING, verification=VERIFICATION)).json())
    assert bare["card_version"] == CARD_VERSION == 1
    assert list(bare) == list(full)
    assert list(bare["parts"]) == list(full["parts"]) == [
        "identity", "data", "inputs", "outputs", "training", "metrics", "slices", "fairness", "robustness", "privacy",
        "compression", "speed", "verification", "approval",
    ]  # fmt: skip
    for part in full["parts"].values():
        assert list(part) == ["title", "facts", "missing"]
        for fact in part["facts"]:
            assert list(fact) == ["name", "value", "lower", "upper", "unit", "note", "source"]


def test_reports_of_another_model_are_stale(tmp_path):
    model = binary_model(tmp_path, 1.0)
    beside = {
        "verification": {**VERIFICATION, "model_id": "f" * 64},
        "training": {**TRAINING, "model_id": model.model_id},
    }
    card = card_of(model, reports=beside)
    assert card.stale == ("verification",)
    assert "Accuracy" not in facts(card, "metrics")
    assert "Log loss" in facts(card, "metrics")
    assert "another model" in card.html()
    assert any("not verified" in each.what for each in card.not_known)


def test_reports_that_a_card_does_not_know_are_named(tmp_path):
    card = card_of(reported(tmp_path, horoscope={**WHEN, "sign": "leo"}))
    assert card.unread == ("horoscope",)
    assert "leo" not in card.json()
    assert "horoscope" in card.markdown()


NASTY = (
    "</td></table><script>alert(1)</script> | *b* `c` [x](javascript:alert(1)) \u202e\x00 http://evil.example www.x.y"
)


def test_hostile_texts_are_shown_and_nothing_else(tmp_path):
    report = json.loads(json.dumps(VERIFICATION))
    report["rules"][0].update(rule=NASTY, evidence=NASTY, wanted=NASTY)
    report["measured"]["metrics"] = {NASTY: {"value": 1, "lower": 0, "upper": 2, "reason": NASTY}}
    report["measured"]["fairness"]["columns"] = {NASTY: report["measured"]["fairness"]["columns"]["sex"]}
    card = card_of(reported(tmp_path, verification=report), intended_use=f"# {NASTY}\n- {NASTY}\n\n1. a\n===\n    code")
    html, markdown = card.html(), card.markdown()
    assert "<script" not in html
    for face in (html, markdown, card.json(), card.text()):
        assert "\u202e" not in face
        assert "\x00" not in face
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    allowed = {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "blockquote"}
    assert set(re.findall(r"</?([a-z0-9]+)", rendered)) <= allowed
    assert rendered.count("<h1") == 1
    quoted = rendered.split("<blockquote>")[1].split("</blockquote>")[0]
    assert "<ul" not in quoted
    assert "===" in quoted


def test_free_text_is_text(any_model):
    card = card_of(any_model, intended_use="a\n\nb\tc", out_of_scope="\ud800\x1b[31m")
    assert card.intended_use == "a\n\nb c"
    assert card.out_of_scope.isprintable()
    bad: Any
    for bad in (3, None, "x" * 20_001):
        with pytest.raises(UsageError):
            card_of(any_model, intended_use=bad)


@given(st.text(max_size=60))
@settings(max_examples=60)
def test_escaped_text_is_one_paragraph_of_text(text):
    rendered = MarkdownIt("commonmark", {"html": True}).renderInline(escaped(text))
    assert "<" not in rendered
    assert "\n" not in rendered


PARTS = ("metrics", "slices", "fairness", "robustness", "privacy", "speed", "calibration")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*TRAINING, *VERIFICATION, *PARTS, "value", "lower"]), inner)
    ),
    max_leaves=6,
)


REPORTS = st.sampled_from(["training", "verification", "compression", "settings", "search", "approval"])


@given(st.dictionaries(REPORTS, st.dictionaries(st.sampled_from([*TRAINING, *VERIFICATION, "loss", "by"]), JSON)))
@settings(max_examples=15)
def test_reports_of_any_form_make_a_card(any_model, reports):
    own = {name: {**report, "model_id": any_model.model_id} for name, report in reports.items()}
    card = card_of(any_model, reports=own)
    assert any_model.model_id in json.dumps(json.loads(card.json()))
    assert any_model.model_id in card.markdown()
    assert any_model.model_id in card.text()


@pytest.fixture(scope="module")
def any_model(tmp_path_factory):
    return binary_model(tmp_path_factory.mktemp("card"), 1.0)


def test_giant_reports_are_cut(any_model):
    huge = {
        **VERIFICATION,
        "model_id": any_model.model_id,
        "rules": [{"rule": "r" * 5_000, "verdict": "passed", "evidence": "e" * 100_000}] * 5_000,
        "measured": {part: {f"n{i}": {"value": i, "lower": 0, "upper": 1} for i in range(5_000)}
                     for part in ("metrics", "robustness", "privacy", "speed")},
    }  # fmt: skip
    card = card_of(any_model, reports={"verification": huge})
    assert len(card.json()) < 400_000
    assert facts(card, "verification")["more"].value == "4,900 further rules"


def test_deep_and_odd_values_are_passed_over():
    deep: Any = 1.0
    for _ in range(50):
        deep = {"a": deep}
    assert list(flattened(deep)) == []
    assert list(flattened({"curve": [1.0, 2.0], "x": 3})) == [(("x",), 3)]
    told = Told("t", WHEN)
    assert told.estimate("n", {"value": float("nan")}) == []
    assert told.estimate("n", {"value": None, "reason": "no row"})[0].note == "no row"
    assert told.fact("n", 10**400) == []
    assert told.fact("n", []) == []


def test_cards_are_written_by_their_ending(tmp_path, any_model):
    card = card_of(any_model, out_of_scope="hiring")
    for name, start in (("a.html", "<!DOCTYPE"), ("b.md", "# Model card"), ("c.json", "{")):
        card.write(tmp_path / name)
        assert (tmp_path / name).read_text("utf-8").startswith(start)
    with pytest.raises(UsageError, match=r"x\.pdf"):
        card.write(tmp_path / "x.pdf")
    with pytest.raises(UsageError, match="reports"):
        card_of(any_model, reports={"verification": [1]})  # type: ignore[dict-item]
