"""Drawn Shapley values: whether their intervals hold, and what they cost beside shap's model-agnostic explainers.

    python bench/trust_shapley.py --quick    # about 3 minutes
    python bench/trust_shapley.py --quick --part cost --rows 1000    # about 8 minutes
    python bench/trust_shapley.py --full     # 1,000 rows of 30 columns; about an hour

Intervals: models of 6, 9 and 12 columns (boosted trees and a network, as probabilities) are explained by all coalitions
and by drawing with several budgets; told is the share of contributions within the stated 95 % interval.

Cost: a network and boosted trees of 30 columns, against a background of 100 rows. The reference is a long run of
another seed. shap's Permutation, Kernel and Partition explainers are given a function that answers whole batches (the
same ONNX graph on the same onnxruntime, one thread) in an environment of their own. Told are root mean squared errors,
rows that the model was asked for, and seconds; then, for the best of shap at each of its errors, how many times as long
shap takes as Lepton at the same error, between Lepton's budgets on a straight line in logarithms.
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
BACKGROUND = 100


def table(rows, columns, seed):
    """Columns of numbers that partly go together, and a score with products, steps and waves."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, columns))
    x[:, 1] = 0.7 * x[:, 0] + 0.7 * x[:, 1]
    score = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + (x[:, 3] > 0.5) * x[:, 4] + 0.4 * x[:, 5:].sum(axis=1)
    return x, (score + random.normal(size=rows) > 0).astype(int)


def model_of(kind, columns, path):
    """A source model, learned on one thread, as an opened model file."""
    x, y = table(4_000, columns, 0)
    if kind == "trees":
        import lightgbm

        model = lightgbm.LGBMClassifier(n_estimators=60, num_leaves=15, n_jobs=1, verbose=-1).fit(x, y)
    else:
        from sklearn.neural_network import MLPClassifier

        model = MLPClassifier((64, 32), max_iter=30, random_state=0).fit(x, y)
    path.unlink(missing_ok=True)
    lepton.import_model(model, output=path)
    return open_model(path, resources=Resources(cpus=1))


def rows_of(predictor, count, seed):
    """Rows as a matrix and as a frame with the model's columns."""
    names = [column.name for column in predictor.manifest.inputs]
    x = table(count, len(names), seed)[0]
    return x, pl.DataFrame(x, schema=names)


def coverage(folder, num_rows):
    """Share of contributions within their interval, by model and budget."""
    print("intervals against all coalitions: share within, by pairs of walks")
    shares = []
    for columns in (6, 9, 12):
        for kind in ("trees", "network"):
            predictor = model_of(kind, columns, folder / "small.lepton")
            frame, data = rows_of(predictor, num_rows, 1)[1], lepton.read(rows_of(predictor, BACKGROUND, 2)[1])
            exact = explain_table(predictor, frame, data=data, log_odds=False, method="enumeration")
            told = []
            for walks in (4, 16, 64):
                inside = []
                for seed in range(5):
                    found = explain_table(
                        predictor,
                        frame,
                        data=data,
                        log_odds=False,
                        method="sampling",
                        samples=walks * 2 * (columns - 1),
                        seed=seed,
                    )
                    inside.append((np.abs(found.values - exact.values) <= found.margins + 1e-12).mean())
                told.append(f"{walks}: {np.mean(inside):.3f} ({min(inside):.3f}-{max(inside):.3f})")
                shares.append(np.mean(inside))
            print(f"  {kind:8} {columns:3} columns  " + "  ".join(told))
    print(f"  least {min(shares):.3f}, mean {np.mean(shares):.3f}")


def error(values, reference):
    return float(np.sqrt(((values - reference) ** 2).mean()))


def own_runs(predictor, given, walks):
    """(walks, error, asked, seconds) of Lepton."""
    frame, data, reference = given
    runs = []
    for count in walks:
        start = time.perf_counter()
        found = explain_table(
            predictor,
            frame,
            data=data,
            log_odds=False,
            method="sampling",
            samples=count * 2 * (frame.width - 1),
            seed=7,
        )
        runs.append((count, error(found.values[:, :, 0], reference), found.evaluations, time.perf_counter() - start))
    return runs


