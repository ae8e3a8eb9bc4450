"""How much smaller and faster models of tables become, and what that costs: the steps of trees alone.

    python bench/lean_tables.py --quick    # adult, houses, bikes; about 12 minutes on one core
    python bench/lean_tables.py --full     # and titanic, credit, iris

Of each table a quarter is held out. Two models learn the rest: LightGBM of 300 trees of 31 leaves, imported, and what
`lepton.train` finds in its time. Each is taught to forests of fewer and fewer leaves (`refit-trees`), whose leaves then
share 120 values in single precision (`narrow-leaves`); the rows that taught are those that the model was trained on.
Size is that of the file without `training/` and reports, time the median of a row. Loss is in points of accuracy, or in
percent of the RMSE.
"""

import argparse
import tempfile
import time
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl

import lepton
from lepton.bundle import bundle_size, open_model
from lepton.core import Resources, Work
from lepton.evaluation import metric
from lepton.evaluation.answers import gather
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.rows import Rows
from lepton.optimization.lean.steps.narrow_leaves import NarrowLeaves
from lepton.optimization.lean.steps.refit_trees import RefitTrees

TABLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
]
QUICK, FULL = ("adult", "houses", "bikes"), ("adult", "houses", "bikes", "titanic", "credit", "iris")
WORK = Work(seed=0, resources=Resources(cpus=1))
CALLS = 2_000


def table_of(name):
    """A table, shuffled, and its target."""
    if name == "adult":
        table = pl.read_csv(TABLES / "adult-train.csv", has_header=False, new_columns=ADULT, infer_schema=False)
        table, target = table.with_columns(pl.all().str.strip_chars()).drop_nulls(), "income"
        table = table.with_columns(pl.col("age", "fnlwgt", "^.*_num$", "^capital.*$", "hours_per_week").cast(pl.Int64))
    elif name == "bikes":
        table, target = pl.read_csv(TABLES / "bikeshare.csv").drop("casual", "registered"), "count"
    else:
        file, target = {
            "houses": ("california_housing.csv", "median_house_value"),
            "titanic": ("titanic.csv", "Survived"),
            "credit": ("german_credit.csv", "default"),
            "iris": ("iris.csv", None),
        }[name]
        table = pl.read_csv(TABLES / file)
        target = target or table.columns[-1]
    return table.sample(fraction=1.0, shuffle=True, seed=0), target


def numbered(table, target):
    """The same with whole numbers for texts, as LightGBM takes them."""
    for name in table.columns:
        if table[name].dtype == pl.String and (name != target):
            codes = {value: float(code) for code, value in enumerate(table[name].drop_nulls().unique().sort())}
            table = table.with_columns(pl.col(name).replace_strict(codes, default=None, return_dtype=pl.Float64))
    if table[target].dtype == pl.String:
        labels = table[target].unique().sort().to_list()
        table = table.with_columns(pl.col(target).replace_strict(labels, range(len(labels)), return_dtype=pl.Int64))
    return table


def boosted(learned, target, path):
    """LightGBM on a table of numbers, imported."""
    few = learned[target].n_unique() <= 10
    kind = lightgbm.LGBMClassifier if few else lightgbm.LGBMRegressor
    features = learned.drop(target)
    model = kind(n_estimators=300, num_leaves=31, learning_rate=0.06, verbosity=-1, n_jobs=1)
    model.fit(features.to_numpy().astype(float), learned[target].to_numpy(), feature_name=features.columns)
    return lepton.import_model(model, target=target, output=path)


def rows_of(predictor, table, target, folder):
    """Rows as steps take them."""
    path = folder / "rows.csv"
    table.write_csv(path)
    dataset = lepton.read(path)
    return Rows(predictor.inputs.tensors(dataset.frame(), extra="ignore"), gather(predictor, dataset, target=target))


def measured(draft, rows, folder):
    """Bytes, microseconds of a row, and accuracy in points or RMSE."""
    path = folder / "draft.lepton"
    draft.write(path)
    predictor = open_model(path)
    answers = rows.judged(predictor)
    first = {name: tensor[:1] for name, tensor in rows.tensors.items()}
    times = []
    for _ in range(CALLS):
        start = time.perf_counter_ns()
        predictor.run(first)
        times.append(time.perf_counter_ns() - start)
    if answers.labels:
        score = 100.0 * float((answers.predicted == answers.y).mean())
    else:
        score = float(np.sqrt(((answers.predicted - answers.y) ** 2).mean()))
    return bundle_size(path), float(np.median(times)) / 1e3, score


def smaller(subject, held, folder, name):
    """Print a line for each size of forest."""
    refit, narrow = RefitTrees(), NarrowLeaves()
    size, latency, score = measured(subject.original, held, folder)
    told = f"| {name} | as it came | {size:,} | | {latency:.1f} µs | | {score:.5g} | |"
    print(told, flush=True)
    if reason := refit.refuses(subject, subject.original):
        print(f"| {name} | {reason} | | | | | | |")
        return
    for setting in refit.settings(subject, subject.original):
        draft = refit.apply(subject, subject.original, setting, WORK)
        draft = narrow.apply(subject, draft, narrow.settings(subject, draft)[2], WORK)
        bytes_now, latency_now, score_now = measured(draft, held, folder)
        lost = score - score_now if held.answers.labels else 100.0 * (score_now / score - 1.0)
        print(
            f"| {name} | {setting.text} | {bytes_now:,} | {size / bytes_now:.1f} | {latency_now:.1f} µs |"
            f" {latency / latency_now:.1f} | {score_now:.5g} | {lost:+.2f} |",
            flush=True,
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--within", default="60s", help="time of each training")
    asked = parser.parse_args()
    print("| model | what | bytes | × smaller | a row | × faster | score | lost |\n|---|---|---|---|---|---|---|---|")
    for name in FULL if asked.full else QUICK:
        table, target = table_of(name)
        part = len(table) * 3 // 4
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for kind in ("lightgbm", "lepton.train"):
                source = numbered(table, target) if kind == "lightgbm" else table
                path = folder / f"{kind}.lepton"
                if kind == "lightgbm":
                    boosted(source[:part], target, path)
                else:
                    source[:part].write_csv(folder / "learn.csv")
                    lepton.train(folder / "learn.csv", target=target, within=asked.within, output=path)
                predictor = open_model(path)
                learn, held = (rows_of(predictor, each, target, folder) for each in (source[:part], source[part:]))
                judged = metric(None, predictor.bundle.manifest.task)
                subject = Subject(Draft.of(predictor.bundle), learn, held, judged)
                smaller(subject, held, folder, f"{name}, {kind}")


if __name__ == "__main__":
    main()
