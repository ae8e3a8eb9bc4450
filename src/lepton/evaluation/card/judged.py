"""What the reports say of how good, small and quick a model is, and who looked."""

from __future__ import annotations

from collections.abc import Mapping

from lepton.bundle.settings import REPORT as SETTINGS
from lepton.evaluation.card.behaviour import fairness, privacy, robustness, slices
from lepton.evaluation.card.described import Reports
from lepton.evaluation.card.facts import (
    MANIFEST,
    Fact,
    Missing,
    Part,
    Told,
    list_of,
    machine_text,
    mapping_of,
    number_of,
    text_of,
)
from lepton.evaluation.card.measured import VERIFICATION, VERIFY, measured, metric_title
from lepton.report import show_number

__all__ = ["JUDGED"]

_MOST_NOTE = 2_000
_APPROVE = "lepton bundle approve MODEL"
_PARTS = {
    "calibration": "expected calibration error",
    "coverage": "coverage",
    "outliers": "rows unlike those of the training",
    "drift": "drift",
}


def metrics(reports: Reports) -> Part:
    """How good it is."""
    facts: list[Fact] = []
    told, found = measured(reports, "metrics")
    if told is not None:
        data = mapping_of(told.report.get("data"))
        facts += told.fact(
            "rows that it was judged on", number_of(data.get("num_rows")), note=text_of(data.get("name"))
        )
        facts += told.fact("fingerprint of those rows", data.get("fingerprint"))
        for name, value in list(mapping_of(found).items())[:40]:
            if isinstance(value, Mapping) and "value" in value:
                facts += told.estimate(metric_title(text_of(str(name), 80)), value, note="on these rows")
            else:
                facts += told.all_of({str(name): value}, most=20)
        for part in ("calibration", "coverage", "outliers", "drift"):
            found = mapping_of(told.report.get("measured")).get(part)
            facts += told.all_of({_PARTS[part]: found}, most=20)
    if "training" in reports:
        facts += _of_training(Told("training", reports["training"]))
    missing = []
    if not any(fact.lower is not None for fact in facts):
        missing.append(Missing("No metric of it with an interval is in the file.", VERIFY + "'metric'"))
    elif VERIFICATION not in reports:
        what = "It was judged by its own training only, not on rows kept apart."
        missing.append(Missing(what, VERIFY + "'metric'"))
    return Part("metrics", "How good it is", tuple(facts), tuple(missing))


def _of_training(told: Told) -> list[Fact]:
    facts: list[Fact] = []
    metric = metric_title(text_of(told.report.get("metric"), 80))
    for row in map(mapping_of, list_of(told.report.get("rows"), 10_000)):
        if row.get("chosen") is True and metric:
            raw = {"value": row.get("metric"), "lower": row.get("lower"), "upper": row.get("upper")}
            folds = number_of(row.get("num_folds"))
            facts += told.estimate(metric, raw, note=f"out of fold, {folds} folds" if folds else "as it was chosen by")
    calibration = mapping_of(told.report.get("calibration"))
    raw = {"value": calibration.get("expected_calibration_error"), "lower": calibration.get("lower"),
           "upper": calibration.get("upper")}  # fmt: skip
    facts += told.estimate("expected calibration error", raw, note="out of fold")
    facts += told.all_of({"later windows": told.report.get("later")}, most=20)
    for name, values in list(mapping_of(told.report.get("history")).items())[:10]:
        last = list_of(values, 1_000_000)[-1:]
        facts += told.fact(f"{text_of(str(name), 60)}, last epoch", number_of(last[0]) if last else None)
    return facts


def compression(reports: Reports) -> Part:
    """What was made smaller, and what that cost."""
    if "compression" not in reports:
        return Part("compression", "Compression", tuple(Told(MANIFEST, {}).fact("compressed", "no report says so")))
    told = Told("compression", reports["compression"])
    original, loss = mapping_of(told.report.get("original")), mapping_of(told.report.get("loss"))
    facts = told.fact("original", original.get("name"), note=text_of(original.get("model_id")))
    facts += told.fact("steps", told.report.get("steps_text"))
    for name, where in (("size of the original", original.get("size")), ("size", told.report.get("size"))):
        facts += told.fact(name, number_of(where), unit="bytes")
    ends = list_of(loss.get("interval"), 2)
    raw = {"value": loss.get("value"), "lower": ends[0], "upper": ends[1]} if len(ends) == 2 else loss.get("value")
    rows = number_of(loss.get("num_rows"))
    metric = metric_title(text_of(told.report.get("metric"), 80))
    facts += told.estimate(f"loss of {metric}", raw, note="" if rows is None else f"proven on {rows:,} rows")
    for verdict in map(mapping_of, list_of(told.report.get("verdicts"), 20)):
        facts += told.fact(f"budget {text_of(verdict.get('name'), 60)} kept", verdict.get("kept"))
    return Part("compression", "Compression", tuple(facts))


