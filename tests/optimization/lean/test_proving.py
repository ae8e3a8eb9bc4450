"""Looks at the rows of the proof: they go on from what holds, end with what does not, and claim wrongly once in 100."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.core import Resources, Work
from lepton.optimization.lean import proving
from lepton.optimization.lean.proof import LEVEL, LOOKS, score_bound
from lepton.optimization.lean.proving import Proof, reserve_of
from tests.optimization.lean.test_goal import GOAL, draft


class Looked:
    """What stands for a candidate on the rows of the proof."""

    def __init__(self, candidate, holds):
        self.candidate, self.holds, self.kept = candidate, holds, holds


def made_proof(monkeypatch, holding, *, slow=()):
    """A proof in which the candidates of some numbers hold, and some are too slow when they are timed."""
    asked: list[tuple[int, float]] = []

    def look(self, candidate, folder, level):
        asked.append((candidate.number, level))
        self._looks += 1
        return Looked(candidate, candidate.number in holding)

    def timed(self, seen):
        seen.kept = seen.holds and seen.candidate.number not in slow
        seen.missed, seen.verdicts = 0.0 if seen.holds else 1.0, ()
        return seen

    monkeypatch.setattr(Proof, "_look", look)
    monkeypatch.setattr(Proof, "_timed", timed)
    monkeypatch.setattr(Proof, "_left", lambda self, ranked, proven, last: [
        each for each in ranked[1:] if each.loss.upper < proven.candidate.loss.upper
    ])  # fmt: skip
    nothing: Any = None
    return Proof(nothing, nothing, GOAL, (), Path(), Work(), 1e-5), asked


class Searched:
    """A search that is over."""

    def __init__(self, drafts):
        self.drafts = drafts

    def ranked(self):
        return sorted(self.drafts, key=GOAL.rank)

    def milder(self, candidate, work):
        return None


DRAFTS = [draft(1, 600, 0.0, 0.0002), draft(2, 300, 0.0, 0.0011), draft(3, 150, 0.0, 0.0022)]
FIRST = LEVEL * LOOKS[0]


@pytest.mark.parametrize(
    ("holding", "taken", "looks"),
    [
        ({1, 2, 3}, 3, [(1, FIRST), (2, FIRST), (3, FIRST)]),
        ({1, 2}, 2, [(1, FIRST), (2, FIRST), (3, FIRST)]),
        ({1, 3}, 1, [(1, FIRST), (2, FIRST)]),  # what comes behind one that failed is not looked at
    ],
)
def test_looks_end_with_the_first_that_fails(monkeypatch, holding, taken, looks):
    proof, asked = made_proof(monkeypatch, holding)
    proven, count = proof.best_of(Searched(DRAFTS), None)
    assert proven.candidate.number == taken
    assert asked == looks
    assert count == len(looks)


def test_one_that_is_slower_when_timed_gives_way(monkeypatch):
    proof, _ = made_proof(monkeypatch, {1, 2, 3}, slow={3})
    assert proof.best_of(Searched(DRAFTS), None)[0].candidate.number == 2


def test_where_the_first_fails_milder_ones_have_the_rest_of_the_level(monkeypatch):
    proof, asked = made_proof(monkeypatch, {9})
    drafts = [draft(7, 500, 0.0, 0.0018), draft(8, 600, 0.0, 0.00179), draft(9, 990, 0.0, 0.00178, pace=0.99)]
    proven, _ = proof.best_of(Searched(drafts), None)
    assert [level for _, level in asked] == pytest.approx([LEVEL * share for share in LOOKS])
    assert proven.candidate.number == 9


def test_all_looks_together_claim_wrongly_once_in_a_hundred_at_most():
    """Drafts that lose a little more than they may, each in rows of its own: one claim is enough to be wrong."""
    generator, limit, rows, runs = np.random.default_rng(3), 0.005, 7_500, 5_000
    lost = ((0.0, 0.002), (0.0052, 0.012), (0.0055, 0.02), (0.006, 0.03))  # loss, share of rows that change
    wrong = 0
    counts = [
        generator.multinomial(rows, [(share + loss) / 2, (share - loss) / 2, 1 - share], runs) for loss, share in lost
    ]
    limits = {}
    for run in range(runs):
        for (loss, _), drawn in zip(lost, counts, strict=True):
            key = tuple(drawn[run][:2])
            if key not in limits:
                limits[key] = score_bound(int(key[0]), int(key[1]), rows, FIRST) <= limit
            if not limits[key]:
                break
            if loss > limit:
                wrong += 1
                break
    assert wrong / runs <= LEVEL * (LOOKS[0] + 0.3)


def test_time_for_looks_is_kept_back():
    short, long = (reserve_of(0.001, 5_000, Work(within=within, resources=Resources(cpus=1))) for within in (10, 1_000))
    assert 7 < short < long
    assert proving._calls(0.001, Work(within=10)) < proving._calls(0.001, Work(within=1_000)) == 1_000
