"""The search for changes of one row that give the wanted answer: few columns first, then near, then unlike each other.

All changes of one column are asked, then all of two where they are not too many, and beyond that those that go on from
the most promising ones (a beam). Where that finds nothing, rows that have the wanted answer are taken and given back
the row's own values, column by column, as long as the answer stays (Brughmans, Leyman & Martens, "NICE", 2023).
Distance is the sum over changed columns of the change in units of the column's spread (Wachter, Mittelstadt & Russell
2018), and a changed category counts 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import Work
from lepton.evaluation.classification import Positions
from lepton.evaluation.explain.choices import Choice
from lepton.evaluation.explain.wishes import Judged, Wish

__all__ = ["Change", "Search", "Searched"]

MOST_ASKED = 60_000
"""Rows that are asked at most before the last touches."""

_MOST_CELLS = 200_000_000
_BATCH_CELLS = 4_000_000
_MOST_VALUES = 24
_BEAM = 32
_DEEPER = 2
_DONORS = 64
_DRAWN_COLUMNS = 40
_STARTS = 8
_TOUCHED = 8

Step = tuple[int, int]
Change = tuple[Step, ...]
"""Positions of columns with positions of their new values, by column."""


class _Asked(NamedTuple):
    """Changes of equally many columns, as arrays [N, d], with their answers."""

    columns: Positions
    picks: Positions
    judged: Judged


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found.

    Attributes:
        found: changes that give the wanted answer, the best first.
        nearest: the change that came nearest, where none does; None where nothing may change.
        asked: rows that the model answered.
        complete: up to so many columns every combination of the values looked at was tried.
        beyond: where none does, columns of a change that does but takes more than are allowed; 0 where none is known.
    """

    found: tuple[Change, ...]
    nearest: Change | None
    asked: int
    complete: int
    beyond: int = 0


