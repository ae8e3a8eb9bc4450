"""Telling members from others by losses: thresholds are chosen on one half of the rows, and judged on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats, Positions, Score
from lepton.evaluation.privacy.losses import classes_of

__all__ = ["ATTACKS", "MIN_ROWS", "MIN_ROWS_AT_1_PERCENT", "attacked"]

MIN_ROWS = 60
"""Rows on either side below which nothing is said: each half of them has to say something."""

MIN_ROWS_AT_1_PERCENT = 1_000
"""Held-out rows below which 1 % of a half are fewer than five."""

ATTACKS: Mapping[str, str] = MappingProxyType(
    {
        "loss": "rows answered well are members",
        "loss by label": "the same, each label with a threshold of its own",
        "loss against another model": "rows answered better than by a model that has not seen them are members",
    }
)
"""Attacks by name, and what each takes for a member."""

_FALSE_ALARMS = 0.01
_RESAMPLES = 1_000
_LEAST_OF_LABEL = 10
_CURVE = 101


@dataclass(frozen=True)
class _Seen:
    """What the attacker has of all rows, members first.

    Attributes:
        scores: of each attack, the greater the likelier a member [N].
        classes: labels by which thresholds differ, of the attack that does so.
        member: which rows are members.
        half: which half each row is in, 0 or 1.
        groups: of rows that were drawn together, or None.
    """

    scores: dict[str, Floats]
    classes: Positions | None
    member: NDArray[np.bool_]
    half: Positions
    groups: Positions | None


Found = tuple[str, Estimate, dict[str, Estimate], Estimate, Estimate, tuple[tuple[float, float], ...]]


def attacked(members: Answers, others: Answers, scores: dict[str, Floats], seed: int, work: Work) -> Found:
    """The attacks, each half of the rows with what the other half has chosen."""
    fewest = min(members.num_rows, others.num_rows)
    if fewest < MIN_ROWS:
        none = Estimate(None, reason=f"{fewest:,} rows on one side are too few, {MIN_ROWS} are needed")
        return "none", none, {}, none, none, ()
    seen = _seen(members, others, scores, seed)
    names = [*scores, *(["loss by label"] if seen.classes is not None else [])]
    calls: dict[str, NDArray[np.bool_]] = {}
    gains: dict[str, list[float]] = {}
    for name in names:
        called, gain = _called(seen, name)
        calls[name], gains[name] = called, gain
    picked = [max(names, key=lambda name: gains[name][half]) for half in (0, 1)]  # by the half that chooses
    best = np.where(seen.half == 1, calls[picked[0]], calls[picked[1]])
    attack = picked[0] if picked[0] == picked[1] else f"{picked[0]}, {picked[1]}"
    strict, reason = _strict(seen, scores["loss"]), ""
    if others.num_rows < MIN_ROWS_AT_1_PERCENT:
        reason = f"{others.num_rows:,} held-out rows are too few, {MIN_ROWS_AT_1_PERCENT:,} are needed"
    wanted: dict[str, Score] = {name: _advantage(called, seen.member) for name, called in calls.items()}
    wanted["best"] = _advantage(best, seen.member)
    wanted["found"], wanted["alarms"] = _share(strict, seen.member), _share(strict, ~seen.member)
    work.check()
    found = intervals(
        wanted, len(best), groups=seen.groups, resamples=_RESAMPLES, seed=seed, work=work,
        undefined=dict.fromkeys(wanted, "one side has no rows"),
    )  # fmt: skip
    positives, alarms = (Estimate(None, reason=reason) if reason else found[name] for name in ("found", "alarms"))
    return attack, found["best"], {name: found[name] for name in names}, positives, alarms, _curve(scores["loss"], seen)


def _seen(members: Answers, others: Answers, scores: dict[str, Floats], seed: int) -> _Seen:
    member = np.arange(members.num_rows + others.num_rows) < members.num_rows
    groups = None
    if members.groups is not None and others.groups is not None:
        groups = np.concatenate([members.groups, others.groups + int(members.groups.max()) + 1])
    generator = np.random.default_rng([seed % 2**32, 1])
    half = np.empty(len(member), dtype=np.int64)
    if groups is not None:
        half[:] = generator.integers(2, size=int(groups.max()) + 1)[groups]
    for side in () if groups is not None else (member, ~member):
        places = generator.permutation(np.flatnonzero(side))
        half[places] = np.arange(len(places)) % 2
    known, strange = classes_of(members), classes_of(others)
    classes = None if known is None or strange is None else np.concatenate([known, strange])
    return _Seen(scores, classes, member, half, groups)


def _called(seen: _Seen, name: str) -> tuple[NDArray[np.bool_], list[float]]:
    """Which rows an attack calls members, by the thresholds of the other half; and its gain on each half that chose."""
    by_label = name == "loss by label"
    scores = seen.scores["loss" if by_label else name]
    called = np.zeros(len(scores), dtype=bool)
    gains = []
    for half in (0, 1):
        own, judged = seen.half == half, seen.half != half
        whole = _threshold(scores[own], seen.member[own])
        limits = np.full(len(scores), whole)
        if by_label and seen.classes is not None:
            for label in np.unique(seen.classes).tolist():
                of_label = seen.classes == label
                known = own & of_label
                if min((known & seen.member).sum(), (known & ~seen.member).sum()) >= _LEAST_OF_LABEL:
                    limits[of_label] = _threshold(scores[known], seen.member[known])
        above = scores >= limits
        called[judged] = above[judged]
        gains.append(_mean(above[own & seen.member]) - _mean(above[own & ~seen.member]))
    return called, gains


def _mean(called: NDArray[np.bool_]) -> float:
    return float(called.mean()) if len(called) else 0.0


def _threshold(scores: Floats, member: NDArray[np.bool_]) -> float:
    """The score from which calling rows members has the greatest advantage on these."""
    if not member.any() or member.all():
        return float("inf")
    order = np.argsort(-scores, kind="stable")
    own = member[order]
    gain = np.cumsum(own) / own.sum() - np.cumsum(~own) / (~own).sum()
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # rows of one score are called alike
    place = int(np.argmax(np.where(last, gain, -np.inf)))
    return float(scores[order][place]) if gain[place] > 0 else float("inf")


def _strict(seen: _Seen, scores: Floats) -> NDArray[np.bool_]:
    """Which rows are called members where the other half has 1 % of false alarms."""
    called = np.zeros(len(scores), dtype=bool)
    for half in (0, 1):
        strangers = scores[(seen.half == half) & ~seen.member]
        limit = np.quantile(strangers, 1 - _FALSE_ALARMS, method="higher") if len(strangers) else np.inf
        judged = seen.half != half
        called[judged] = scores[judged] > limit
    return called


def _share(called: NDArray[np.bool_], among: NDArray[np.bool_]) -> Score:
    hits, rows = (called & among).astype(np.float64), among.astype(np.float64)

    def score(weights: Floats) -> Floats:
        total = weights @ rows
        share: Floats = np.divide(weights @ hits, total, out=np.full(len(weights), np.nan), where=total > 0)
        return share

    return score


def _advantage(called: NDArray[np.bool_], member: NDArray[np.bool_]) -> Score:
    found, alarms = _share(called, member), _share(called, ~member)
    return lambda weights: found(weights) - alarms(weights)


def _curve(scores: Floats, seen: _Seen) -> tuple[tuple[float, float], ...]:
    """Members found at each share of false alarms, over all rows."""
    strangers = np.sort(scores[~seen.member])
    members = np.sort(scores[seen.member])
    shares = np.linspace(0, 1, _CURVE)
    limits = np.quantile(strangers, 1 - shares, method="higher")
    limits[-1] = -np.inf
    found = 1 - np.searchsorted(members, limits, side="left") / len(members)
    alarms = 1 - np.searchsorted(strangers, limits, side="left") / len(strangers)
    return tuple((round(float(a), 6), round(float(f), 6)) for a, f in zip(alarms, found, strict=True))
