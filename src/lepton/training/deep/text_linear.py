"""Linear scores of pieces: a support vector machine for each class, or ridge regression, by their duals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.training.deep.text_rows import Floats, PieceRows

__all__ = ["LinearScores"]

_ROUNDS = 40
_SETTLED = 0.02  # share of all that was moved in a round
_LOOK_EVERY = 512


@dataclass(frozen=True, slots=True)
class LinearScores:
    """Scores of a row: the sum of what its pieces say, and a bias.

    Attributes:
        table: float32 [V, S]; what the piece 0, any other, says is 0.
        bias: float32 [S].
    """

    table: Floats
    bias: Floats

    @classmethod
    def fit(
        cls,
        rows: PieceRows,
        targets: Floats,
        *,
        num_pieces: int,
        strength: float,
        work: Work,
        weight: Floats | None = None,
    ) -> LinearScores:
        """Minimise half the squared coefficients plus `strength` times the weighted sum of squared losses.

        Coordinate descent in the dual (Hsieh et al. 2008), all scores of a row at a time. The loss of a class is the
        squared hinge, that of a number the square.

        Args:
            rows: to learn from.
            targets: [N, S]; 1 or -1 for a class that is and is not the row's, else numbers about 0.
            num_pieces: V.
            strength: of the losses; the larger, the closer the fit.
            work: seed, and time: where it ends, what is there by then is given.
            weight: of the rows [N].
        """
        num_scores = targets.shape[1]
        of_classes = bool((np.abs(targets) == 1).all())
        table = np.zeros((num_pieces, num_scores), dtype=np.float32)
        bias = np.zeros(num_scores, dtype=np.float32)
        duals = np.zeros_like(targets)
        slack = 0.5 / strength / (np.ones(len(rows)) if weight is None else np.maximum(weight, 1e-6))
        squares = np.add.reduceat(np.append(rows.values**2, 0.0), rows.starts[:-1]) * (np.diff(rows.starts) > 0)
        curvature = (squares + 1.0 + slack).astype(np.float32)
        slack = slack.astype(np.float32)
        random = np.random.default_rng(work.seed_for("texts", "linear"))
        starts, pieces, values = rows.starts.tolist(), rows.pieces, rows.values
        for _ in range(_ROUNDS):
            moved = 0.0
            for count, row in enumerate(random.permutation(len(rows)).tolist()):
                if count % _LOOK_EVERY == 0 and work.stopped:
                    return cls(table, bias)
                own = slice(starts[row], starts[row + 1])
                piece, value = pieces[own], values[own]
                target, dual = targets[row], duals[row]
                score = value @ table[piece] + bias
                if of_classes:
                    step = (1.0 - target * score - slack[row] * dual) / curvature[row]
                    step = np.maximum(dual + step, 0.0) - dual
                    change = step * target
                else:
                    step = change = (target - score - slack[row] * dual) / curvature[row]
                if not step.any():
                    continue
                dual += step
                table[piece] += value[:, None] * change
                bias += change
                moved += float(np.abs(step).sum())
            if moved <= _SETTLED * float(np.abs(duals).sum()):
                break
        return cls(table, bias)

    def scores(self, rows: PieceRows) -> NDArray[np.float64]:
        """Scores [N, S]."""
        out = np.zeros((len(rows), self.table.shape[1]))
        for row in range(len(rows)):
            own = slice(rows.starts[row], rows.starts[row + 1])
            out[row] = rows.values[own] @ self.table[rows.pieces[own]]
        return out + self.bias
