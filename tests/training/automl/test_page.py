"""The page of a model's history: every picture from the reports of the file, in light and dark, nothing unescaped."""

import re
from typing import Any

import pytest

from lepton.training import history_page
from lepton.training.automl.page import _progress
from lepton.training.leaderboard import Leaderboard


def row(learner, metric, size, micros, chosen=False, **more):
    return {
        "learner": learner,
        "configuration": "<b>first</b>",
        "metric": metric,
        "lower": None if metric is None else metric - 0.02,
        "upper": None if metric is None else metric + 0.02,
        "num_folds": 5,
        "fit_seconds": 1.0,
        "predict_us": micros,
        "size": size,
        "chosen": chosen,
        "note": "" if metric is not None else "failed",
        "pareto": True,
        **more,
    }


def estimate(value, lower, upper, **more):
    return {"value": value, "lower": lower, "upper": upper, **more}


TRAINING = {
    "metric": "log_loss",
    "greater_is_better": False,
    "rows": [
        row("blend", 0.30, 100_000, 40.0, chosen=True),
        row("lightgbm", 0.31, 60_000, 20.0),
        row("linear", 0.40, 5_000, 9.0),
        row("baseline", 0.70, 500, 5.0),
        row("forest", None, None, None),
    ],
    "notes": ["task binary"],
    "doubts": [{"what": "leakage", "evidence": "'<paid>' tells it", "fix": "leave it out"}],
    "not_checked": "3 columns",
    "calibration": {
        "expected_calibration_error": 0.012,
        "of": "the probability of yes",
        "bins": [
            {"lower": 0.0, "upper": 0.5, "predicted": 0.2, "observed": 0.25, "num_rows": 50},
            {"lower": 0.5, "upper": 1.0, "predicted": 0.8, "observed": 0.75, "num_rows": 50},
        ],
        "lower": 0.0,
        "upper": 0.03,
        "by_chance": 0.02,
    },
    "errors": [
        {"column": "town", "where": "Oslo", "rows": 90, "rows_share": 0.1, "loss_share": 0.3, "ratio": 3.0},
        {"column": None, "where": "yes", "rows": 90, "rows_share": 0.1, "loss_share": 0.2, "ratio": 2.0},
    ],
}


def trial(learner, score, after, **configuration):
    return {"learner": learner, "configuration": configuration, "score": score, "scored_after": after}


SEARCH: dict[str, Any] = {
    "trials": [
        trial("baseline", 0.70, 0.1),
        trial("linear", 0.40, 1.0),
        *(trial("lightgbm", 0.31 + 0.01 * (i % 7), 2.0 + i, rate=0.01 * (1 + i % 7)) for i in range(28)),
        trial("forest", None, None),
    ],
    "closer": {
        "of": {"learner": "lightgbm", "configuration": "first"},
        "seconds": 1.0,
        "order": {"skipped": "no time"},
        "learning_curve": {
            "metric": "log_loss",
            "folds": 5,
            "points": [
                {"rows": r, **estimate(v, v - 0.02, v + 0.02)} for r, v in ((100, 0.4), (200, 0.35), (400, 0.31))
            ],
            "last_doubling": estimate(0.04, 0.02, 0.06),
            "next_doubling": estimate(0.03, 0.01, 0.05),
        },
    },
    "importance": {
        "metric": "Log loss",
        "num_rows": 300,
        "repeats": 5,
        "left_out": [],
        "features": [
            {"columns": ["town"], "matters": True, **estimate(0.2, 0.1, 0.3)},
            {"columns": ["noise"], "matters": False, **estimate(0.001, -0.01, 0.01)},
            {"columns": ["twin"], "matters": False, **estimate(0.0, -0.01, 0.01)},
        ],
        "groups": [{"columns": ["town", "twin"], "matters": True, **estimate(0.3, 0.2, 0.4)}],
    },
}


def html(training=TRAINING, search=SEARCH):
    reports = {"training": training} | ({} if search is None else {"search": search})
    return history_page(reports).html()


def headings(page):
    return re.findall(r"<h2[^>]*>([^<]+)</h2>", page)


def test_everything_has_its_section_and_picture():
    page = html()
    assert headings(page) == [
        "What makes the score doubtful",
        "How it was found",
        "Would more rows help?",
        "Score, size and latency",
        "What it leans on",
        "Where it errs",
        "Whether probabilities come true",
        "Candidates",
    ]
    for title in (
        "Best score against time",
        "Score against rows",
        "Score against bytes of the graph",
        "Score against time of one row",
        "Loss when a column is shuffled",
        "Reliability",
        "log_loss by candidate",
    ):
        assert page.count(f"<strong>{title}</strong>") == 1
    assert "prefers-color-scheme:dark" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;paid&gt;" in page


def test_what_would_help_is_said():
    page = html()
    assert (
        "more rows: twice as many would be worth about 0.03 of log_loss to lightgbm (95 % interval 0.01 to 0.05)"
        in page
    )
    assert "which rows: town: Oslo; 10% of the rows have 30% of the loss" in page
    assert "which rows: class yes; 10% of the rows have 20% of the loss" in page
    assert "columns that carry nothing that can be seen: noise<" in page  # the twin is needed with its brother
    assert "more time: would hardly help" in page
    assert "the best quarter of 28 trials of lightgbm has rate 0.01 to 0.02" in page


def test_more_time_might_help_where_the_last_third_was_better():
    late = {**SEARCH, "trials": [*SEARCH["trials"], trial("lightgbm", 0.2, 29.5)]}
    assert "more time: might help: the last third of the trials gained 0.11" in html(search=late)


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (estimate(0.001, -0.01, 0.012), "twice as many would bring lightgbm nothing that can be seen in log_loss"),
        (estimate(None, None, None, reason="it is undefined"), "more rows: not known (it is undefined)"),
    ],
)
def test_a_gain_that_cannot_be_seen(gain, said):
    closer = {**SEARCH["closer"], "learning_curve": {**SEARCH["closer"]["learning_curve"], "next_doubling": gain}}
    assert said in html(search={**SEARCH, "closer": closer})


def test_what_was_not_measured_is_said():
    search = {**SEARCH, "closer": {"skipped": "there was no time"}, "importance": {"skipped": "there was none"}}
    page = html(search=search)
    assert "Not known: there was no time." in page
    assert "Not known: there was none." in page
    assert "Score against rows" not in page


def test_a_portfolio_has_its_candidates_and_no_search():
    assert headings(html(search=None)) == [
        "What makes the score doubtful",
        "Where it errs",
        "Whether probabilities come true",
        "How it was found",
    ]
    old = {name: TRAINING[name] for name in ("metric", "greater_is_better", "rows", "notes")}
    assert headings(html(old, None)) == ["How it was found"]
    assert headings(html({}, None)) == []


def test_the_best_so_far_never_gets_worse():
    (figure,) = _progress(SEARCH, Leaderboard.from_report(TRAINING))
    assert "best log_loss from 0.31 to 0.4" in figure.alt
    greater = {**TRAINING, "greater_is_better": True}
    (figure,) = _progress(SEARCH, Leaderboard.from_report(greater))
    assert "best log_loss 0.4" in figure.alt or "from 0.4 to 0.4" in figure.alt


def test_long_leaderboards_are_cut():
    rows = [row("lightgbm", 0.3 + 0.001 * i, 1_000, 5.0) for i in range(100)] + [row("baseline", 0.9, 500, 5.0)]
    page = html({**TRAINING, "rows": rows})
    assert "40 more are in the file." in page