class Search:
    """One search.

    Args:
        predictor: the model.
        wish: the answer that is wanted.
        tensors: the row, packed.
        choices: columns that may change.
        most: columns that may be changed at once.
        count: how many ways are wanted.
        seed: of what is drawn.
        work: cancel, time and progress.
    """

    def __init__(
        self,
        predictor: Predictor,
        wish: Wish,
        tensors: dict[str, NDArray[Any]],
        choices: Sequence[Choice],
        most: int,
        count: int,
        seed: int,
        work: Work,
    ) -> None:
        self._predictor, self._wish, self._tensors = predictor, wish, tensors
        self._choices, self._most, self._count, self._work = choices, most, count, work
        self._random = np.random.default_rng([seed, 41])
        width = sum(tensor.shape[1] for tensor in tensors.values())
        self._batch = max(_BATCH_CELLS // max(width, 1), 64)
        self._budget = min(MOST_ASKED, max(_MOST_CELLS // max(width, 1), 1_000))
        self._asked = self._beyond = 0
        self._gap = np.inf
        self._nearest: Change | None = None
        each = int(np.clip(self._budget // (4 * max(len(choices), 1)), 1, _MOST_VALUES))
        self._coarse = [_spread_out(choice, each) for choice in choices]

    def run(self) -> Searched:
        """Search, as long as there is time and the budget of rows lasts."""
        if not self._choices or self._most < 1:
            return Searched((), None, 0, 0)
        pool: set[Change] = set()
        complete, first = 0, 0
        everything = [np.arange(len(choice.values)) for choice in self._choices]
        fits = sum(map(len, everything)) <= self._budget // 2
        last = singles = self._ask(*_singles(everything if fits else self._coarse))
        complete += 1 if self._whole else 0
        for depth in range(1, self._most + 1):
            if depth > 1:
                if self._work.stopped or self._spent:
                    break
                steps, whole = self._pairs(last) if depth == 2 else (self._onwards(last), False)
                if steps is None:
                    break
                last = self._ask(*steps)
                complete += 1 if whole and complete == depth - 1 and self._whole else 0
            met = np.flatnonzero(last.judged.met)
            pool |= {_change(last.columns[row], last.picks[row]) for row in met.tolist()}
            self._work.report(self._asked, self._budget, "rows", note="looking for changes")
            first = first or (depth if pool else 0)
            if len({self._kind(change) for change in pool}) >= self._count or (first and depth >= first + _DEEPER):
                break
        if not pool and not self._work.stopped:
            pool |= self._from_rows(singles)
        return Searched(
            tuple(self._ordered(pool)),
            None if pool else self._nearest,
            self._asked,
            complete,
            0 if pool else self._beyond,
        )

    def distance(self, change: Change) -> float:
        """Of the changed row from the row itself."""
        return float(sum(self._choices[column].distances[pick] for column, pick in change))

    def tensors_of(self, columns: Positions, picks: Positions) -> dict[str, NDArray[Any]]:
        """The row N times, each with its changes [N, d]; a pick below 0 leaves the column as it is."""
        out = {name: np.repeat(tensor, len(columns), axis=0) for name, tensor in self._tensors.items()}
        for chosen, picked in zip(columns.T, picks.T, strict=True):
            for column in np.unique(chosen).tolist():
                rows = np.flatnonzero((chosen == column) & (picked >= 0))
                choice = self._choices[column]
                out["strings" if choice.is_text else "numbers"][rows, choice.place] = choice.values[picked[rows]]
        return out

    @property
    def _spent(self) -> bool:
        return bool(self._asked >= self._budget)

    @property
    def _whole(self) -> bool:
        """Whether nothing was left out of what was asked so far."""
        return not bool(self._work.stopped)

    def _ask(self, columns: Positions, picks: Positions) -> _Asked:
        """The answers to changes, and the nearest of them kept in mind; of what there is no time for, none."""
        parts: list[Judged] = []
        done = 0
        while done < len(columns) and not (parts and self._work.stopped):
            part = slice(done, done + self._batch)
            given = self._predictor.run(self.tensors_of(columns[part], picks[part]), self._wish.outputs)
            parts.append(self._wish.judge(given))
            done += len(parts[-1].met)
        self._asked += done
        judged = Judged(
            *(np.concatenate(values) for values in zip(*((p.met, p.gap, p.value) for p in parts), strict=True))
        )
        columns, picks = columns[:done], picks[:done]
        allowed = np.where((picks >= 0).sum(axis=1) <= self._most, judged.gap, np.inf)
        best = int(np.argmin(allowed))
        if allowed[best] < self._gap:
            self._gap, self._nearest = float(allowed[best]), _change(columns[best], picks[best])
        return _Asked(columns, picks, judged)

    def _pairs(self, singles: _Asked) -> tuple[tuple[Positions, Positions] | None, bool]:
        """Every pair of changes, and that it is every one; where they are too many, what goes on from the best."""
        sizes = [len(picks) for picks in self._coarse]
        if len(sizes) < 2:
            return None, True
        if (sum(sizes) ** 2 - sum(size**2 for size in sizes)) // 2 > self._budget - self._asked:
            return self._onwards(singles), False
        columns, picks = [], []
        for first, second in combinations(range(len(sizes)), 2):
            pair = np.stack(np.meshgrid(self._coarse[first], self._coarse[second], indexing="ij"), -1).reshape(-1, 2)
            picks.append(pair)
            columns.append(np.broadcast_to([first, second], pair.shape))
        return (np.concatenate(columns), np.concatenate(picks)), True

    def _onwards(self, last: _Asked) -> tuple[Positions, Positions] | None:
        """The best of the last changes, each with one more column."""
        taken: dict[Change, None] = {}
        per_columns: dict[tuple[int, ...], int] = {}
        for row in np.argsort(last.judged.gap, kind="stable").tolist():
            if last.judged.met[row]:
                continue
            change = _change(last.columns[row], last.picks[row])
            own = tuple(column for column, _ in change)
            per_columns[own] = per_columns.get(own, 0) + 1
            if per_columns[own] <= _BEAM // 8:
                taken[change] = None
            if len(taken) == _BEAM:
                break
        singles, values = (array[:, 0] for array in _singles(self._coarse))
        room = max((self._budget - self._asked) // max(len(singles), 1), 1)
        columns, picks = [], []
        for change in list(taken)[:room]:
            others = ~np.isin(singles, [column for column, _ in change])
            more = np.tile(np.array(change), (int(others.sum()), 1, 1))
            columns.append(np.column_stack([more[:, :, 0], singles[others]]))
            picks.append(np.column_stack([more[:, :, 1], values[others]]))
        if not columns or not sum(map(len, columns)):
            return None
        return np.concatenate(columns), np.concatenate(picks)

    def _from_rows(self, singles: _Asked) -> set[Change]:
        """What is left of rows drawn at random that have the wanted answer, once their values are given back.

        Of many columns those are drawn that did most by themselves.
        """
        width = min(len(self._choices), _DRAWN_COLUMNS)
        order = np.argsort(singles.judged.gap, kind="stable")
        _, firsts = np.unique(singles.columns[order, 0], return_index=True)
        best = singles.columns[order[np.sort(firsts)], 0][:width]
        picks = np.stack([self._random.integers(0, len(self._choices[c].values), _DONORS) for c in best], axis=1)
        keep = self._random.random((_DONORS, width)) < self._random.choice([0.3, 0.6, 1.0], _DONORS)[:, None]
        picks = np.where(keep, picks, -1)
        columns = np.broadcast_to(best, picks.shape)
        drawn = self._ask(columns, picks)
        changes = [_change(drawn.columns[row], drawn.picks[row]) for row in np.flatnonzero(drawn.judged.met).tolist()]
        found = set()
        for change in sorted(changes, key=lambda each: (len(each), self.distance(each)))[:_STARTS]:
            left = self._given_back(change)
            if len(left) <= self._most:
                found.add(left)
            elif not self._beyond or len(left) < self._beyond:
                self._beyond = len(left)
        return found

    def _given_back(self, change: Change) -> Change:
        """The change without what is not needed for the answer."""
        while len(change) > 1 and not self._work.stopped:
            less = [change[:at] + change[at + 1 :] for at in range(len(change))]
            met = self._ask(*_arrays(less)).judged.met
            kept = [each for each, fits in zip(less, met.tolist(), strict=True) if fits]
            if not kept:
                break
            change = min(kept, key=lambda each: (self.distance(each), each))
        return change

    def _ordered(self, pool: set[Change]) -> list[Change]:
        """The nearest of each kind of change, touched up, the best first and then those least like them."""
        nearest: dict[Any, Change] = {}
        for change in sorted(pool, key=self._rank):
            nearest.setdefault(self._kind(change), change)
        chosen: list[Change] = []
        begun = sorted(nearest.values(), key=self._rank)
        left = dict.fromkeys(self._touched(change) for change in begun[: _TOUCHED * self._count])
        while left and len(chosen) < self._count:
            best = min(left, key=lambda each: (len(each), _overlap(each, chosen), self.distance(each), each))
            del left[best]
            if not any(
                self._kind(best) == self._kind(c) or set(self._kind(c)) <= set(self._kind(best)) for c in chosen
            ):
                chosen.append(best)
        return sorted(chosen, key=self._rank) if chosen else []

    def _touched(self, change: Change) -> Change:
        """The same kind of change as near as the values allow, and without what it does not need."""
        change = self._given_back(change)
        for _ in range(2):
            before = change
            for at, (column, pick) in enumerate(change):
                choice = self._choices[column]
                nearer = np.flatnonzero(choice.distances < choice.distances[pick])
                if not len(nearer) or self._work.stopped:
                    continue
                steps = [(*change[:at], (column, int(other)), *change[at + 1 :]) for other in nearer.tolist()]
                met = np.flatnonzero(self._ask(*_arrays(steps)).judged.met)
                if len(met):
                    change = min((steps[place] for place in met.tolist()), key=self.distance)
            if change == before:
                break
        return change

    def _rank(self, change: Change) -> tuple[int, float, Change]:
        return len(change), self.distance(change), change

    def _kind(self, change: Change) -> tuple[tuple[int, Any], ...]:
        """Which columns change, numbers up or down, others to what."""
        kind = []
        for column, pick in change:
            choice = self._choices[column]
            ordered = not choice.is_text and choice.own == choice.own
            kind.append((column, bool(choice.values[pick] > choice.own) if ordered else choice.values[pick]))
        return tuple(kind)


def _spread_out(choice: Choice, most: int) -> Positions:
    """Positions of at most `most` values: evenly over numbers, the first ones of texts."""
    count = len(choice.values)
    if count <= most or choice.is_text:
        return np.arange(min(count, most))
    if most == 1:
        return np.array([int(np.argmax(choice.distances))])
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _singles(picks: Sequence[Positions]) -> tuple[Positions, Positions]:
    """Each pick of each column, as arrays [N, 1]."""
    columns = np.concatenate([np.full(len(own), place) for place, own in enumerate(picks)])
    return columns[:, None], np.concatenate(picks)[:, None]


def _change(columns: Positions, picks: Positions) -> Change:
    steps = zip(columns.tolist(), picks.tolist(), strict=True)
    return tuple(sorted((column, pick) for column, pick in steps if pick >= 0))


def _arrays(changes: Sequence[Change]) -> tuple[Positions, Positions]:
    """Changes of equally many columns as arrays [N, d]."""
    both = np.array(changes, dtype=np.int64)
    return both[:, :, 0], both[:, :, 1]


def _overlap(change: Change, chosen: Sequence[Change]) -> float:
    """The largest share of columns that a change has in common with one chosen already (Jaccard)."""
    own = {column for column, _ in change}
    return max((len(own & (other := {c for c, _ in each})) / len(own | other) for each in chosen), default=0.0)
