"""How long `lepton verify` takes: 30 rules on 100,000 rows of 30 columns, against the bound of 60 s on two cores.

The table is made here: twelve numbers, some of them skewed, correlated or with holes, twelve categories of 2 to 40
values, two booleans, two dates, a code that says nothing and a group of people that is no input; the label depends on
some of them and on a pair. LightGBM learns from 30,000 other rows by `lepton.train`. The rules are of every kind that
a table can be judged by. Printed are the whole, with its spread, and each rule by itself: what several rules share
(the answers, the metrics) is counted where it was asked for first.

    python bench/trust_verify.py [--quick] [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import polars as pl

import lepton
from lepton.core import Resources, Work
from lepton.evaluation.verify import rules_of, verify

MOST_SECONDS = 60.0
NUM_RULES = 30

RULES = [
    {"metric": {"metric": "roc_auc", "least": 0.7}},
    {"metric": {"metric": "accuracy", "least": 0.6}},
    {"metric": {"metric": "log_loss", "most": 0.7}},
    {"better_than_baseline": {}},
    {"calibration": {"most": 0.1}},
    {"segments": {"column": "region", "metric": "accuracy", "least": 0.5}},
    {"weak_slices": {"most_loss": 0.2, "max_conditions": 2}},
    {"fairness": {"column": "people", "measure": "selection_rate_difference", "most": 0.5}},
    {"fairness": {"column": "people", "measure": "equalised_odds_difference", "most": 0.5}},
    {"fairness": {"column": "people", "measure": "calibration_difference", "most": 0.5}},
    {"group_sizes": {"column": "people", "least": 100}},
    {"robustness": {"test": "noise", "strength": 2, "most_loss": 0.2}},
    {"robustness": {"test": "missing_cells", "strength": 2, "most_loss": 0.3}},
    {"metamorphic": {"change": {"number_0": "+1"}, "answer": "not_decreasing", "most_share": 0.5}},
    {"membership": {"most": 0.3}},
    {"finite_answers": {}},
    {"varied_answers": {}},
    {"latency": {"p99": "50ms", "blocks": 3}},
    {"size": {"most": "20MB"}},
    {"runtime": {"onnxruntime": "1.25", "most_opset": 30}},
    {"reproducible": {}},
    {"lineage": {}},
    {"doubts": {"if_unknown": "pass"}},
    {"rows": {"least": 10_000}},
    {"rows_per_label": {"least": 1_000}},
    {"missing": {"most": 0.5}},
    {"unseen": {"most": 0.05}},
    {"drift": {"most_psi": 0.25}},
    {"shared_rows": {"most": 0.01}},
    {"giveaways": {}},
]


def table(rows: int, seed: int) -> pl.DataFrame:
    """Rows of 30 columns, the label and the group."""
    draw = np.random.default_rng(seed)
    common = draw.normal(size=rows)
    columns: dict[str, object] = {}
    for place in range(12):
        values = 0.6 * common * (place % 3 == 0) + draw.normal(size=rows)
        values = np.exp(values) if place % 4 == 1 else values
        column = pl.Series(np.round(values, 4))
        columns[f"number_{place}"] = column.set(pl.Series(draw.random(rows) < 0.03 * (place % 5)), None)
    for place in range(12):
        size = (2, 3, 5, 8, 12, 40)[place % 6]
        shares = 1 / np.arange(1, size + 1)
        codes = draw.choice(size, rows, p=shares / shares.sum())
        columns["region" if place == 2 else f"kind_{place}"] = [f"{'abcdefghijkl'[place]}{code}" for code in codes]
    columns["is_new"], columns["is_home"] = draw.random(rows) < 0.3, draw.random(rows) < 0.6
    start = np.datetime64("2024-01-01T00:00:00")
    for name in ("opened", "seen"):
        moments = start + draw.integers(0, 600 * 86_400, rows).astype("timedelta64[s]")
        columns[name] = moments.astype("datetime64[us]")
    columns["steps"], columns["visits"] = draw.poisson(4, rows), draw.integers(0, 1000, rows)
    frame = pl.DataFrame(columns)
    score = (
        0.9 * frame["number_0"].fill_null(0).to_numpy()
        - 0.5 * np.minimum(frame["number_1"].fill_null(1).to_numpy(), 4)
        + 0.7 * (frame["region"].to_numpy() == "c0")
        + 0.8 * frame["is_new"].to_numpy() * (frame["number_3"].fill_null(0).to_numpy() > 0)
    )
    label = draw.random(rows) < 1 / (1 + np.exp(-score))
    people = np.where(draw.random(rows) < 0.4 + 0.1 * (common > 0), "north", "south")
    return frame.with_columns(pl.Series("bought", np.where(label, "yes", "no")), pl.Series("people", people))


def main() -> None:
    """Train once, verify several times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path, help="file to keep the model in, or to take it from")
    options = parser.parse_args()
    rows, repeats = 100_000, 1 if options.quick else options.repeats
    training, test = table(30_000, 1), table(rows, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = options.model or Path(folder) / "bought.lepton"
        if not path.exists():
            lepton.train(training.drop("people"), target="bought", learners=["lightgbm"], within="30s").save(path)
        model = lepton.load(path)
        rules = rules_of(RULES)
        assert len(rules) == NUM_RULES
        given, learned = lepton.read(test), lepton.read(training)
        spent, worked, found = [], [], None
        for _ in range(repeats):
            began, cpu = time.perf_counter(), time.process_time()
            work = Work(resources=Resources(cpus=2))
            found = verify(model.predictor, given, rules, training=learned, work=work)
            spent.append(time.perf_counter() - began)
            worked.append(time.process_time() - cpu)
    assert found is not None
    print(found.text())
    print("\nseconds  rule")
    for each in found.results:
        print(f"{each.seconds:7.2f}  {each.title}")
    middle = statistics.median(spent)
    print(
        f"\nverify, {len(rules)} rules, {rows:,} rows x 30 columns: {middle:.1f} s "
        f"({min(spent):.1f} to {max(spent):.1f} in {repeats}), {middle / MOST_SECONDS:.2f} of {MOST_SECONDS:.0f} s, "
        f"{statistics.median(worked):.1f} s of processor time; "
        f"{len(found.failed)} failed, {len(found.unknown)} unknown"
    )


if __name__ == "__main__":
    main()
