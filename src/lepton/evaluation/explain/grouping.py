"""Tables of thousands of columns: those that matter least are one player together."""

from __future__ import annotations

import numpy as np

from lepton.core import Work
from lepton.evaluation.explain.coalitions import Game

__all__ = ["MAX_APART", "strongest_apart"]

MAX_APART = 256
"""Columns that are explained each for itself where contributions are drawn."""

_LOOKED_AT = 4  # rows, each against as many of the background


def strongest_apart(game: Game, names: tuple[str, ...], work: Work) -> tuple[Game, tuple[str, ...], tuple[str, ...]]:
    """The game in which few columns are players, the others one player; names of the players; a note about it.

    Which matter is found by giving rows one column of the background at a time, and the background one of the rows.
    """
    if game.num_players <= MAX_APART:
        return game, names, ()
    moved = np.zeros(game.num_players)
    chosen = np.unique(np.linspace(0, game.rows.num_rows - 1, _LOOKED_AT).astype(np.int64))
    for row in chosen.tolist():
        for other in range(min(_LOOKED_AT, game.rows.num_others)):
            work.check()
            moved += _moved(game, row, other)
    order = np.argsort(-moved, kind="stable")
    apart, rest = np.sort(order[: MAX_APART - 1]), order[MAX_APART - 1 :]
    player_of = np.full(game.num_players, len(apart), dtype=np.int64)
    player_of[apart] = np.arange(len(apart))
    kept = (*(names[place] for place in apart.tolist()), f"{len(rest):,} other columns")
    note = (
        f"The model has {game.num_players:,} columns. The {len(apart):,} that moved its answers most, one at a time in "
        f"{len(chosen)} of the rows, are explained each; the others together."
    )
    return game.grouped(player_of), kept, (note,)


def _moved(game: Game, row: int, other: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far each column alone moves the answer, from both ends [P]."""
    differ = np.flatnonzero(game.differ(np.array([row]), np.array([other]))[0])
    moved = np.zeros(game.num_players)
    step = game.call_rows()
    for start in range(0, len(differ), step):
        part = differ[start : start + step]
        alone = np.zeros((len(part), game.num_players), dtype=bool)
        alone[np.arange(len(part)), part] = True
        rows, others = np.full(len(part), row), np.full(len(part), other)
        there = np.abs(game.ask(rows, others, alone) - game.usual[other])
        back = np.abs(game.ask(rows, others, ~alone) - game.answers[row])
        moved[part] = (there + back).sum(axis=1)
    return moved
