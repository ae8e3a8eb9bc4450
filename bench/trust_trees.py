"""Exact Shapley values of trees from the graph's own attributes, against shap.TreeExplainer on the source model.

    python bench/trust_trees.py --quick    # 150 and 500 rows, about 3 minutes
    python bench/trust_trees.py --full     # 1,000 rows, larger forests

LightGBM, XGBoost and a forest of scikit-learn learn a table of 30 columns and are imported. Lepton explains rows of the
model file against a background of 100 rows; shap explains the same rows with the model as its library made it
(interventional, raw output), in an environment of its own. Told are the seconds of both, making the explainer included
(for Lepton: opening nothing, reading the graph included), their ratio, and how far apart the contributions are.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from environments import interpreter

import lepton
from lepton.bundle import open_model
from lepton.core import Resources
from lepton.evaluation.explain import explain_table

PACKAGES = ("shap==0.51.0", "lightgbm", "xgboost-cpu", "scikit-learn", "onnxruntime")
PEER = Path(__file__).resolve().parent / "peers" / "explain_peer.py"
NUM_COLUMNS, NUM_BACKGROUND = 30, 100


def table(rows, seed):
    """Columns of numbers, some missing, and a target of products, steps and waves."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, NUM_COLUMNS))
    score = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + (x[:, 3] > 0.5) * x[:, 4] + 0.5 * x[:, 5:12].sum(axis=1)
    return x, score + random.normal(size=rows)


def models(x, y, names, few):
    """The source models, learned on one thread."""
    import lightgbm
    import xgboost
    from sklearn.ensemble import RandomForestRegressor

    labels = (y > 0).astype(int)
    made = {
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=200, n_jobs=1, verbose=-1).fit(x, labels),
        "xgboost": lambda: xgboost.XGBClassifier(n_estimators=200, max_depth=6, n_jobs=1).fit(x, labels),
        "forest": lambda: RandomForestRegressor(few, max_depth=10, n_jobs=1, random_state=0).fit(x, y),
        "deep forest": lambda: RandomForestRegressor(few // 2, n_jobs=1, min_samples_leaf=5, random_state=0).fit(x, y),
    }
    for name in names:
        yield name, made[name]()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--models", nargs="*", default=["lightgbm", "xgboost", "forest", "deep forest"])
    given = parser.parse_args()
    python, why = interpreter("shap", PACKAGES)
    if python is None:
        sys.exit(f"no peer: {why}")
    sizes, repeats, few = ((1_000,), 5, 100) if given.full else ((150, 500), 3, 40)
    x, y = table(8_000, 0)
    background = table(NUM_BACKGROUND, 2)[0]
    print(f"rows x {NUM_COLUMNS} columns, background {NUM_BACKGROUND}; seconds, median of {repeats} (spread)")
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models(x, y, given.models, few):
            path = Path(folder) / "model.lepton"
            path.unlink(missing_ok=True)
            lepton.import_model(model, output=path)
            for num_rows in sizes:
                compare(name, model, path, table(num_rows, 1)[0], background, repeats, python)


def compare(name, model, path, rows, background, repeats, python):
    """One line: the model file explained by Lepton, the model of its library by shap, the same rows."""
    predictor = open_model(path, resources=Resources(cpus=1))
    columns = [column.name for column in predictor.manifest.inputs]
    frame = pl.DataFrame(rows, schema=columns)
    data = lepton.read(pl.DataFrame(background, schema=columns))
    own = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = explain_table(predictor, frame, data=data, method="graph")
        own.append(time.perf_counter() - start)
    job, out = path.with_name("job.pkl"), path.with_name("out.npz")
    job.write_bytes(pickle.dumps({"model": model, "rows": rows, "background": background, "repeats": repeats}))
    subprocess.run([str(python), str(PEER), "trees", str(job), str(out)], check=True, stderr=subprocess.DEVNULL)
    peer = np.load(out)
    values = peer["values"].reshape(len(rows), NUM_COLUMNS)
    apart = np.abs(found.values[:, :, 0] - values).max() / np.abs(values).max()
    mine, theirs = np.median(own), np.median(peer["times"])
    print(
        f"{name:12} {len(rows):5,} rows  lepton {mine:7.2f} ({min(own):.2f}-{max(own):.2f})  shap {theirs:7.2f} "
        f"({peer['times'].min():.2f}-{peer['times'].max():.2f})  ratio {mine / theirs:5.2f}  apart {apart:.1e}",
        flush=True,
    )


main()
