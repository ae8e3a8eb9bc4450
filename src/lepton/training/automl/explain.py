"""How a model was found, in words: what was tried, what each learner reached, why this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton.core import show_duration
from lepton.training.leaderboard import Leaderboard, LeaderboardRow

__all__ = ["How", "how_found"]


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
    lines = [*_tried(board), *_reached(board), *_chosen(board)]
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
