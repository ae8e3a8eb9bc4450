"""Telling members from others by losses: thresholds are chosen on one half of the rows, and judged on the other."""

from __future__ import annotations

import math
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
_Z = 1.959963984540054
_LEAST_OF_LABEL = 10
_CURVE = 101


@dataclass(frozen=True)
class _Seen:
    """What the attacker has of all rows, members first.

    Attributes:
        scores: of each attack, the greater the likelier a member [N].
        classes: labels by which thresholds differ, of the attack that does so.
        member: which rows are members.
        chooses: which rows thresholds are chosen on; the others judge.
        groups: of rows that were drawn together, or None.
    """

    scores: dict[str, Floats]
    classes: Positions | None
    member: NDArray[np.bool_]
    chooses: NDArray[np.bool_]
    groups: Positions | None


Found = tuple[str, Estimate, dict[str, Estimate], Estimate, Estimate, tuple[tuple[float, float], ...]]


def attacked(members: Answers, others: Answers, scores: dict[str, Floats], seed: int, work: Work) -> Found:
    """Each attack, and the best: one half of the rows chooses thresholds and the best attack, the other judges.

    Both halves taking turns would use all rows, but the two results are not independent: of tables that are alike
    seven in a hundred intervals then lay above 0.
    """
    fewest = min(members.num_rows, others.num_rows)
    if fewest < MIN_ROWS:
        none = Estimate(None, reason=f"{fewest:,} rows on one side are too few, {MIN_ROWS} are needed")
        return "none", none, {}, none, none, ()
    seen = _seen(members, others, scores, seed)
    judged = ~seen.chooses
    member = seen.member[judged]
    names = [*scores, *(["loss by label"] if seen.classes is not None else [])]
    calls = {name: _called(seen, name) for name in names}
    attack = max(names, key=lambda name: _gain(calls[name][seen.chooses], seen.member[seen.chooses]))
    strict, reason = _strict(seen, scores["loss"])[judged], ""
    if others.num_rows < MIN_ROWS_AT_1_PERCENT:
        reason = f"{others.num_rows:,} held-out rows are too few, {MIN_ROWS_AT_1_PERCENT:,} are needed"
    work.check()
    groups = None if seen.groups is None else np.unique(seen.groups[judged], return_inverse=True)[1]
    if groups is None:
        found = {name: _difference(called[judged], member) for name, called in calls.items()}
        found |= {"found": _proportion(strict[member]), "alarms": _proportion(strict[~member])}
    else:
        wanted: dict[str, Score] = {name: _advantage(called[judged], member) for name, called in calls.items()}
        wanted |= {"found": _share(strict, member), "alarms": _share(strict, ~member)}
        undefined = dict.fromkeys(wanted, "one side has no rows")
        found = intervals(
            wanted, len(member), undefined=undefined, groups=groups, resamples=_RESAMPLES, seed=seed, work=work
        )
    positives, alarms = (Estimate(None, reason=reason) if reason else found[name] for name in ("found", "alarms"))
    return attack, found[attack], {n: found[n] for n in names}, positives, alarms, _curve(scores["loss"], seen)


def _seen(members: Answers, others: Answers, scores: dict[str, Floats], seed: int) -> _Seen:
    member = np.arange(members.num_rows + others.num_rows) < members.num_rows
    groups = None
    if members.groups is not None and others.groups is not None:
        groups = np.concatenate([members.groups, others.groups + int(members.groups.max()) + 1])
    generator = np.random.default_rng([seed % 2**32, 1])
    units = np.arange(len(member)) if groups is None else groups
    chooses = np.zeros(len(member), dtype=bool)
    for side in (member, ~member):
        own = generator.permutation(np.unique(units[side]))
        chooses |= np.isin(units, own[: len(own) // 2])
    known, strange = classes_of(members), classes_of(others)
    classes = None if known is None or strange is None else np.concatenate([known, strange])
    return _Seen(scores, classes, member, chooses, groups)


def _called(seen: _Seen, name: str) -> NDArray[np.bool_]:
    """Which rows an attack calls members, by the thresholds of the half that chooses."""
    by_label = name == "loss by label"
    scores = seen.scores["loss" if by_label else name]
    limits = np.full(len(scores), _threshold(scores[seen.chooses], seen.member[seen.chooses]))
    if by_label and seen.classes is not None:
        for label in np.unique(seen.classes).tolist():
            of_label = seen.classes == label
            known = seen.chooses & of_label
            if min((known & seen.member).sum(), (known & ~seen.member).sum()) >= _LEAST_OF_LABEL:
                limits[of_label] = _threshold(scores[known], seen.member[known])
    called: NDArray[np.bool_] = scores >= limits
    return called


def _gain(called: NDArray[np.bool_], member: NDArray[np.bool_]) -> float:
    if not member.any() or member.all():
        return 0.0
    return float(called[member].mean() - called[~member].mean())


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
    """Which rows are called members where the half that chooses has 1 % of false alarms."""
    strangers = scores[seen.chooses & ~seen.member]
    limit = np.quantile(strangers, 1 - _FALSE_ALARMS, method="higher") if len(strangers) else np.inf
    called: NDArray[np.bool_] = scores > limit
    return called


def _proportion(hits: NDArray[np.bool_]) -> Estimate:
    """A share with Wilson's interval (1927)."""
    number, share = len(hits), float(hits.mean())
    middle = share + _Z**2 / (2 * number)
    half = _Z * math.sqrt(share * (1 - share) / number + _Z**2 / (4 * number**2))
    whole = 1 + _Z**2 / number
    return Estimate(share, min((middle - half) / whole, share), max((middle + half) / whole, share))


def _difference(called: NDArray[np.bool_], member: NDArray[np.bool_]) -> Estimate:
    """The advantage with Newcombe's interval (1998, method 10), which holds where few rows are called too."""
    found, alarms = _proportion(called[member]), _proportion(called[~member])
    ends = [(each.value or 0.0, each.lower or 0.0, each.upper or 0.0) for each in (found, alarms)]
    (first, low, high), (second, least, most) = ends
    apart = first - second
    return Estimate(
        apart, apart - math.hypot(first - low, most - second), apart + math.hypot(high - first, second - least)
    )


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
