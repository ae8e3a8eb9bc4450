"""How a model was found, as sections of a page: scores against time, rows, size and latency, and what is doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton.core import show_duration, show_size
from lepton.report import Facts, Figure, Page, Points, Table, Text, bars, clouds, lines, show_number, show_share
from lepton.training.automl.explain import help_most, how_found
from lepton.training.leaderboard import Leaderboard

__all__ = ["history_page"]

_SHOWN_COLUMNS = 30
_SHOWN_CANDIDATES = 60

Report = Mapping[str, Any]


def history_page(reports: Mapping[str, Report]) -> Page:
    """Sections on what a model's file says of its training; none where it says nothing.

    Args:
        reports: of the model file, `training` and, where there was a search, `search`.
    """
    page = Page("How the model was found")
    training, search = reports.get("training", {}), reports.get("search", {})
    board = Leaderboard.from_report(training)
    if not board.rows:
        return page
    _doubts(page, training)
    if search:
        page.section("How it was found", Points(how_found(reports).lines), *_progress(search, board))
        _more_rows(page, search, reports)
        page.section("Score, size and latency", *_pareto(board))
    _columns(page, search)
    _errors(page, training)
    _calibration(page, training)
    page.section("Candidates" if search else "How it was found", *_candidates(board))
    return page


def _doubts(page: Page, training: Report) -> None:
    doubts = training.get("doubts", ())
    blocks: list[Any] = [Text(f"{doubt['evidence']}.\nTo do: {doubt['fix']}.", tone="warning") for doubt in doubts]
    if training.get("not_checked"):
        blocks.append(Text(f"Not checked: {training['not_checked']}.", tone="note"))
    if blocks:
        page.section("What makes the score doubtful", *blocks)


def _progress(search: Report, board: Leaderboard) -> list[Figure]:
    """The best score so far against the time, as steps."""
    sign = -1.0 if board.greater_is_better else 1.0
    scored = sorted(
        (t["scored_after"], t["score"])
        for t in search.get("trials", ())
        if t["score"] is not None and t.get("scored_after") is not None and t["learner"] != "baseline"
    )
    times: list[float] = []
    best: list[float] = []
    for after, score in scored:
        if best and sign * score >= sign * best[-1]:
            continue
        if best:
            times.append(after)
            best.append(best[-1])
        times.append(after)
        best.append(score)
    if not times:
        return []
    times.append(max(scored[-1][0], times[-1]))
    best.append(best[-1])
    return [
        lines(
            {f"best {board.metric}": (times, best)},
            title="Best score against time",
            x_label="seconds since the beginning",
            y_label=f"{board.metric}, {_direction(board)}",
        )
    ]


def _direction(board: Leaderboard) -> str:
    return f"{'greater' if board.greater_is_better else 'less'} is better"


def _more_rows(page: Page, search: Report, reports: Mapping[str, Report]) -> None:
    closer = search.get("closer", {})
    curve = closer.get("learning_curve", {})
    if not curve.get("points"):
        reason = closer.get("skipped") or curve.get("skipped") or "it was not measured"
        page.section("Would more rows help?", Text(f"Not known: {reason}."))
        return
    known = [point for point in curve["points"] if point["value"] is not None]
    rows = [point["rows"] for point in known]
    values = [point["value"] for point in known]
    drawn: dict[str, Any] = {closer["of"]["learner"]: (rows, values)}
    gain = curve["next_doubling"].get("value")
    if known and gain is not None:
        sign = 1.0 if Leaderboard.from_report(reports["training"]).greater_is_better else -1.0
        drawn["expected of twice the rows"] = ([2 * rows[-1]], [values[-1] + sign * gain])
    band = (rows, [p["lower"] for p in known], [p["upper"] for p in known])
    figure = lines(drawn, title="Score against rows", x_label="rows learned from", y_label=curve["metric"], band=band)
    page.section("Would more rows help?", Points(help_most(reports)), figure)


def _pareto(board: Leaderboard) -> list[Figure]:
    """Score against size and against the time of a row; the baseline would hide how the others differ."""
    figures = []
    for name, label, factor, show in (
        ("size", "bytes of the graph", 1.0, lambda value: show_size(round(value))),
        ("predict_us", "time of one row", 1e-6, show_duration),
    ):
        groups: dict[str, tuple[list[float], list[float]]] = {}
        front: list[tuple[float, float]] = []
        measured = [
            row for row in board.rows if row.metric is not None and getattr(row, name) and row.learner != "baseline"
        ]
        for row in measured:
            place = factor * getattr(row, name)
            xs, ys = groups.setdefault("chosen" if row.chosen else row.learner, ([], []))
            xs.append(place)
            ys.append(_score(row.metric))
        sign = -1.0 if board.greater_is_better else 1.0
        for row in sorted(measured, key=lambda row: (getattr(row, name), sign * _score(row.metric))):
            if not front or sign * _score(row.metric) < sign * front[-1][1]:
                front.append((factor * getattr(row, name), _score(row.metric)))
        figures.append(
            clouds(
                groups,
                title=f"Score against {label}",
                x_label=label,
                y_label=f"{board.metric}, {_direction(board)}",
                joined=front,
                show=show,
                caption="The dashed line joins those that no smaller one beats."
                if name == "size"
                else "The dashed line joins those that no quicker one beats.",
            )
        )
    return figures


def _score(value: float | None) -> float:
    return float("nan") if value is None else value


def _columns(page: Page, search: Report) -> None:
    found = search.get("importance", {})
    if not found.get("features"):
        if found.get("skipped"):
            page.section("What it leans on", Text(f"Not known: {found['skipped']}."))
        return
    features = [each for each in found["features"] if each["value"] is not None][:_SHOWN_COLUMNS]
    of = search["closer"]["of"]
    figure = bars(
        [", ".join(each["columns"]) for each in features],
        [each["value"] for each in features],
        title="Loss when a column is shuffled",
        lower=[_score(each["lower"]) for each in features],
        upper=[_score(each["upper"]) for each in features],
        x_label=f"loss of {found['metric']}, with its 95 % interval",
    )
    told = (
        f"Of {of['learner']} ({of['configuration']}), asked about {found['num_rows']:,} rows that it was not fitted on;"
        f" each column was shuffled {found['repeats']} times."
    )
    blocks: list[Any] = [figure, Text(told, tone="note")]
    if found["groups"]:
        rows = [(", ".join(g["columns"]), show_number(g["value"]), _interval(g)) for g in found["groups"]]
        blocks.append(Table(("columns that go together", "loss", "95 % interval"), rows))
    page.section("What it leans on", *blocks)


def _interval(each: Mapping[str, Any]) -> str:
    if each["lower"] is None or each["upper"] is None:
        return "–"
    return f"{show_number(each['lower'])} to {show_number(each['upper'])}"


def _errors(page: Page, training: Report) -> None:
    if not training.get("errors"):
        return
    rows = [
        (
            "class of the target" if each["column"] is None else each["column"],
            each["where"],
            each["rows"],
            show_share(each["rows_share"]),
            show_share(each["loss_share"]),
        )
        for each in training["errors"]
    ]
    columns = ("column", "where", "rows", "share of the rows", "share of the loss")
    page.section("Where it errs", Table(columns, rows, caption="Rows that are answered worse than the others"))


def _calibration(page: Page, training: Report) -> None:
    found = training.get("calibration")
    if not found:
        return
    bins: Sequence[Mapping[str, Any]] = found["bins"]
    figure = lines(
        {"observed": ([each["predicted"] for each in bins], [each["observed"] for each in bins])},
        title="Reliability",
        x_label=found["of"],
        y_label="share of the rows where it came true",
        diagonal=True,
    )
    facts = Facts(
        {
            "expected calibration error": show_share(found["expected_calibration_error"]),
            "95 % interval": f"{show_share(found['lower'])} to {show_share(found['upper'])}",
            "a perfect model's, by chance": f"up to {show_share(found['by_chance'])}",
        }
    )
    page.section("Whether probabilities come true", facts, figure, Text("Rows out of fold.", tone="note"))


def _candidates(board: Leaderboard) -> tuple[Any, ...]:
    """The leaderboard; of a long one the first, and the baseline."""
    if len(board.rows) <= _SHOWN_CANDIDATES:
        return board.blocks()
    kept = tuple(
        row
        for place, row in enumerate(board.rows)
        if place < _SHOWN_CANDIDATES or row.chosen or row.learner == "baseline"
    )
    more = Text(f"{len(board.rows) - len(kept)} more are in the file.", tone="note")
    return (*Leaderboard(board.metric, board.greater_is_better, kept, board.notes).blocks(), more)
