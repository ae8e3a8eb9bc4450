"""The game whose players are columns: what a model answers when some are a row's own; and its exact Shapley values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.background import Rows

__all__ = ["Contributions", "Game", "enumerated", "evaluations_of_all"]

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
Ask = Callable[[Mapping[str, NDArray[Any]]], Floats]

_CELLS = 2**22  # values of one call of the model
_MOST = 2**13  # rows of one call, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Contributions:
    """What players add, for N rows.

    Attributes:
        values: [N, P, K].
        errors: their standard errors [N, P, K]; 0 where nothing was drawn.
        degrees: degrees of freedom of the errors [N]; infinite where nothing was drawn.
        evaluations: rows that the model was asked for, in all.
    """

    values: Floats
    errors: Floats
    degrees: Floats
    evaluations: int


class Game:
    """Answers to mixtures of rows and background.

    Args:
        rows: both.
        ask: the numbers [S, K] for packed rows.
        player_of: player that each column belongs to [columns]; by default each is one.
    """

    def __init__(self, rows: Rows, ask: Ask, player_of: Integers | None = None) -> None:
        self.rows, self._ask = rows, ask
        self.player_of = np.arange(len(rows.names)) if player_of is None else player_of
        self.num_players = int(self.player_of.max(initial=-1)) + 1
        self._each = np.array_equal(self.player_of, np.arange(len(self.player_of)))
        self.evaluations = 0
        self.answers = self._asked(rows.tensors)
        """Of the rows themselves [N, K]."""
        self.usual = self._asked(rows.others)
        """Of the background [B, K]."""

    @property
    def base(self) -> Floats:
        """What the model answers on average over the background [K]."""
        return np.asarray(self.usual.mean(axis=0))

    @property
    def width(self) -> int:
        """K."""
        return int(self.usual.shape[1])

    def grouped(self, player_of: Integers) -> Game:
        """The same with other players."""
        return Game(self.rows, self._ask, player_of)

    def call_rows(self) -> int:
        """Mixtures that the model is asked for at once."""
        return int(max(1, min(_MOST, _CELLS // max(len(self.player_of), 1))))

    def ask(self, rows: Integers, others: Integers, own: Flags) -> Floats:
        """Answers [S, K] to rows that have the players `own` [S, P] of `rows` [S], and the rest of `others` [S]."""
        out = np.empty((len(rows), self.width))
        step = self.call_rows()
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            chosen = own[part] if self._each else own[part][:, self.player_of]
            out[part] = self._asked(self.rows.mixed(rows[part], others[part], chosen))
        return out

    def differ(self, rows: Integers, others: Integers) -> Flags:
        """Which players of `rows` [S] are not as in `others` [S]: [S, P]."""
        unlike = self.rows.differ(rows, others)
        if self.num_players == unlike.shape[1]:
            return unlike
        out = np.zeros((len(rows), self.num_players), dtype=bool)
        np.logical_or.at(out.T, self.player_of, unlike.T)
        return out

    def _asked(self, tensors: Mapping[str, NDArray[Any]]) -> Floats:
        self.evaluations += len(next(iter(tensors.values())))
        return self._ask(tensors)


def evaluations_of_all(game: Game) -> int:
    """How often the model is asked when all coalitions are, with all of the background."""
    return int(min((1 << min(game.num_players, 62)) * game.rows.num_rows * game.rows.num_others, 1 << 62))


def enumerated(game: Game, work: Work) -> Contributions:
    """Shapley values [N, P, K] by their definition, over all coalitions and the whole background.

    Raises:
        Interrupted: the work was stopped.
    """
    num_players, num_others = game.num_players, game.rows.num_others
    own = _coalitions(num_players)
    weights = _weights(own)
    values = np.empty((game.rows.num_rows, num_players, game.width))
    for row in range(game.rows.num_rows):
        work.check()
        worth = np.empty((len(own), game.width))
        worth[0], worth[-1] = game.base, game.answers[row]
        for part in _blocks(len(own), max(1, game.call_rows() // num_others)):
            masks = np.repeat(own[part], num_others, axis=0)
            others = np.tile(np.arange(num_others), len(own[part]))
            asked = game.ask(np.full(len(masks), row), others, masks)
            worth[part] = asked.reshape(-1, num_others, game.width).mean(axis=1)
        worth[0], worth[-1] = game.base, game.answers[row]
        values[row] = weights @ worth
        work.report(row + 1, game.rows.num_rows, "rows", note="explaining")
    return Contributions(values, np.zeros_like(values), np.full(len(values), np.inf), game.evaluations)


def _blocks(count: int, step: int) -> Iterator[slice]:
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _coalitions(num_players: int) -> Flags:
    """All of them [2^P, P]; the empty one first, that of all last."""
    numbers = np.arange(1 << num_players)[:, None]
    return np.asarray(numbers >> np.arange(num_players) & 1 == 1)


def _weights(own: Flags) -> Floats:
    """Shapley weights [P, 2^P] of what coalitions are worth."""
    num_players = own.shape[1]
    sizes = own.sum(axis=1)
    joined = np.array([0.0, *(1.0 / (num_players * comb(num_players - 1, s - 1)) for s in range(1, num_players + 1))])
    left = np.array([*(1.0 / (num_players * comb(num_players - 1, s)) for s in range(num_players)), 0.0])
    return np.asarray(np.where(own.T, joined[sizes], -left[sizes]))
