"""Wrong labels planted in shared tables: precision, recall and area under the ROC curve, beside cleanlab's.

    python bench/data_labels.py --quick    # one seed: about a minute
    python bench/data_labels.py --full     # five seeds

Protocol. In 5 % of the rows, drawn by the seed, the label is replaced by another class, drawn evenly. Both get the very
same out-of-fold probabilities (five folds, `lepton.training.out_of_fold`) and the same labels; compared are the rows
that each calls wrong and the ranking of all rows. What is wrong in the tables to begin with counts as right, so that
the precisions are lower bounds. cleanlab runs in an environment of its own that this file makes with uv; where it
cannot be made, its figures are missing and the output says so.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from peers.environments import interpreter

from lepton.core import Work
from lepton.data import read
from lepton.data.quality import suspect_labels
from lepton.training import out_of_fold

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TABLES = {
    "iris": ("tabular/iris.csv", None, {}),
    "breast_cancer": ("medical/breast_cancer_wdbc.csv", "diagnosis", {}),
    "titanic": ("tabular/titanic.csv", "Survived", {}),
    "german_credit": ("tabular/german_credit.csv", "default", {}),
    "bank": ("tabular/bank-additional.csv", "y", {}),
}
PEER = """
import sys, numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
held = np.load(sys.argv[1])
issues = find_label_issues(held["labels"], held["probabilities"], n_jobs=1)
np.savez(sys.argv[2], issues=issues, scores=get_label_quality_scores(held["labels"], held["probabilities"]))
"""


def area(wrong, score):
    """Share of pairs of a wrong and a right row that are ranked rightly; ties count half."""
    order = np.argsort(score, kind="stable")
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    bad, good = wrong.sum(), (~wrong).sum()
    return float((ranks[wrong].sum() - bad * (bad + 1) / 2) / (bad * good))


def figures(wrong, found, score):
    hits = (wrong & found).sum()
    return {
        "precision": round(float(hits / max(found.sum(), 1)), 3),
        "recall": round(float(hits / wrong.sum()), 3),
        "area": round(area(wrong, score), 3),
        "found": int(found.sum()),
    }


def planted(path, target, seed):
    table = read(path)
    target = target or table.schema.names[-1]
    frame = table.frame()
    values = frame[target].cast(pl.String)
    classes = values.drop_nulls().unique().sort().to_list()
    draw = np.random.default_rng(seed)
    wrong = draw.random(len(values)) < 0.05
    labels = [
        draw.choice([c for c in classes if c != value]) if flip and value is not None else value
        for value, flip in zip(values, wrong, strict=True)
    ]
    dirty = frame.to_dict(as_series=False)
    dirty[target] = [None if label is None else f"is {label}" for label in labels]
    kinds = {name: table.schema[name].kind for name in table.schema.names} | {target: "category"}
    return read(dirty, kinds=kinds), target, wrong


def main(quick):
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        python, reason = interpreter("cleanlab", ["cleanlab"])
        if python is None:
            print(f"cleanlab: SKIPPED, its environment cannot be made: {reason}")
        for name, (path, target, _) in TABLES.items():
            if not (SHARED / path).exists():
                print(f"{name}: SKIPPED, the shared data is not here")
                continue
            for seed in range(1 if quick else 5):
                table, column, wrong = planted(SHARED / path, target, seed)
                out = out_of_fold(table, target=column, work=Work(seed=seed))
                wrong = wrong[out.rows]
                own = out.answers[np.arange(len(wrong)), out.truth]
                best = np.where(np.arange(out.answers.shape[1]) == out.truth[:, None], -1, out.answers).max(axis=1)
                found = np.zeros(len(wrong), bool)
                found[list(suspect_labels(out.truth, out.answers).rows)] = True
                row = {"table": name, "seed": seed, "rows": len(wrong), "lepton": figures(wrong, found, best - own)}
                if python is not None:
                    given, gives = Path(scratch) / "in.npz", Path(scratch) / "out.npz"
                    np.savez(given, labels=out.truth, probabilities=out.answers)
                    subprocess.run([str(python), "-c", PEER, str(given), str(gives)], check=True)
                    with np.load(gives) as held:
                        row["cleanlab"] = figures(wrong, held["issues"], -held["scores"])
                rows.append(row)
                print(json.dumps(row))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(not parser.parse_args().full)
