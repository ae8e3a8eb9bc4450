"""How a model was found, in words: what was tried and learned, why this one, what is doubtful, what would help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton.core import show_duration
from lepton.training.leaderboard import Leaderboard, LeaderboardRow

__all__ = ["How", "help_most", "how_found"]

_LEAST_TRIALS = 8  # of a learner, from which good settings are told
_NARROW = 0.5  # share of the range that was tried in which the best quarter lies
_STILL_BETTER = 0.002  # of the score, gained in the last third of the time
_SHOWN = 5


@dataclass(frozen=True)
class How:
    """Sentences about a search; shown as text.

    Attributes:
        lines: one fact each.
    """

    lines: tuple[str, ...]

    def text(self) -> str:
        """One line for each fact."""
        return "\n".join(self.lines)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


def how_found(reports: Mapping[str, Mapping[str, Any]]) -> How:
    """What the reports of a model say of how it was found; of a model without them, nothing.

    Args:
        reports: of the model file, `training` and, where there was a search, `search`.
    """
    board = Leaderboard.from_report(reports.get("training", {}))
    if not board.rows:
        return How(("the file does not say how the model was found",))
    search = reports.get("search", {})
    lines = [*_tried(board), *_reached(board), *_settings(search, board), *_features(search), *_chosen(board)]
    lines += reports["training"].get("words", ())
    lines += [f"doubtful: {each['evidence']}; {each['fix']}" for each in reports["training"].get("doubts", ())]
    lines += help_most(reports)
    lines += [f"it was decided: {note}" for note in board.notes]
    return How(tuple(lines))


def _tried(board: Leaderboard) -> list[str]:
    finished = [row for row in board.rows if row.metric is not None]
    others: dict[str, int] = {}
    for row in board.rows:
        if row.metric is None:
            others[_short(row.note)] = others.get(_short(row.note), 0) + 1
    seconds = sum(row.fit_seconds for row in board.rows if row.learner != "blend")
    lines = [f"tried: {len(board.rows)} candidates, {show_duration(seconds)} of fits; {len(finished)} were finished"]
    return lines + [f"not finished: {count} ({reason})" for reason, count in others.items()]


def _short(note: str) -> str:
    return "given up early, as others were better" if note.startswith("given up after") else note


def _reached(board: Leaderboard) -> list[str]:
    best: dict[str, LeaderboardRow] = {}
    for row in board.rows:
        if row.metric is not None:
            best.setdefault(row.learner, row)
    return [f"learned: {board.metric} {row.metric:.5g} by {name} ({row.configuration})" for name, row in best.items()]


def _chosen(board: Leaderboard) -> list[str]:
    chosen = next((row for row in board.rows if row.chosen), None)
    baseline = next((row for row in board.rows if row.learner == "baseline"), None)
    if chosen is None or chosen.metric is None:
        return []
    lines = [f"chosen: {chosen.learner} ({chosen.configuration}), {board.metric} {chosen.metric:.5g}"]
    if chosen.lower is not None and chosen.upper is not None:
        lines[0] += f", 95 % interval {chosen.lower:.5g} to {chosen.upper:.5g}"
    if baseline is not None and baseline.metric is not None and baseline is not chosen:
        lines.append(f"for comparison: {board.metric} {baseline.metric:.5g} by a model that looks at no column")
    lines += _cheaper(board.rows, chosen, board)
    return lines


def _cheaper(rows: Sequence[LeaderboardRow], chosen: LeaderboardRow, board: Leaderboard) -> list[str]:
    """The smallest candidate whose score lies within the interval of the chosen one."""
    if chosen.size is None or chosen.lower is None or chosen.upper is None:
        return []
    near = [
        row
        for row in rows
        if row.size is not None and row.metric is not None and chosen.lower <= row.metric <= chosen.upper
    ]
    least = min(near, key=lambda row: row.size or 0, default=chosen)
    if least.size is None or least.size >= 0.5 * chosen.size:
        return []
    told = f"cheaper: {least.learner} ({least.configuration}) has {least.size / chosen.size:.0%} of the size and"
    return [f"{told} {board.metric} {least.metric:.5g}; max_size= asks for such a model"]


def _settings(search: Mapping[str, Any], board: Leaderboard) -> list[str]:
    """Where the best quarter of a learner's trials lies, for settings in which that is a narrow part."""
    sign = -1.0 if board.greater_is_better else 1.0
    by_learner: dict[str, list[Mapping[str, Any]]] = {}
    for trial in search.get("trials", ()):
        if trial["score"] is not None:
            by_learner.setdefault(trial["learner"], []).append(trial)
    lines = []
    for learner, trials in by_learner.items():
        if len(trials) < _LEAST_TRIALS:
            continue
        trials.sort(key=lambda trial: sign * trial["score"])
        best = [trial["configuration"] for trial in trials[: len(trials) // 4]]
        told = []
        for name in best[0]:
            tried = _numbers([trial["configuration"] for trial in trials], name)
            good = _numbers(best, name)
            if len(good) < len(best) or len(set(tried)) < _LEAST_TRIALS // 2:
                continue
            if _width(good, tried) <= _NARROW * _width(tried, tried):
                told.append(f"{name} {min(good):.3g} to {max(good):.3g}")
        if told:
            lines.append(f"learned: the best quarter of {len(trials)} trials of {learner} has {', '.join(told)}")
    return lines


def _numbers(configurations: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = [configuration.get(name) for configuration in configurations]
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def _width(values: Sequence[float], tried: Sequence[float]) -> float:
    """How far values spread, in powers where all that was tried is above 0."""
    if min(tried) > 0.0:
        return math.log(max(values) / min(values))
    return max(values) - min(values)


def _features(search: Mapping[str, Any]) -> list[str]:
    """The columns that the model that was looked at more closely leans on most."""
    leaned_on = [each for each in search.get("importance", {}).get("features", ()) if each["matters"]]
    if not leaned_on:
        return []
    told = ", ".join(f"{each['columns'][0]} ({each['value']:.3g})" for each in leaned_on[:_SHOWN])
    learner = search["closer"]["of"]["learner"]
    return [f"learned: {learner} leans most on {told}: the loss when each is shuffled"]


# --- what would help ------------------------------------------------------------------------------------------


def help_most(reports: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What would make the model better, as far as it was measured: rows, and which; time; columns that are no use.

    Args:
        reports: of the model file, `training` and, where there was a search, `search`.
    """
    training, search = reports.get("training", {}), reports.get("search", {})
    if not search:
        return tuple(_places(training))
    return (*_rows(search), *_places(training), *_time(search, training), *_idle(search))


def _rows(search: Mapping[str, Any]) -> list[str]:
    closer = search.get("closer", {})
    curve = closer.get("learning_curve", {})
    if not curve.get("points"):
        reason = closer.get("skipped") or curve.get("skipped")
        return [f"more rows: not known ({reason})"] if reason else []
    gain, metric = curve["next_doubling"], curve["metric"]
    if gain["value"] is None or gain.get("lower") is None:
        return [f"more rows: not known ({gain.get('reason') or 'the curve has no interval'})"]
    learner = closer["of"]["learner"]
    interval = f"95 % interval {gain['lower']:.2g} to {gain['upper']:.2g}"
    if gain["lower"] <= 0.0:
        return [f"more rows: twice as many would bring {learner} nothing that can be seen in {metric} ({interval})"]
    return [f"more rows: twice as many would be worth about {gain['value']:.2g} of {metric} to {learner} ({interval})"]


def _places(training: Mapping[str, Any]) -> list[str]:
    """Which rows: those that have much more of the loss than of the rows."""
    lines = []
    for place in training.get("errors", ())[:_SHOWN]:
        where = f"class {place['where']}" if place["column"] is None else f"{place['column']}: {place['where']}"
        shares = f"{place['rows_share']:.0%} of the rows have {place['loss_share']:.0%} of the loss"
        lines.append(f"which rows: {where}; {shares}")
    return lines


def _time(search: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """Whether the last third of the search still found better ones."""
    sign = -1.0 if training.get("greater_is_better") else 1.0
    scored = [
        (trial["scored_after"], sign * trial["score"])
        for trial in search.get("trials", ())
        if trial["score"] is not None and trial.get("scored_after") is not None
    ]
    if len(scored) < _LEAST_TRIALS:
        return []
    first, last = min(scored)[0], max(scored)[0]
    early = min((loss for after, loss in scored if after <= first + (last - first) * 2.0 / 3.0), default=math.inf)
    best_loss, best_after = min((loss, after) for after, loss in scored)
    if early - best_loss > _STILL_BETTER * abs(best_loss):
        gained = f"the last third of the trials gained {early - best_loss:.2g}"
        return [f"more time: might help: {gained}, the best came after {show_duration(best_after)}"]
    when = f"the best came after {show_duration(best_after)} of {show_duration(last)}"
    return [f"more time: would hardly help: {when}, and nothing clearly better in the last third"]


def _idle(search: Mapping[str, Any]) -> list[str]:
    """Columns whose shuffling costs nothing that can be seen."""
    features = search.get("importance", {}).get("features", ())
    idle = [each["columns"][0] for each in features if not each["matters"]]
    together = {
        name
        for group in search.get("importance", {}).get("groups", ())
        if group["matters"]
        for name in group["columns"]
    }
    idle = [name for name in idle if name not in together]
    if not idle:
        return []
    more = f" and {len(idle) - _SHOWN} more" if len(idle) > _SHOWN else ""
    return [f"columns that carry nothing that can be seen: {', '.join(idle[:_SHOWN])}{more}"]
