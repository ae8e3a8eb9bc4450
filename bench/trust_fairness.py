"""Fairness of groups: against fairlearn's definitions, and how often the intervals hold the truth.

    python bench/trust_fairness.py --quick      # 200 draws: about a minute
    python bench/trust_fairness.py              # 1,000 draws

Prints, first, the greatest difference from fairlearn 0.12 over tables of random labels, answers, weights and groups
(selection rate, equal opportunity, equalised odds: difference and ratio; precision: difference); fairlearn lives in an
environment of its own, which is made in bench/out/peers. Then the share of draws in which the 95 % interval of the
greatest difference holds the true one, for 2, 5 and 12 groups that do not differ, that differ, and of unequal sizes;
beside it that of the plain percentiles of the resampled difference. Last, seconds for 100,000 rows.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np
import polars as pl
from peers.environments import interpreter

from lepton.evaluation.answers import Answers
from lepton.evaluation.fairness import fairness
from lepton.evaluation.fairness.rates import Family, difference_of, resampled_rates

PEER = ["fairlearn==0.12.0", "scikit-learn<1.7", "scipy<1.16"]
MEASURES = (
    "selection_rate_difference",
    "selection_rate_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalised_odds_difference",
    "equalised_odds_ratio",
    "predictive_parity_difference",
)
THEIRS = r"""
import json, sys, warnings
warnings.filterwarnings("ignore")
from fairlearn import metrics as m
from sklearn.metrics import precision_score
out = []
for t in json.load(sys.stdin):
    y, p, g, w = t["y"], t["p"], t["g"], t["w"]
    k = dict(sensitive_features=g, sample_weight=w)
    frame = m.MetricFrame(metrics=precision_score, y_true=y, y_pred=p, sensitive_features=g,
                          sample_params={"sample_weight": w})
    out.append([m.demographic_parity_difference(y, p, **k), m.demographic_parity_ratio(y, p, **k),
                m.equal_opportunity_difference(y, p, **k), m.equal_opportunity_ratio(y, p, **k),
                m.equalized_odds_difference(y, p, **k), m.equalized_odds_ratio(y, p, **k), frame.difference()])
print(json.dumps(out))
"""


def answers_of(true, given, group, weight=None):
    """Answers of a binary model without probabilities."""
    names = pl.DataFrame({"group": [f"g{each:02}" for each in group.tolist()]})
    return Answers("binary", "y", (0, 1), true, given, None, weight, None, names)


def tables(number, seed=0):
    """Random tables of 2 to 6 groups with weights."""
    for turn in range(number):
        rng = np.random.default_rng([seed, turn])
        rows, groups = int(rng.integers(400, 1_500)), int(rng.integers(2, 7))
        group = rng.integers(0, groups, rows)
        true = (rng.random(rows) < rng.uniform(0.2, 0.8, groups)[group]).astype(np.int64)
        given = np.where(rng.random(rows) < 0.7, true, rng.integers(0, 2, rows)).astype(np.int64)
        weight = rng.uniform(0.1, 3, rows) if turn % 2 else np.ones(rows)
        yield true, given, group, weight


def against_fairlearn(number):
    """The greatest difference over all tables and measures."""
    python, why = interpreter("fairlearn", PEER)
    if python is None:
        print(f"fairlearn: not compared ({why})")
        return
    drawn = list(tables(number))
    asked = json.dumps([dict(zip("ypgw", (part.tolist() for part in each), strict=True)) for each in drawn])
    done = subprocess.run([python, "-c", THEIRS], input=asked, capture_output=True, text=True, check=True)
    worst = 0.0
    for each, theirs in zip(drawn, json.loads(done.stdout), strict=True):
        measures = fairness(answers_of(*each), ["group"]).columns["group"].measures
        ours = [measures[name].value for name in MEASURES]
        worst = max(worst, *(abs(one - other) for one, other in zip(ours, theirs, strict=True)))
    print(f"fairlearn 0.12: {len(drawn)} tables x {len(MEASURES)} measures, greatest difference {worst:.1e}")


def coverage(draws):
    """How often the interval of the greatest difference holds the true one."""
    for groups in (2, 5, 12):
        for what, rates in (("alike", np.full(groups, 0.4)), ("apart", np.linspace(0.3, 0.5, groups))):
            for sizes in ("equal", "unequal"):
                held = plain = 0
                shares = np.full(groups, 1.0) if sizes == "equal" else np.linspace(1, 8, groups)
                group = np.repeat(np.arange(groups), (120 * shares / shares.min()).astype(int))
                truth = float(np.ptp(rates))
                for turn in range(draws):
                    rng = np.random.default_rng([7, groups, turn])
                    values = (rng.random(len(group)) < rates[group]).astype(np.float64)
                    family = Family("rate", values, np.ones(len(group), dtype=bool))
                    found = resampled_rates([family], group, groups, seed=turn)["rate"]
                    told = difference_of([found])
                    held += told.lower - 1e-12 <= truth <= told.upper
                    low, high = np.quantile(np.ptp(found.drawn, axis=1), [0.025, 0.975])
                    plain += low - 1e-12 <= truth <= high
                print(
                    f"coverage, {groups:>2} groups {what}, {sizes} sizes: {held / draws:.3f}, "
                    f"percentiles {plain / draws:.3f}"
                )


def seconds():
    """Time for 100,000 rows and 5 groups."""
    rng = np.random.default_rng(0)
    true, group = rng.integers(0, 2, 100_000), rng.integers(0, 5, 100_000)
    given = np.where(rng.random(100_000) < 0.8, true, 1 - true)
    asked, times = answers_of(true, given, group), []
    for _ in range(3):
        start = time.perf_counter()
        fairness(asked, ["group"])
        times.append(time.perf_counter() - start)
    print(f"100,000 rows, 5 groups: {statistics.median(times):.1f} s ({min(times):.1f} to {max(times):.1f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    against_fairlearn(20 if quick else 100)
    coverage(200 if quick else 1_000)
    seconds()
