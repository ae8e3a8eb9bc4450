"""Labels that look wrong: confident learning, rows that are alike with other labels, residuals out of line.

Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 70).
The functions take what a model answered for rows that it was not fitted on; they fit nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError
from lepton.data.dataset import Dataset
from lepton.data.quality.labels_page import labels_page
from lepton.report import Page

__all__ = ["LabelErrors", "confident_joint", "conflicting_labels", "suspect_labels", "suspect_numbers"]

Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class LabelErrors:
    """Labels that look wrong, the most suspect first.

    Attributes:
        rows: positions of the rows, from 0.
        given: label of each, as it is in the table.
        suggested: what it may be instead.
        scores: how suspect each is; comparable within one table only.
    """

    rows: tuple[int, ...]
    given: tuple[Any, ...]
    suggested: tuple[Any, ...]
    scores: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def frame(self) -> pl.DataFrame:
        """One row for each label: row, given, suggested, score."""
        columns = {"row": self.rows, "given": self.given, "suggested": self.suggested, "score": self.scores}
        return pl.DataFrame({name: list(values) for name, values in columns.items()})

    def page(self) -> Page:
        """One HTML page: which labels are mistaken for which, and the rows to look at."""
        return labels_page(self.rows, self.given, self.suggested, self.scores)

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def confident_joint(labels: Positions, probabilities: Doubles) -> tuple[Positions, Doubles]:
    """How often rows that are given one class are confidently of another.

    The threshold of a class is the mean probability that rows given it have for it; a row counts for the likeliest
    class whose threshold it reaches. The counts are calibrated so that each given class keeps its number of rows.

    Args:
        labels: given class of each row, from 0 [N].
        probabilities: of the classes, for rows that the model was not fitted on [N, C].

    Returns:
        The confident class of each row, or -1 [N]; the calibrated counts, given by true class [C, C].
    """
    labels, probabilities = _checked(labels, probabilities)
    num_classes = probabilities.shape[1]
    given = np.bincount(labels, minlength=num_classes)
    own = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=num_classes)
    thresholds = np.where(given > 0, own / np.maximum(given, 1), np.inf)
    reached = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)
    confident = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)
    counts = np.zeros((num_classes, num_classes))
    sure = confident >= 0
    np.add.at(counts, (labels[sure], confident[sure]), 1.0)
    # A class that nobody is sure of keeps its rows on the diagonal.
    counts[np.diag_indices(num_classes)] += (counts.sum(axis=1) == 0) & (given > 0)
    sums = counts.sum(axis=1, keepdims=True)
    return confident, counts / np.where(sums > 0, sums, 1.0) * given[:, None]


def suspect_labels(
    labels: Positions,
    probabilities: Doubles,
    *,
    names: Sequence[Any] | None = None,
    method: Literal["confident", "noise rate", "class", "both"] = "noise rate",
    order: Literal["margin", "confidence"] = "margin",
) -> LabelErrors:
    """Rows whose label is probably wrong.

    Args:
        labels: given class of each row, from 0 [N].
        probabilities: of the classes, for rows that the model was not fitted on [N, C].
        names: of the classes; by default their numbers.
        method: `confident`: every row that is confidently of another class. `class`: of each given class as many as
            the confident joint says are wrong, the least self-confident first. `noise rate`: of each pair of classes
            as many as the joint says, by margin. `both`: those that `class` and `noise rate` agree on.
        order: by normalised margin (own probability less that of the likeliest other class), or by self-confidence.

    Raises:
        UsageError: the arrays do not fit each other, or a word is none of those.
    """
    labels, probabilities = _checked(labels, probabilities)
    if method not in ("confident", "noise rate", "class", "both") or order not in ("margin", "confidence"):
        raise UsageError(
            ErrorCode.USAGE,
            f"got method={method!r}, order={order!r}",
            wanted="method: confident, noise rate, class or both; order: margin or confidence",
        )
    confident, joint = confident_joint(labels, probabilities)
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    other = others.argmax(axis=1)
    margin = others.max(axis=1) - own
    if method == "confident":
        chosen = (confident >= 0) & (confident != labels)
    else:
        chosen = np.ones(len(labels), dtype=np.bool_)
        if method in ("class", "both"):
            chosen &= _by_class(labels, own, joint)
        if method in ("noise rate", "both"):
            chosen &= _by_noise_rate(labels, probabilities, joint)
        chosen &= margin > 0  # a label that is the likeliest is no error
    score = margin if order == "margin" else 1.0 - own
    found = np.flatnonzero(chosen)
    found = found[np.argsort(-score[found], kind="stable")]
    kept = list(range(probabilities.shape[1])) if names is None else list(names)
    return LabelErrors(
        tuple(found.tolist()),
        tuple(kept[labels[row]] for row in found),
        tuple(kept[other[row]] for row in found),
        tuple(score[found].tolist()),
    )


def _checked(labels: Positions, probabilities: Doubles) -> tuple[Positions, Doubles]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities) or probabilities.shape[1] < 2:
        came = f"got labels of shape {labels.shape} and probabilities of shape {probabilities.shape}"
        raise UsageError(ErrorCode.USAGE, came, wanted="[N] and [N, C], with at least two classes")
    if not np.isfinite(probabilities).all():
        raise UsageError(ErrorCode.USAGE, "got probabilities that are no numbers", wanted="numbers from 0 to 1")
    if len(labels) and (labels.min() < 0 or labels.max() >= probabilities.shape[1]):
        came = f"got labels from {labels.min()} to {labels.max()}"
        raise UsageError(ErrorCode.USAGE, came, wanted=f"0 to {probabilities.shape[1] - 1}")
    return labels.astype(np.int64), probabilities


def _by_class(labels: Positions, own: Doubles, joint: Doubles) -> NDArray[np.bool_]:
    """Of each given class the least self-confident rows, as many as the joint has off the diagonal."""
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for given in range(len(joint)):
        members = np.flatnonzero(labels == given)
        number = round(joint[given].sum() - joint[given, given])
        chosen[members[np.argsort(own[members], kind="stable")[:number]]] = True
    return chosen


def _by_noise_rate(labels: Positions, probabilities: Doubles, joint: Doubles) -> NDArray[np.bool_]:
    """Of each pair of given and true class the rows with the largest margin, as many as the joint has."""
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for given in range(len(joint)):
        members = np.flatnonzero(labels == given)
        margins = probabilities[members] - probabilities[members, given][:, None]
        for true in range(len(joint)):
            if true != given:
                largest = np.argsort(-margins[:, true], kind="stable")[: round(joint[given, true])]
                chosen[members[largest]] = True
    return chosen


def suspect_numbers(truth: Doubles, predictions: Doubles, *, threshold: float = 6.0) -> LabelErrors:
    """Targets that are far from what a model predicts without them.

    The residual less its median, in units of 1.4826 times the median absolute deviation (that of a normal law).

    Args:
        truth: given numbers [N].
        predictions: for rows that the model was not fitted on [N].
        threshold: in those units.
    """
    truth, predictions = np.asarray(truth, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.shape != predictions.shape or truth.ndim != 1:
        raise UsageError(ErrorCode.USAGE, f"got shapes {truth.shape} and {predictions.shape}", wanted="[N] and [N]")
    if not len(truth):
        return LabelErrors((), (), (), ())
    residual = truth - predictions
    residual -= np.median(residual)
    spread = 1.4826 * np.median(np.abs(residual))
    # Where more than half of the residuals are 0, the others are told by their mean size.
    spread = spread or np.abs(residual).mean() or 1.0
    score = np.abs(residual) / spread
    found = np.flatnonzero(score > threshold)
    found = found[np.argsort(-score[found], kind="stable")]
    given, suggested = truth[found].tolist(), predictions[found].tolist()
    return LabelErrors(tuple(found.tolist()), tuple(given), tuple(suggested), tuple(score[found].tolist()))


def conflicting_labels(dataset: Dataset, target: str) -> LabelErrors:
    """Rows that agree in every other column, missing values included, and not in the target.

    The rows of the minority labels of each group are given, with the most frequent label as suggestion; where two are
    as frequent, the one that comes first stays. The score is the share of the group that has another label.

    Raises:
        DataError: there is no such column.
    """
    dataset.schema[target]
    frame = dataset.frame()
    features = [name for name in frame.columns if name != target]
    if not features or not frame.height:
        return LabelErrors((), (), (), ())
    table = pl.DataFrame(
        {
            "row": pl.int_range(frame.height, eager=True),
            "label": frame[target],
            "group": frame.select(pl.struct(features).rank("dense")).to_series(),
        }
    ).filter(pl.col("label").is_not_null())
    several = table.filter(pl.col("label").n_unique().over("group") > 1)
    counted = several.with_columns(
        pl.len().over("group").alias("all"),
        pl.len().over("group", "label").alias("alike"),
        pl.col("row").min().over("group", "label").alias("first"),
    )
    usual = (
        counted.sort("alike", "first", descending=[True, False])
        .group_by("group", maintain_order=True)
        .agg(pl.col("label").first().alias("usual"))
    )
    found = (
        counted.join(usual, on="group")
        .filter(pl.col("label") != pl.col("usual"))
        .with_columns((1 - pl.col("alike") / pl.col("all")).alias("score"))
        .sort("score", "row", descending=[True, False])
    )
    return LabelErrors(*(tuple(found[name]) for name in ("row", "label", "usual", "score")))
