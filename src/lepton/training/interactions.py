"""Which pairs of columns say something together that neither says alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from lepton.data.steps import Block
from lepton.training.base import Doubles

__all__ = ["best_products", "used_together"]

_MOST_ROWS = 20_000  # that pairs are looked for in
_MOST_COLUMNS = 300  # that pairs are made of
_LEAST_SPREAD = 1e-6


def best_products(block: Block, weight_of: Doubles, rest: Doubles, most: int) -> list[tuple[str, str]]:
    """The pairs of columns whose products go best with what a model has left over.

    Each is judged by the share of the rest that it alone would explain. All pairs together are two products of
    matrices: of the columns, weighted by the rest, and of their squares.

    Args:
        block: N rows of scaled numbers and indicators.
        weight_of: how much each column has to say [F]; where there are very many, pairs are made of the first.
        rest: what the scores of the rows should rise by [N, S].
        most: pairs.

    Returns:
        At most so many, the best first; a column may stand beside itself, an indicator not.
    """
    columns = np.sort(np.argsort(-weight_of, kind="stable")[:_MOST_COLUMNS])
    step = max(1, -(-block.num_rows // _MOST_ROWS))
    features, rest = block.numbers[::step, columns], rest[::step]
    rest = rest - rest.mean(axis=0)
    squares = features**2
    means = features.T @ features / len(features)
    spread = squares.T @ squares / len(features) - means**2
    gains: Doubles = np.zeros_like(means)
    for each in rest.T:
        gains += ((features * each[:, None]).T @ features / len(features)) ** 2
    gains = np.triu(np.where(spread > _LEAST_SPREAD, gains / np.maximum(spread, _LEAST_SPREAD), 0.0))
    indicators = ((features == 0.0) | (features == 1.0)).all(axis=0)
    gains[np.diag_indices_from(gains)] *= ~indicators
    order = np.argsort(-gains, axis=None, kind="stable")[:most]
    pairs = zip(*(places.tolist() for places in np.unravel_index(order, gains.shape)), strict=True)
    names = [block.number_names[column] for column in columns]
    return [(names[a], names[b]) for a, b in pairs if gains[a, b] > 0.0]


def used_together(trees: Sequence[Mapping[str, Any]], among: Collection[int], most: int) -> list[tuple[int, int]]:
    """The pairs of columns whose splits gained most right below splits by the other.

    Args:
        trees: nodes with `split_feature`, `split_gain`, `left_child` and `right_child`, as LightGBM tells them; leaves
            have none of these.
        among: positions of the columns that pairs are made of.
        most: pairs.

    Returns:
        At most so many, the best first; the smaller position first in each.
    """
    gains: dict[tuple[int, int], float] = {}
    nodes = list(trees)
    while nodes:
        node = nodes.pop()
        for child in (node.get("left_child", {}), node.get("right_child", {})):
            if "split_feature" not in child:
                continue
            nodes.append(child)
            low, high = sorted((node["split_feature"], child["split_feature"]))
            if low != high and low in among and high in among:
                gains[low, high] = gains.get((low, high), 0.0) + child["split_gain"]
    return sorted(gains, key=lambda pair: (-gains[pair], pair))[:most]
