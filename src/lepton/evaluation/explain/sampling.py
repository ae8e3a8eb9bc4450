"""Shapley values by drawing: orders of the columns, each walked forwards and backwards against one background row.

A walk turns a background row into the row that is explained, column by column, in a random order; what the answer moves
by at each step is a draw of that column's contribution. The same order walked backwards goes with it: where columns act
alone or in pairs, the mean of both is exact whatever the order (Castro et al. 2009; Mitchell et al., "Sampling
permutations for Shapley value estimation", 2022). Background rows are taken in turn, so that after a round of all
of them none counts more than another; before that, what a column's background value does by itself, which all walks
tell together, is taken off as a control variate whose mean over the background is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.background import Rows
from lepton.evaluation.explain.coalitions import Contributions, Game

__all__ = ["LEAST_WALKS", "in_pairs", "sampled", "t_quantile"]

LEAST_WALKS = 16
"""Pairs of walks for a row before anything is said about it."""

_KEPT_CELLS = 2**23  # draws that are kept at once
_MOST_BINS = 16
_WALKS_A_BIN = 12
_RIDGE = 1.0
_TRIED = 64  # rows whose walks are compared before all are taken for pairs
_ALIKE = 1e-8
Integers = NDArray[np.int64]


def t_quantile(degrees: Floats | float) -> Floats:
    """The 97.5 % quantile of Student's t, by its expansion around the normal one (Abramowitz & Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(0.975)
    nu = np.asarray(degrees, dtype=np.float64)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return np.asarray(z + sum(term / nu ** (place + 1) for place, term in enumerate(terms)))


