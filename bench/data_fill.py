"""Cells hidden in shared tables: how near the steps that fill come, beside scikit-learn's imputers.

    python bench/data_fill.py --quick    # one seed, half a minute
    python bench/data_fill.py --full     # five seeds

Protocol. In every column of numbers, booleans or categories 10 % of the known cells, drawn by the seed, are hidden, all
columns at once. Each way learns from and fills the table with the holes. For numbers the figure is the root mean square
error on the hidden cells over the standard deviation of the column, for the others the share of hidden cells that come
back wrong; each is the mean over the columns. `IterativeImputer` (ridge, ten rounds) and `KNNImputer` (five neighbours)
see the numbers alone, as they do not take texts. Identifiers, texts and dates are left out.

Then isolation forests: 2 % of rows whose values are drawn column by column from others (so far in no single column),
told apart by our forest and scikit-learn's: area under the ROC curve on the same rows.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import polars as pl

from lepton.core import Kind
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.recipes.isolation import IsolationForest, grow

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TABLES = (
    "medical/breast_cancer_wdbc.csv",
    "tabular/titanic.csv",
    "tabular/german_credit.csv",
    "tabular/california_housing.csv",
)
KINDS = (Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY)
MOST_ROWS = 20_000


def area(positive, score):
    order = np.argsort(score, kind="stable")
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return float(
        (ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2) / (positive.sum() * (~positive).sum())
    )


def with_holes(frame, seed):
    random = np.random.default_rng(seed)
    holes = {name: (random.random(frame.height) < 0.1) & frame[name].is_not_null().to_numpy() for name in frame.columns}
    return frame.with_columns(frame[name].set(pl.Series(hole), None) for name, hole in holes.items()), holes


def errors(frame, filled, holes):
    """Mean relative error of the numbers and mean share of wrong others; None where there are none of them."""
    numbers, others = [], []
    for name, hole in holes.items():
        if name not in filled.columns or not hole.any():
            continue
        truth, found = frame[name].filter(pl.Series(hole)), filled[name].filter(pl.Series(hole))
        if frame[name].dtype.is_numeric():
            scale = float(frame[name].std() or 0.0)
            if scale:
                numbers.append(float(np.sqrt(((truth - found).cast(pl.Float64) ** 2).mean())) / scale)
        else:
            others.append(float((truth != found).fill_null(True).mean()))
    return [round(float(np.mean(each)), 3) if each else None for each in (numbers, others)]


def fills(path, seed):
    table = read(path)
    names = [column.name for column in table.schema if column.kind in KINDS]
    frame = table.select(names).frame().head(MOST_ROWS)
    kinds = {name: str(table.schema[name].kind) for name in names}
    holed, holes = with_holes(frame, seed)
    rows = read(holed, kinds=kinds)
    found = {}
    for label, recipe in (
        ("median and mode", Recipe().fill((), "median").fill((), "mode")),
        ("fill_model", Recipe().fill_model()),
    ):
        start = time.perf_counter()
        made = recipe.fit_transform(rows).frame()
        found[label] = [*errors(frame, made, holes), round(time.perf_counter() - start, 2)]
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - as scikit-learn wants it
    from sklearn.impute import IterativeImputer, KNNImputer

    numbers = [name for name in names if frame[name].dtype.is_numeric()]
    matrix = holed.select(pl.col(numbers).cast(pl.Float64)).to_numpy()
    for label, imputer in (("IterativeImputer", IterativeImputer(random_state=seed)), ("KNNImputer", KNNImputer())):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = pl.DataFrame(imputer.fit_transform(matrix), schema=numbers)
        found[label] = [errors(frame, made, holes)[0], None, round(time.perf_counter() - start, 2)]
    return found


def forests(path, seed):
    from sklearn.ensemble import IsolationForest as Peer

    table = read(path)
    names = [column.name for column in table.schema if column.kind is Kind.NUMBER]
    values = table.frame().select(pl.col(names).cast(pl.Float64)).drop_nulls().head(MOST_ROWS).to_numpy()
    random = np.random.default_rng(seed)
    far = random.random(len(values)) < 0.02
    for column in range(values.shape[1]):
        values[far, column] = random.choice(values[:, column], int(far.sum()))
    ours = IsolationForest(grow(values, trees=100, rows=256, seed=seed), values.shape[1])
    ours.lengths(values[:1])  # reads the trees
    start = time.perf_counter()
    score = -ours.lengths(values)
    took = time.perf_counter() - start
    peer = Peer(random_state=seed).fit(values)
    start = time.perf_counter()
    theirs = -peer.score_samples(values)
    seconds = (took, time.perf_counter() - start)
    return {
        "ours": round(area(far, score), 3),
        "scikit-learn": round(area(far, theirs), 3),
        "microseconds a row": [round(each / len(values) * 1e6, 2) for each in seconds],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    seeds = range(5) if parser.parse_args().full else range(1)
    for name in TABLES:
        path = SHARED / name
        if not path.is_file():
            continue
        for seed in seeds:
            figures = {"table": name, "seed": seed, "fills": fills(path, seed), "forests": forests(path, seed)}
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