def speed(reports: Reports) -> Part:
    """How quick it is, and on which machine."""
    facts: list[Fact] = []
    if SETTINGS in reports:
        told = Told(SETTINGS, reports[SETTINGS])
        for each in map(mapping_of, list_of(told.report.get("machines"), 20)):
            here = machine_text(each.get("machine")) or "a machine"
            for name, seconds in list(mapping_of(each.get("plain")).items())[:5]:
                facts += told.fact(f"one call, {text_of(str(name), 60)}", number_of(seconds), note=here, unit="seconds")
            gain = mapping_of(each.get("gain"))
            ends = [number_of(gain.get(end)) for end in ("lower", "upper")]
            spread = "" if None in ends else f", quartiles {show_number(ends[0])} to {show_number(ends[1])}"
            facts += told.fact("times as quick as plain", number_of(gain.get("speedup")), note=f"{here}{spread}")
            facts += told.fact(
                "one call, with these settings", number_of(gain.get("seconds")), note=here, unit="seconds"
            )
    if "compression" in reports:
        told = Told("compression", reports["compression"])
        for key in ("p50", "p99"):
            facts += told.fact(f"one row, {key}", number_of(told.report.get(key)), unit="seconds")
    if "training" in reports:
        told = Told("training", reports["training"])
        for row in map(mapping_of, list_of(told.report.get("rows"), 10_000)):
            micro = number_of(row.get("predict_us"))
            if row.get("chosen") is True and micro is not None:
                facts += told.fact("one row, median", micro * 1e-6, note="its graph, as it was trained", unit="seconds")
    verified, found = measured(reports, "speed")
    if verified is not None:
        latency = mapping_of(mapping_of(found).get("latency"))
        for key in ("p50", "p99"):
            facts += verified.fact(f"one row, {key}", number_of(latency.get(key)), unit="seconds")
        facts += verified.fact("size of the file", number_of(mapping_of(found).get("size")), unit="bytes")
    missing = () if facts else (
        Missing("How quick it is was not measured on any machine.", "lepton accelerate, or lepton bench"),
    )  # fmt: skip
    return Part("speed", "How quick it is", tuple(facts), missing)


def verification(reports: Reports) -> Part:
    """Which rules it was verified by."""
    if VERIFICATION not in reports:
        never = Missing("It was not verified by any rules.", "lepton verify MODEL --data ROWS --rules RULES")
        return Part("verification", "What was verified", (), (never,))
    told = Told(VERIFICATION, reports[VERIFICATION])
    rules = [mapping_of(each) for each in list_of(told.report.get("rules"), 100)]
    passed = told.report.get("passed") is True and bool(rules)
    facts = told.fact("passed", passed)
    facts += told.fact("good until", told.report.get("valid_until"))
    for each in rules:
        verdict = text_of(each.get("verdict"), 20) or "unknown"
        name = text_of(each.get("rule"), 80) or "a rule"
        wanted = text_of(each.get("wanted"), 120)
        note = "; ".join(filter(None, (f"wanted {wanted}" if wanted else "", text_of(each.get("evidence"), 200))))
        facts += told.fact(f"rule {name}", verdict, note=note)
    if (more := len(list_of(told.report.get("rules"), 1_000_000)) - 100) > 0:
        facts += told.fact("more", f"{more:,} further rules")
    key = text_of(mapping_of(told.report.get("signature")).get("key_id"), 80)
    facts += told.fact("signed with the key", key, note="not checked here: lepton serve --require verified")
    missing = [] if key else [Missing("The verification is not signed.", "lepton verify --key KEY")]
    if not passed:
        missing.append(Missing("It did not pass its rules.", "lepton verify, once it is mended"))
    return Part("verification", "What was verified", tuple(facts), tuple(missing))


def approval(reports: Reports) -> Part:
    """Who answers for its use."""
    told = Told("approval", reports.get("approval", {}))
    facts = told.fact("approved by", told.report.get("by"))
    missing = [] if facts else [Missing("Nobody has approved it.", f"{_APPROVE} --by NAME")]
    if facts:
        facts += told.fact("role", told.report.get("role"))
        note = text_of(told.report.get("note"), _MOST_NOTE)
        facts += [Fact("note", note, told.source)] if note else []
        key = text_of(mapping_of(told.report.get("signature")).get("key_id"), 80)
        facts += told.fact("signed with the key", key, note="not checked here")
        missing += [] if key else [Missing("The approval is not signed.", f"{_APPROVE} --by NAME --key KEY")]
    return Part("approval", "Who approved it", tuple(facts), tuple(missing))


JUDGED = (metrics, slices, fairness, robustness, privacy, compression, speed, verification, approval)
"""The parts that are made from reports alone, in their order."""