def sampled(
    game: Game, *, walks: int, tolerance: float | None, seed: int, work: Work, least: int = LEAST_WALKS
) -> Contributions:
    """Shapley values [n, P, K] with their standard errors, of the first n rows that there was time for.

    Args:
        game: the model's answers to mixtures.
        walks: pairs of walks for a row at most.
        tolerance: half the width of the widest interval of a row, as a share of its largest contribution, from which
            no more is drawn for it; None to draw all `walks`.
        seed: of the orders.
        work: told of progress; when its time is over, rows that were not begun are left out.
        least: pairs of walks for a row at least.
    """
    num_rows, cells = game.rows.num_rows, game.num_players * game.width
    step = int(max(1, min(num_rows, _KEPT_CELLS // max(1, cells * walks))))
    parts: list[Contributions] = []
    for start in range(0, num_rows, step):
        if parts and work.stopped:
            break
        rows = np.arange(start, min(start + step, num_rows))
        parts.append(_Block(game, rows, walks, seed).run(tolerance, min(least, walks), work))
        work.report(int(rows[-1]) + 1, num_rows, "rows", note="explaining")
    return Contributions(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.errors for part in parts]),
        np.concatenate([part.degrees for part in parts]),
        game.evaluations,
    )


def in_pairs(game: Game, most: int, work: Work) -> Contributions | None:
    """Exact values of a game whose players act alone or in pairs: one walk both ways against each background row.

    Whether they do is seen from walks in two orders, which then say the same.

    Args:
        game: the model's answers to mixtures.
        most: rows that the model may be asked for.
        work: cancel.

    Returns:
        Contributions without error; None where more than pairs act together, or it would cost too much.
    """
    num_rows, num_others = game.rows.num_rows, game.rows.num_others
    if num_rows * num_others * 2 * game.num_players > most:
        return None
    tried = _Block(game, np.arange(min(num_rows, _TRIED)), 2, seed=0)
    tried.other[:, 1] = tried.other[:, 0]
    for walk in range(2):
        tried.step(np.arange(len(tried.rows)), walk)
    apart = np.abs(np.diff(tried.draws, axis=1)).max(initial=0)
    if apart > _ALIKE * np.abs(tried.draws).max(initial=0):
        return None
    found = sampled(game, walks=num_others, tolerance=None, seed=0, work=work)
    if work.stopped or len(found.values) < num_rows:
        return None
    return Contributions(found.values, np.zeros_like(found.values), np.full(num_rows, np.inf), found.evaluations)


@dataclass(slots=True)
class _Means:
    values: Floats
    errors: Floats


class _Block:
    """Some rows that are drawn for together.

    Attributes:
        draws: what each pair of walks found [n, walks, P, K]; as far as `count` [n].
        other: the background row of each [n, walks].
    """

    def __init__(self, game: Game, rows: Integers, walks: int, seed: int) -> None:
        self.game, self.rows, self.walks = game, rows, walks
        self.draws = np.zeros((len(rows), walks, game.num_players, game.width))
        num_others = game.rows.num_others
        begins = np.array([np.random.default_rng([seed, 3, row]).integers(num_others) for row in rows.tolist()])
        turn = np.random.default_rng([seed, 4]).permutation(num_others)
        self.other: Integers = turn[(begins[:, None] + np.arange(walks)) % num_others]
        # A stream for each row: what is drawn for it does not depend on the rows beside it.
        self.random = [np.random.default_rng([seed, 5, row]) for row in rows.tolist()]
        self.count = np.zeros(len(rows), dtype=np.int64)
        self.bins: tuple[Integers, Integers] | None = None

    def run(self, tolerance: float | None, least: int, work: Work) -> Contributions:
        """Draw until the tolerance is met, the walks are done, or the time is over."""
        active = np.arange(len(self.rows))
        target = least
        for walk in range(self.walks):
            if walk >= 2 and work.stopped:
                break
            if walk == target and tolerance is not None:
                active = active[~self._done(tolerance)[active]]
                target *= 2
            if not len(active):
                break
            self.step(active, walk)
            self.count[active] = walk + 1
            if len(self.rows) == self.game.rows.num_rows:
                work.report(walk + 1, self.walks, "walks", note="explaining")
        means = self._means()
        return Contributions(self._whole(means), means.errors, _degrees(self.count), self.game.evaluations)

    def _done(self, tolerance: float) -> NDArray[np.bool_]:
        means = self._means()
        margins = means.errors * t_quantile(_degrees(self.count))[:, None, None]
        return np.asarray(
            margins.max(axis=(1, 2), initial=0) <= tolerance * np.abs(means.values).max(axis=(1, 2), initial=0)
        )

    def step(self, active: Integers, walk: int) -> None:
        """One pair of walks for each of the rows `active`."""
        game = self.game
        step = max(1, game.call_rows() // max(1, 2 * game.num_players))
        for start in range(0, len(active), step):
            part = active[start : start + step]
            rows, others = self.rows[part], self.other[part, walk]
            unlike = game.differ(rows, others)
            keys = np.stack([self.random[row].random(game.num_players) for row in part.tolist()])
            rank = np.argsort(np.argsort(np.where(unlike, keys, 2.0), axis=1), axis=1)
            self.draws[part, walk] = self._moves(rows, others, rank, unlike.sum(axis=1))

    def _moves(self, rows: Integers, others: Integers, rank: Integers, unlike: Integers) -> Floats:
        """What each column moved the answer by [n, P, K], the mean of both directions."""
        game = self.game
        inner = np.maximum(unlike - 1, 0)
        pair = np.repeat(np.arange(len(rows)), inner)
        size = np.arange(len(pair)) - np.repeat(np.cumsum(inner) - inner, inner) + 1
        own = rank[pair] < size[:, None]
        asked = game.ask(np.tile(rows[pair], 2), np.tile(others[pair], 2), np.concatenate([own, ~own]))
        there, back = asked[: len(pair)], asked[len(pair) :]
        # Worth after `size` steps there, and of the columns that are left: [n, P + 1, K].
        gone = np.zeros((len(rows), game.num_players + 1, game.width))
        left = np.zeros_like(gone)
        gone[:, 0], left[:, 0] = game.usual[others], game.answers[rows]
        gone[pair, size], left[pair, size] = there, back
        last = np.arange(len(rows)), unlike
        gone[last], left[last] = game.answers[rows], game.usual[others]
        gone[unlike == 0, 0] = left[unlike == 0, 0]
        moves = 0.5 * (np.diff(gone, axis=1) - np.diff(left, axis=1))
        moves[np.arange(game.num_players) >= unlike[:, None]] = 0.0
        return np.asarray(np.take_along_axis(moves, rank[:, :, None], axis=1))

    def _means(self) -> _Means:
        """Means of the draws and their standard errors [n, P, K], the control variate taken off."""
        count = np.maximum(self.count, 1)[:, None, None]
        most = int(self.count.max())
        used = (np.arange(most) < self.count[:, None])[:, :, None, None]
        draws = self.draws[:, :most]
        if len(np.unique(self.game.usual, axis=0)) > 1 and self.game.rows.num_others > 1:
            draws = np.where(used, draws + self._control(draws, used[:, :, 0, 0]), 0.0)
        values = draws.sum(axis=1) / count
        spread = np.where(used, draws - values[:, None], 0.0)
        errors = np.sqrt((spread**2).sum(axis=1) / np.maximum(count * (count - 1), 1))
        return _Means(values, errors)

    def _control(self, draws: Floats, used: NDArray[np.bool_]) -> Floats:
        """What is added to each draw [n, walks, P, K]: what its background value does by itself, less the mean."""
        if self.bins is None:
            self.bins = _bins(self.game, self.rows, int(used.sum()))
        mine, theirs = self.bins
        out = np.empty_like(draws)
        where = np.nonzero(used)
        beside, kept, others = self.other[where], draws[where], self.other[:, : draws.shape[1]]
        for player in range(self.game.num_players):
            first, second = mine[where[0], player], theirs[beside, player]
            effects = _effects(first, second, kept[:, player])
            effects = effects - effects[theirs[:, player]].mean(axis=0)
            out[:, :, player] = effects[theirs[others, player]]
        return out

    def _whole(self, means: _Means) -> Floats:
        """The values, made to add up: what is missing goes where it is least known."""
        lacking = self.game.answers[self.rows] - self.game.base - means.values.sum(axis=1)
        weights = means.errors**2
        total = weights.sum(axis=1, keepdims=True)
        largest = np.zeros_like(weights)
        np.put_along_axis(largest, np.abs(means.values).argmax(axis=1)[:, None], 1.0, axis=1)
        shares = np.divide(weights, total, out=largest, where=total > 0)
        return np.asarray(means.values + shares * lacking[:, None])


def _degrees(count: Integers) -> Floats:
    """Of freedom: half of what normal draws would have, for these are not: most are small, and few are large."""
    return np.asarray(np.maximum((count - 1) / 2, 1.0))


def _effects(first: Integers, second: Integers, draws: Floats) -> Floats:
    """Effect of each bin of a column [bins, K], from draws that are the row's effect less the background's."""
    num_bins = int(max(first.max(initial=0), second.max(initial=0))) + 1
    counts = np.bincount(first * num_bins + second, minlength=num_bins**2).reshape(num_bins, num_bins)
    diagonal = np.asarray(counts.sum(axis=0) + counts.sum(axis=1) + _RIDGE, dtype=np.float64)
    normal = np.diag(diagonal) - counts - counts.T
    moments = np.stack(
        [np.bincount(first, own, minlength=num_bins) - np.bincount(second, own, minlength=num_bins) for own in draws.T],
        axis=1,
    )
    return np.asarray(np.linalg.solve(normal, moments))


def _bins(game: Game, rows: Integers, num_draws: int) -> tuple[Integers, Integers]:
    """Bin of each player's value, in the rows [n, P] and in the background [B, P]; one bin where a player is many."""
    num_bins = int(np.clip(num_draws // _WALKS_A_BIN, 1, _MOST_BINS))
    mine = np.zeros((len(rows), game.num_players), dtype=np.int64)
    theirs = np.zeros((game.rows.num_others, game.num_players), dtype=np.int64)
    alone = np.bincount(game.player_of, minlength=game.num_players) == 1
    for name, columns in _columns(game.rows):
        own, others = game.rows.tensors[name][rows], game.rows.others[name]
        for place, column in enumerate(columns.tolist()):
            player = int(game.player_of[column])
            if alone[player]:
                mine[:, player], theirs[:, player] = _bins_of(own[:, place], others[:, place], num_bins)
    return mine, theirs


def _columns(rows: Rows) -> list[tuple[str, Integers]]:
    return list(rows.columns.items())


def _bins_of(own: NDArray[np.generic], others: NDArray[np.generic], num_bins: int) -> tuple[Integers, Integers]:
    both = np.concatenate([own, others])
    if both.dtype.kind != "f":
        known, places, counts = np.unique(both.astype(str), return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(len(known), dtype=np.int64)
        rank[order] = np.arange(len(known))
        codes = np.minimum(rank[places], num_bins - 1)
    else:
        numbers = both.astype(np.float64)
        present = numbers[~np.isnan(numbers)]
        edges = np.unique(np.quantile(present, np.arange(1, num_bins) / num_bins)) if len(present) else np.empty(0)
        codes = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="left"))
        codes = np.unique(codes, return_inverse=True)[1]
    return codes[: len(own)].astype(np.int64), codes[len(own) :].astype(np.int64)