def cost(python, folder, num_rows, kinds, reference_walks, budgets):
    """Errors, evaluations and seconds of both sides, and their ratio at equal error."""
    for kind in kinds:
        predictor = model_of(kind, 30, folder / "wide.lepton")
        x, frame = rows_of(predictor, num_rows, 1)
        background, shown = rows_of(predictor, BACKGROUND, 2)
        data = lepton.read(shown)
        samples = reference_walks * 2 * (frame.width - 1)
        long = explain_table(predictor, frame, data=data, log_odds=False, method="sampling", samples=samples, seed=99)
        reference = long.values[:, :, 0]
        print(
            f"{kind}: {num_rows} rows of 30 columns; contributions are {np.sqrt((reference**2).mean()):.4f}, the "
            f"reference errs by {np.sqrt((long.errors**2).mean()):.5f} at most"
        )
        own = own_runs(predictor, (frame, data, reference), (2, 4, 8, 16, 32, 64, 100, 200))
        for count, wrong, asked, seconds in own:
            print(f"  lepton      {count:5} walks  error {wrong:.5f}  asked {asked:10,}  {seconds:7.2f} s")
        errors, times = (np.log([run[place] for run in own])[::-1] for place in (1, 3))
        asked_of = np.log([run[2] for run in own])[::-1]
        best, ratios = {}, {}
        for explainer, most in budgets:
            job, out = folder / "job.pkl", folder / "out.npz"
            given = {
                "graph": predictor.bundle.graph,
                "output": "probabilities",
                "rows": x,
                "background": background,
                "explainer": explainer,
                "most": most,
                "seed": 1,
            }
            job.write_bytes(pickle.dumps(given))
            done = subprocess.run(
                [str(python), str(PEER), "batched", str(job), str(out)], check=False, capture_output=True, text=True
            )
            if done.returncode:
                print(f"  {explainer:11} {most:5} failed: {done.stderr.strip()[-200:]}")
                continue
            peer = np.load(out)
            wrong, seconds, asked = error(peer["values"], reference), float(peer["times"][0]), int(peer["asked"][0])
            longer = seconds / np.exp(np.interp(np.log(wrong), errors, times))
            more = asked / np.exp(np.interp(np.log(wrong), errors, asked_of))
            if longer < ratios.get(explainer, (np.inf,))[0]:
                ratios[explainer] = (longer, more)
            best[explainer] = min(best.get(explainer, np.inf), wrong)
            print(
                f"  {explainer:11} {most:5}        error {wrong:.5f}  asked {asked:10,}  {seconds:7.2f} s  "
                f"= {longer:.1f} x the time, {more:.1f} x the rows asked of Lepton at that error"
            )
        if ratios:
            least = min(ratios, key=lambda name: ratios[name][0])
            print(f"  {kind}: the best of shap is {least}: {ratios[least][0]:.1f} x the time at equal error")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--part", choices=["coverage", "cost"])
    parser.add_argument("--rows", type=int, help="that are explained, for the cost")
    given = parser.parse_args()
    python, why = interpreter("shap", PACKAGES)
    if python is None:
        sys.exit(f"no peer: {why}")
    with tempfile.TemporaryDirectory() as folder:
        if given.part != "cost":
            coverage(Path(folder), 25 if given.full else 4)
        if given.part != "coverage":
            budgets = [("permutation", 61), ("kernel", 64), ("kernel", 256), ("partition", 64)]
            if given.full:
                budgets += [("permutation", 244), ("kernel", 1024), ("partition", 500)]
            rows, reference = (1_000, 1_000) if given.full or given.rows else (20, 2_000)
            rows = given.rows or rows
            cost(python, Path(folder), rows, ("network", "trees"), reference, budgets)


main()
