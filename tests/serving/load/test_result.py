"""Percentiles are of answers, counts of everything, and what a reader must know is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lepton.serving.load import LoadResult


def result(took, codes=None, told=None, **changes) -> LoadResult:
    took = np.array(took, dtype=np.float64)
    given = {"seconds": 2.0, "sent": len(took), "unsent": 0, "busy": 0.2, "late": 0, "lag_p99": 0.0, **(told or {})}
    asked = {"rate": 100.0, "connections": 8, "seconds": 2.0, "rows": 1, "form": "rows", **changes.pop("asked", {})}
    checks = {"compared": len(took), "different": 0, "against": "those of the file", **changes.pop("checks", {})}
    codes = np.full(len(took), 200, np.int16) if codes is None else np.array(codes, np.int16)
    return LoadResult("houses", asked, given, checks, np.linspace(0, 1.9, len(took)), took, codes, **changes)


def test_percentiles_are_values_that_were_seen():
    found = result(np.arange(1, 1001) / 1000)
    assert found.latency() == pytest.approx({"p50": 501, "p90": 901, "p99": 991, "p99.9": 1000, "max": 1000})
    assert found.rate == 500
    assert found.notes() == ()
    assert "p99 991.0 ms" in found.text()


def test_what_is_no_answer_is_counted_and_not_timed():
    found = result([0.001, 9.0, 0.002, 5.0], codes=[200, 0, 503, -1], told={"unsent": 7})
    assert found.latency()["max"] == 1.0
    assert found.latency(503) == found.to_dict()["refused_latency_ms"]
    assert found.counts() == {200: 1, 0: 8, 503: 1, -1: 1}
    assert "8 × unanswered" in found.text()
    assert any(note.startswith("7 requests were due but never sent") for note in found.notes())


def test_nothing_was_answered():
    found = result([1.0], codes=[503])
    assert found.latency() == {}
    assert json.loads(json.dumps(found.to_dict()))["codes"] == {"503 refused": 1}
    assert "Latency" not in found.page().html()


def test_the_generator_says_when_it_is_the_limit():
    for told in ({"busy": 0.95}, {"lag_p99": 0.002}):
        found = result([0.1], told=told)
        assert found.to_dict()["generator"]["is_limit"]
        assert any("the generator is the limit" in note for note in found.notes())
        assert "the generator is the limit" in found.page().html()


def test_a_closed_loop_and_wrong_answers_are_said():
    found = result([0.1], asked={"rate": 0.0, "rows": 4}, checks={"different": 3})
    said = " ".join(found.notes())
    assert "a stall hides those" in said
    assert "3 answers differ" in said
    assert "2 rows/s" in found.text()


def test_the_page_draws_latency():
    html = result(np.random.default_rng(0).exponential(0.01, 500)).page().html()
    assert html.count("<svg") == 2
    assert "Latency over the run" in html
    assert result([0.5]).page().html().count("<svg") == 2
