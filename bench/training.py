"""Default training against LightGBM with its defaults, on the same splits of real tables.

    python bench/training.py --quick        # four tables, five splits, 30 s each: about 10 minutes on two cores
    python bench/training.py --full         # ten tables, five splits, 60 s each

Prints, for each table, the ratio of the losses (below 1: Lepton is better) with its paired 95 % interval over the
splits, and writes everything to bench/out/training.json. "Worse" counts where the interval lies wholly above 1.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for both: see docs/decisions/0054

import lightgbm
import numpy as np
import onnxruntime
import polars as pl

from lepton.bundle import TableInputs, read_bundle
from lepton.core import Kind, Role, Work
from lepton.data import read
from lepton.evaluation import metric as metric_named
from lepton.training import train
from lepton.training.table_model import versions

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TABLES = {  # name: file, target, columns that give the answer away
    "houses": ("tabular/california_housing.csv", "median_house_value", ()),
    "adult": ("tabular/adult-train.csv", "column_15", ()),
    "ocean": ("tabular/california_housing.csv", "ocean_proximity", ()),
    "heart": ("medical/heart_cleveland.csv", "classe", ()),
    "bikes": ("tabular/bikeshare.csv", "count", ("casual", "registered")),
    "credit": ("tabular/german_credit.csv", "default", ()),
    "titanic": ("tabular/titanic.csv", "Survived", ()),
    "jobs": ("tabular/bank-additional.csv", "job", ()),
    "iris": ("tabular/iris.csv", "column_5", ()),
    "cancer": ("medical/breast_cancer_wdbc.csv", "diagnosis", ()),
}
QUICK = ("houses", "adult", "ocean", "heart")
NUM_SPLITS = 5
T_QUANTILE = 2.776  # 97.5 % of Student's t with NUM_SPLITS - 1 degrees of freedom


def lepton_answers(dataset, test, target, within, seed):
    """Answers of Lepton's default training to the test rows, and what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.lepton"
        start = time.monotonic()
        result = train(dataset, target=target, work=Work(within, seed=seed), output=path)
        seconds = time.monotonic() - start
        bundle = read_bundle(path)
        session = onnxruntime.InferenceSession(bundle.graph, providers=["CPUExecutionProvider"])
        tensors = TableInputs(bundle.manifest.inputs, bundle.manifest.codecs).tensors(test.frame(), "ignore")
        answers = session.run(["probabilities" if bundle.manifest.labels else "prediction"], tensors)[0]
        chosen = next(row for row in result.leaderboard if row.chosen)
        facts = {
            "seconds": seconds,
            "bytes": path.stat().st_size,
            "chosen": f"{chosen.learner}: {chosen.configuration}",
            "validation": chosen.metric,
            "predict_us": chosen.predict_us,
        }
        return bundle.manifest.task, bundle.manifest.labels, answers, facts


def lightgbm_answers(dataset, test, target, task, labels, seed):
    """Answers of LightGBM with its defaults, categories given as such, as its documentation advises."""
    columns = [c for c in dataset.schema if c.name != target and c.kind is not Kind.IDENTIFIER and c.role == "feature"]
    start = time.monotonic()
    features, codes = [], []
    for column in columns:
        learned, asked = dataset.frame()[column.name], test.frame()[column.name]
        if learned.dtype == pl.String:
            known = learned.drop_nulls().unique().sort().to_list()
            places = list(range(len(known)))
            learned, asked = (
                s.replace_strict(known, places, default=None, return_dtype=pl.Float64) for s in (learned, asked)
            )
            codes.append(len(features))
        features.append(tuple(s.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy() for s in (learned, asked)))
    y = positions(dataset.frame()[target], labels)
    parameters = {"objective": task, "seed": seed, "verbosity": -1, "num_class": len(labels) if len(labels) > 2 else 1}
    data = lightgbm.Dataset(np.column_stack([f[0] for f in features]), y, categorical_feature=codes)
    answers = lightgbm.train(parameters, data).predict(np.column_stack([f[1] for f in features]))
    if task == "binary":
        answers = np.column_stack([1 - answers, answers])
    return answers, time.monotonic() - start


def positions(values, labels):
    if not labels:
        return values.cast(pl.Float64).to_numpy()
    if values.dtype == pl.Boolean:
        values = values.cast(pl.String)
    return values.replace_strict(list(labels), list(range(len(labels))), return_dtype=pl.Int64).to_numpy()


def compare(name, within):
    file, target, hidden = TABLES[name]
    table = read(SHARED / file)
    table = table.with_roles(dict.fromkeys(hidden, Role.IGNORED))
    rows = []
    for seed in range(NUM_SPLITS):
        method = "random" if table.schema[target].kind is Kind.NUMBER else "stratified"
        learned, test = table.split(test=0.2, method=method, by=None if method == "random" else target, seed=seed)
        task, labels, ours, facts = lepton_answers(learned, test, target, within, seed)
        labels = labels or ()
        theirs, their_seconds = lightgbm_answers(learned, test, target, task, labels, seed)
        loss = metric_named(None, task)
        y = positions(test.frame()[target], labels)
        scores = [loss(y, answer, labels=range(len(labels))) for answer in (ours, theirs)]
        rows.append({"seed": seed, "lepton": scores[0], "lightgbm": scores[1], **facts, "their_seconds": their_seconds})
        print(
            f"  {name} split {seed}: {scores[0]:.5g} against {scores[1]:.5g},"
            f" {facts['seconds']:.1f} s, {facts['chosen']}"
        )
    logs = np.log([row["lepton"] / row["lightgbm"] for row in rows])
    half = T_QUANTILE * logs.std(ddof=1) / np.sqrt(len(logs))
    low, mid, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return {"table": name, "task": task, "metric": loss.name, "ratio": mid, "lower": low, "upper": high, "splits": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="four tables (the default)")
    size.add_argument("--full", action="store_true", help="all tables")
    parser.add_argument("--tables", nargs="*", choices=TABLES, help="these tables only")
    parser.add_argument("--within", type=float, help="seconds for each training")
    options = parser.parse_args()
    within = options.within or (60.0 if options.full else 30.0)
    results = [compare(name, within) for name in options.tables or (TABLES if options.full else QUICK)]
    print(f"\n{'table':10} {'task':11} {'metric':9} ratio (95 % interval)      seconds     kB")
    for result in results:
        seconds = max(row["seconds"] for row in result["splits"])
        size_kb = np.median([row["bytes"] for row in result["splits"]]) / 1000
        interval = f"{result['ratio']:.4f} ({result['lower']:.4f} to {result['upper']:.4f})"
        verdict = "WORSE" if result["lower"] > 1 else "better" if result["upper"] < 1 else "not different"
        print(
            f"{result['table']:10} {result['task']:11} {result['metric']:9} {interval:27} {seconds:6.1f}"
            f" {size_kb:8.0f}  {verdict}"
        )
    report = {
        "bench": "training",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "architecture": platform.machine(), "load": os.getloadavg()[0]},
        "versions": versions(),
        "within": within,
        "results": results,
    }
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "training.json").write_text(json.dumps(report, indent=1), "utf-8")


if __name__ == "__main__":
    main()
