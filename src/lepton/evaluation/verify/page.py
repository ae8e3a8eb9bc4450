"""A verification for people: a table for a terminal, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.evaluation.metrics import METRICS
from lepton.evaluation.verify.base import Result, Verdict
from lepton.report import Block, Facts, Page, Table, Text, bars, plain_table, show_number

__all__ = ["verification_page", "verification_text"]

_WORDS = {Verdict.PASSED: "passed", Verdict.FAILED: "FAILED", Verdict.UNKNOWN: "unknown"}
_EVIDENCE = 300
_MAX_COLUMNS = 12
_COLUMNS = ("verdict", "rule", "measured", "wanted")
_NOTE = (
    "A rule is unknown where it cannot be judged: there is no truth, too few rows, or the file does not say. Unknown "
    "does not pass unless the rule says so."
)


def verification_text(headline: str, results: Sequence[Result], valid_until: str | None) -> str:
    """The table with the evidence of each verdict under its line."""
    rows = [(_word(each), each.title, each.shown, each.wanted) for each in results]
    head, *lines = plain_table(_COLUMNS, rows).splitlines()
    told = [printable(headline, _EVIDENCE), "", head]
    for line, each in zip(lines, results, strict=True):
        told += [line, f"           {printable(each.evidence, _EVIDENCE)}"]
        why = each.options.get("why")
        if why:
            told.append(f"           why: {printable(str(why), _EVIDENCE)}")
    if valid_until is not None:
        told += ["", f"Good until {valid_until}."]
    return "\n".join(told)


def _word(result: Result) -> str:
    word = _WORDS[result.verdict]
    return f"{word}, accepted" if result.verdict is Verdict.UNKNOWN and result.accepted else word


def verification_page(model: str, headline: str, results: Sequence[Result], report: Mapping[str, Any]) -> Page:
    """The page."""
    page = Page(f"Verification of {model}", subtitle=headline)
    data = report["data"] or {}
    facts: dict[str, object] = {
        "outcome": "passed" if report["passed"] else "did not pass",
        "model": report["model_id"],
        "verified": report["time"],
        "good until": report["valid_until"] or "no end is set",
        "rows": f"{data['num_rows']:,}" if data else "none were given",
        "fingerprint of the rows": data.get("fingerprint", "–"),
    }
    page.section("At a glance", Facts(facts))
    rows = [(_word(each), each.title, each.shown, each.wanted, each.evidence) for each in results]
    page.section("Rules", Table((*_COLUMNS, "evidence"), rows), Text(_NOTE, "note"))
    if blocks := _measured(report["measured"]):
        page.section("Measured on the way", *blocks)
    machine = report["machine"]
    page.section("Where it was measured", Facts({name: str(value) for name, value in machine.items()}))
    return page


def _measured(measured: Mapping[str, Any]) -> list[Block]:
    """Metrics, and the parts of the rows that rules looked at, drawn with their intervals."""
    blocks: list[Block] = []
    metrics = measured.get("metrics")
    if isinstance(metrics, Mapping):
        shares = [(METRICS[name].title, told) for name, told in metrics.items() if METRICS[name].bounded]
        blocks += _bars("Metrics, with 95 % intervals", shares)
        rows = [(METRICS[name].title, _estimate(each)) for name, each in metrics.items()]
        blocks.append(Table(("metric", "value and 95 % interval"), rows))
    segments = measured.get("segments")
    for column, parts in list(segments.items())[:_MAX_COLUMNS] if isinstance(segments, Mapping) else ():
        name = next((name for part in parts for name in part["metrics"]), "")
        drawn = [(part["value"], part["metrics"][name]) for part in parts if part["metrics"]]
        blocks += _bars(f"{METRICS[name].title if name else ''} by {column}, with 95 % intervals", drawn)
        lines = [(part["value"], f"{part['num_rows']:,}", _part(part, name)) for part in parts]
        blocks.append(Table((column, "rows", name or "metric"), lines))
    return blocks


def _part(part: Mapping[str, Any], name: str) -> str:
    return _estimate(part["metrics"][name]) if part["metrics"] else str(part["note"])


def _bars(title: str, told: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Block]:
    known = [(name, each) for name, each in told if each["value"] is not None]
    if not known:
        return []
    values = np.array([each["value"] for _, each in known], dtype=np.float64)
    ends = [
        np.array([each["value"] if each[end] is None else each[end] for _, each in known], dtype=np.float64)
        for end in ("lower", "upper")
    ]
    return [bars([name for name, _ in known], values, title=title, lower=ends[0], upper=ends[1])]


def _estimate(told: Mapping[str, Any]) -> str:
    ends = "" if told.get("lower") is None else f" ({show_number(told['lower'])} to {show_number(told['upper'])})"
    reason = f" ({told['reason']})" if told.get("reason") else ""
    return show_number(told.get("value")) + (ends or reason)
