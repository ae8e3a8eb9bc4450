"""Exact Shapley values of trees against a background of rows, for columns as players.

A leaf is reached by a mixture of a row and a background row where every column on its way lets it pass. What counts is
the pattern: which of those columns let the row pass, and which the background row. The background is a histogram of
patterns; for each pattern of the row, the Shapley values of the leaf are a sum over it with weights that depend on the
numbers of columns alone. So trees are followed once for each row, not once for each pair of rows.

Source: Lundberg et al., "From local explanations to global understanding with explainable AI for trees" (2020),
algorithm 3 (interventional TreeSHAP); patterns of background rows: Nadel & Wettenstein, "From decision trees to
Boolean logic: a fast and unified SHAP algorithm" (2025).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.forest import Trees

__all__ = ["MAX_PLAYERS", "tree_contributions"]

MAX_PLAYERS = 62
"""Columns on the way to one leaf; patterns of more do not fit into a number."""

_DENSE = 8  # players up to which the histogram is over all patterns
_CELLS = 2**21  # numbers that are looked at together
_ROWS = 1_024
Integers = NDArray[np.int64]


@dataclass(slots=True)
class _Front:
    """Places that are reached at one depth, nodes or leaves [J].

    Attributes:
        at: node, or `~leaf`.
        players: columns on the way [J, D'], in the order in which they came; -1 where there are fewer.
        size: how many [J].
        rows: which of them let each row pass, as bits [J, N].
        others: the same of the background [J, B].
    """

    at: Integers
    players: Integers
    size: Integers
    rows: NDArray[np.int64]
    others: NDArray[np.int64]

    def taken(self, kept: NDArray[np.bool_] | Integers) -> _Front:
        return _Front(self.at[kept], self.players[kept], self.size[kept], self.rows[kept], self.others[kept])


def tree_contributions(
    trees: Trees,
    features: NDArray[np.generic],
    background: NDArray[np.generic],
    column_of: Integers,
    num_columns: int,
    work: Work | None = None,
) -> Floats | None:
    """What each column adds to the sums of trees, on average over the background.

    Args:
        trees: of a graph.
        features: what they look at, of the rows to explain [N, F].
        background: the same of the background [B, F].
        column_of: the column that each feature comes from [F]; -1 for features that are the same in all rows.
        num_columns: P.
        work: cancel and progress.

    Returns:
        Contributions [N, P, K], or None where the way to a leaf has more columns than `MAX_PLAYERS`.
    """
    work = Work.of(work)
    total = np.zeros((len(features), num_columns, trees.leaf_values.shape[1]))
    for start in range(0, len(features), _ROWS):
        part = slice(start, start + _ROWS)
        for chosen in _parts(trees, len(features[part]) + len(background)):
            work.check()
            for leaves in _leaves(trees, chosen, features[part], background, column_of):
                if leaves is None:
                    return None
                _add(total[part], trees, leaves, len(background))
    return total


def _parts(trees: Trees, num_rows: int) -> Iterator[Integers]:
    """Roots of as many trees as are followed together in bounded memory."""
    a_tree = max(1, len(trees.leaf_values) // max(len(trees.roots), 1))
    step = max(1, _CELLS // (a_tree * num_rows))
    for start in range(0, len(trees.roots), step):
        yield trees.roots[start : start + step]


def _leaves(
    trees: Trees, roots: Integers, features: NDArray[np.generic], background: NDArray[np.generic], column_of: Integers
) -> Iterator[_Front | None]:
    """The leaves of some trees, depth by depth; None, and the end, where a pattern has too many columns."""
    count = len(roots)
    front = _Front(
        roots,
        np.full((count, 0), -1),
        np.zeros(count, dtype=np.int64),
        np.zeros((count, len(features)), dtype=np.int64),
        np.zeros((count, len(background)), dtype=np.int64),
    )
    while len(front.at):
        if (is_leaf := front.at < 0).any():
            yield front.taken(is_leaf)
            front = front.taken(~is_leaf)
        if not len(front.at):
            return
        columns = column_of[trees.features[front.at]]
        passing = trees.holds(front.at, features), trees.holds(front.at, background)
        front = _behind(trees, front, columns, passing)
        if front.size.max(initial=0) > MAX_PLAYERS:
            yield None
            return


def _behind(
    trees: Trees, front: _Front, columns: Integers, passing: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> _Front:
    """The places one step further: behind each test where it holds, then where it does not."""
    same = front.players == columns[:, None]
    known, fixed = same.any(axis=1), columns < 0
    place = np.where(known, same.argmax(axis=1) if same.shape[1] else 0, front.size)
    size = np.where(known | fixed, front.size, front.size + 1)
    players = front.players
    if size.max(initial=0) > players.shape[1]:
        players = np.hstack([players, np.full((len(players), 1), -1)])
    else:
        players = players.copy()
    new = ~known & ~fixed
    players[np.flatnonzero(new), place[new]] = columns[new]
    bit = np.where(fixed, 0, np.int64(1) << np.minimum(place, MAX_PLAYERS))[:, None]
    sides = []
    for holds, nodes in ((True, trees.yes[front.at]), (False, trees.no[front.at])):
        masks = []
        for before, passed in zip((front.rows, front.others), passing, strict=True):
            own = passed if holds else ~passed
            masks.append(np.where(known[:, None], before & ~np.where(own, 0, bit), before | np.where(own, bit, 0)))
        # Nobody comes to a place behind a test that all rows fail.
        somebody = (passing[0] == holds).any(axis=1) | (passing[1] == holds).any(axis=1)
        sides.append(_Front(nodes, players, size, *masks).taken(somebody))
    first, second = sides
    return _Front(
        *(
            np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("at", "players", "size", "rows", "others")
        )
    )


def _add(total: Floats, trees: Trees, leaves: _Front, num_background: int) -> None:
    """Add what leaves of one depth contribute to `total` [N, P, K]."""
    values = trees.leaf_values[~leaves.at]
    for size in np.unique(leaves.size).tolist():
        if size == 0:
            continue
        own = leaves.size == size
        for target in range(values.shape[1]):
            chosen = np.flatnonzero(own & (values[:, target] != 0))
            if size > _DENSE:
                add, cells = _add_observed, total.shape[0] * (num_background + size)
            else:
                add, cells = _add_dense, size * max(1 << size, total.shape[0])
            step = max(1, _CELLS // cells)
            for start in range(0, len(chosen), step):
                part = chosen[start : start + step]
                add(total[:, :, target], leaves, part, size, values[part, target] / num_background)


def _add_dense(total: Floats, leaves: _Front, chosen: Integers, size: int, values: Floats) -> None:
    """Leaves with few columns on their way: one product with the weights of all pairs of patterns."""
    width = 1 << size
    count = len(chosen)
    places = (np.arange(count)[:, None] * width + leaves.others[chosen]).ravel()
    histogram = np.bincount(places, minlength=count * width).reshape(count, width)
    table = ((histogram * values[:, None]) @ _weights(size)).reshape(count * size, width)
    _add_by_column(total, leaves.players[chosen, :size], table, leaves.rows[chosen])


def _add_observed(total: Floats, leaves: _Front, chosen: Integers, size: int, values: Floats) -> None:
    """Leaves with many columns on their way: the patterns that there are, each pair of them."""
    full = (1 << size) - 1
    rows, row_of = _distinct(leaves.rows[chosen])
    others, other_of = _distinct(leaves.others[chosen])
    count, width = others.shape
    counts = np.bincount((np.arange(count)[:, None] * width + other_of).ravel(), minlength=others.size)
    bits = np.arange(size)
    row_bits = (rows[:, :, None] >> bits & 1).astype(np.float64)
    other_bits = (others[:, :, None] >> bits & 1).astype(np.float64)
    lacking = (size - row_bits.sum(axis=2)).astype(np.int64).ravel()
    needed = (size - other_bits.sum(axis=2)).astype(np.int64).ravel()
    met = np.flatnonzero((rows[:, :, None] | others[:, None, :]) == full)
    row, other = met // width, met % width
    other += row // rows.shape[1] * width
    often = counts[other]
    shares = needed[other] * (size + 1) + lacking[row]
    gains, costs = _shares(size)
    pairs = np.zeros((count, rows.shape[1], width))
    pairs.ravel()[met] = gains.ravel()[shares] * often
    gain = pairs @ (1.0 - other_bits)
    cost = np.bincount(row, costs.ravel()[shares] * often, minlength=rows.size).reshape(*rows.shape, 1)
    table = values[:, None, None] * (row_bits * gain - (1.0 - row_bits) * cost)
    by_player = table.transpose(0, 2, 1).reshape(count * size, rows.shape[1])
    _add_by_column(total, leaves.players[chosen, :size], by_player, row_of)


def _add_by_column(total: Floats, players: Integers, table: Floats, places: Integers) -> None:
    """Add a table [J * D, W] for the players [J, D] of leaves, each row reading the places [J, N] of its patterns."""
    size, width = players.shape[1], table.shape[1]
    players = players.ravel()
    order = np.argsort(players, kind="stable")
    starts = np.flatnonzero(np.diff(players[order], prepend=-1))
    picked = (order * width)[:, None] + places[order // size]
    total[:, players[order][starts]] += np.add.reduceat(table.ravel().take(picked), starts, axis=0).T


def _distinct(patterns: Integers) -> tuple[Integers, Integers]:
    """The different patterns of each leaf [J, W], zeros behind them where there are fewer, and where each is [J, N]."""
    order = np.argsort(patterns, axis=1)
    found = np.take_along_axis(patterns, order, axis=1)
    rank = np.cumsum(np.diff(found, axis=1, prepend=found[:, :1]) != 0, axis=1)
    places = np.empty_like(rank)
    np.put_along_axis(places, order, rank, axis=1)
    distinct = np.zeros((len(patterns), int(rank.max(initial=0)) + 1), dtype=np.int64)
    np.put_along_axis(distinct, rank, found, axis=1)
    return distinct, places


@cache
def _shares(size: int) -> tuple[Floats, Floats]:
    """Shapley weights [a, c] of a column that must be the row's, and of one that must be the background's.

    A leaf that needs `a` columns of the row and `c` of the background is a game in which a column of the first kind
    decides where the others of its kind came before it and none of the second: with probability (a - 1)! c! / (a + c)!.
    """
    gains, costs = np.zeros((size + 1, size + 1)), np.zeros((size + 1, size + 1))
    for a in range(size + 1):
        for c in range(size + 1 - a):
            if a:
                gains[a, c] = factorial(a - 1) * factorial(c) / factorial(a + c)
            if c:
                costs[a, c] = factorial(a) * factorial(c - 1) / factorial(a + c)
    return gains, costs


@cache
def _weights(size: int) -> Floats:
    """What a background row of each pattern gives to each column, for each pattern of the row [2^D, D * 2^D]."""
    width = 1 << size
    patterns = np.arange(width)
    bits = (patterns[:, None] >> np.arange(size) & 1).astype(np.float64)
    gains, costs = _shares(size)
    missing = (size - bits.sum(axis=1)).astype(np.int64)
    others, rows = patterns[:, None], patterns[None, :]
    meets = (others | rows) == width - 1
    gain = np.where(meets, gains[missing[:, None], np.where(meets, missing[None, :], 0)], 0.0)
    cost = np.where(meets, costs[missing[:, None], np.where(meets, missing[None, :], 0)], 0.0)
    out = np.empty((width, size, width))
    for player in range(size):
        mine, theirs = bits[None, :, player], bits[:, player, None]
        out[:, player] = mine * (1.0 - theirs) * gain - (1.0 - mine) * cost
    return out.reshape(width, size * width)
