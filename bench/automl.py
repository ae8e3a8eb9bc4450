"""The search against AutoGluon, FLAML and LightGBM tuned by Optuna: same splits, same cores, same time, one run.

    python bench/automl.py --quick              # 4 tables, 2 splits, 60 s each, the three strongest peers: 35 minutes
    python bench/automl.py --full               # 8 tables, 3 splits, 60 s each, all peers: 3 hours
    python bench/automl.py --within 20 --tables heart --splits 1

Each system has an environment of its own, made with uv in bench/out/peers and kept; one that cannot be made is skipped,
and the output says so. AutoGluon that fits its folds one after the other is clearly stronger on two
cores than as shipped. Reported for each: its mean rank, its loss on rows that no system saw, the time fitting took,
what it leaves to keep, the time of one row (a table of one row, warm) and the peak memory. "Worse" and "better" count
where the paired 95 % interval of the loss ratio over all splits of a table excludes 1.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import polars as pl
from automl_scale import family, proportional_size
from peers.environments import interpreter

from lepton.bundle import bundle_size, measure_latency, open_model
from lepton.core import Kind, Resources, Role, Work
from lepton.data import read
from lepton.evaluation import metric as metric_named
from lepton.training import Leaderboard, train

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("SHARED_DATA", HERE.parents[1] / "shared" / "data"))
TABLES = {  # name: file, target, columns that give the answer away
    "houses": ("tabular/california_housing.csv", "median_house_value", ()),
    "adult": ("tabular/adult-train.csv", "column_15", ()),
    "ocean": ("tabular/california_housing.csv", "ocean_proximity", ()),
    "heart": ("medical/heart_cleveland.csv", "classe", ()),
    "bikes": ("tabular/bikeshare.csv", "count", ("casual", "registered")),
    "credit": ("tabular/german_credit.csv", "default", ()),
    "titanic": ("tabular/titanic.csv", "Survived", ()),
    "jobs": ("tabular/bank-additional.csv", "job", ()),
}
TOLD = {"capture_output": True, "text": True}
STRONGEST = ("lightgbm-optuna", "flaml", "autogluon-best-sequential")
QUICK = ("houses", "adult", "bikes", "credit")
ENVIRONMENTS = {  # of each system: name, what is installed
    "autogluon": ["torch==2.13.0", "autogluon.tabular[lightgbm,catboost,xgboost,fastai]>=1.6,<1.7"],
    "flaml": ["flaml[automl]>=2.7,<2.8"],
    "optuna": ["lightgbm", "optuna", "scikit-learn", "pandas"],
}
SYSTEMS = {
    "lightgbm-optuna": "optuna",
    "flaml": "flaml",
    "autogluon-good": "autogluon",
    "autogluon-best": "autogluon",
    "autogluon-best-sequential": "autogluon",
}


@contextlib.contextmanager
def sampled_memory():
    """Bytes of this process and all that came of it, five times a second."""
    sizes, ends = [], threading.Event()

    def sample():
        while not ends.wait(0.2):
            sizes.append(sum(map(proportional_size, family(os.getpid()))))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield sizes
    finally:
        ends.set()
        thread.join()


def ours(learned, test, target, within, seed, folder, effort):
    """Answers of Lepton and what they cost."""
    path = folder / "model.lepton"
    start = time.monotonic()
    with sampled_memory() as sizes:
        train(learned, target=target, work=Work(within, seed=seed), effort=effort, output=path)
        seconds = time.monotonic() - start
    predictor = open_model(path, resources=Resources(cpus=1))
    rows = test.frame().select([column.name for column in predictor.manifest.inputs])
    outputs = predictor.outputs(rows)
    board = Leaderboard.from_report(predictor.bundle.reports["training"])
    chosen = next(row for row in board.rows if row.chosen)
    labels = predictor.manifest.labels
    facts = {
        "seconds": seconds,
        "bytes": bundle_size(path),
        "predict_us": measure_latency(predictor, rows, blocks=3, calls=200).p50 * 1e6,
        "peak_mb": max(sizes) / 1e6,
        "chosen": f"{chosen.learner}: {chosen.configuration}",
        "promised": chosen.metric,
        "labels": None if labels is None else [str(label) for label in labels],
    }
    return outputs["prediction" if labels is None else "probabilities"], facts


def theirs(system, python, files, target, task, within, seed, texts, folder):
    """Answers of a peer and what they cost."""
    for part, frame in files.items():
        frame.write_csv(folder / f"{part}.csv")
    call = {"system": system, "target": target, "task": task, "within": within, "seed": seed, "texts": texts}
    (folder / "call.json").write_text(json.dumps({**call, "folder": str(folder)}), "utf-8")
    done = subprocess.run(
        [str(python), str(HERE / "peers" / "automl_peer.py"), str(folder / "call.json")],
        check=False,
        **TOLD,
        timeout=4 * within + 120,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed")
    return np.load(folder / "answers.npy"), json.loads((folder / "facts.json").read_text("utf-8"))


def split(name, seed):
    file, target, hidden = TABLES[name]
    table = read(SHARED / file).with_roles(dict.fromkeys(hidden, Role.IGNORED))
    method = "random" if table.schema[target].kind is Kind.NUMBER else "stratified"
    learned, test = table.split(test=0.2, method=method, by=None if method == "random" else target, seed=seed)
    return table, target, learned, test


def loss_of(task, test, target, answers, labels):
    """Root mean squared error, or log-loss with the columns in the order of the labels."""
    truth = test.frame()[target]
    if labels is None:
        return metric_named("rmse", task)(truth.cast(pl.Float64).to_numpy(), np.asarray(answers).ravel())
    codes = truth.cast(pl.String).replace_strict(list(labels), list(range(len(labels))), return_dtype=pl.Int64)
    answers = np.clip(answers, 1e-15, None)
    answers = answers / answers.sum(axis=1, keepdims=True)
    return metric_named("log_loss", task)(codes.to_numpy(), answers, labels=range(len(labels)))


def one_split(name, seed, within, systems, effort):
    """The losses and costs of every system on one split."""
    table, target, learned, test = split(name, seed)
    used = [c for c in table.schema if c.role in {"feature", "target"} and c.kind is not Kind.IDENTIFIER]
    names = list(dict.fromkeys([*(c.name for c in used), target]))
    texts = [c.name for c in used if c.kind in {Kind.CATEGORY, Kind.TEXT}]
    files = {"train": learned.frame().select(names), "test": test.frame().select(names)}
    rows = {}
    for system, python in {"lepton": None, **systems}.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            try:
                if python is None:
                    answers, facts = ours(learned, test, target, within, seed, folder, effort)
                    model = open_model(folder / "model.lepton")
                    task = model.manifest.task
                else:
                    answers, facts = theirs(system, python, files, target, task, within, seed, texts, folder)
                facts["loss"] = loss_of(task, test, target, answers, facts["labels"])
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"  {name} split {seed} {system}: FAILED, {str(error)[:200]}", flush=True)
                continue
        rows[system] = facts
        print(
            f"  {name} split {seed} {system:26} {facts['loss']:.5g}  {facts['seconds']:5.1f} s"
            f"  {facts['bytes'] / 1000:9.0f} kB  {facts['predict_us']:8.0f} us  {facts['peak_mb']:6.0f} MB"
            + (f"  promised {facts['promised']:.5g}, {facts['chosen']}" if "promised" in facts else ""),
            flush=True,
        )
    return rows


def summary(results, within):
    """Mean ranks, and the ratio of our loss to each peer's with its paired interval over splits."""
    splits = [rows for table in results.values() for rows in table if len(rows) > 1]
    systems = list(dict.fromkeys(system for rows in splits for system in rows))
    ranks = {system: [] for system in systems}
    for rows in splits:
        ordered = sorted(rows, key=lambda system: rows[system]["loss"])
        for place, system in enumerate(ordered):
            ranks[system].append(place + 1)
    print(f"\n{'system':26} mean rank  over {within:g} s by  largest kB  slowest us")
    for system in sorted(systems, key=lambda system: np.mean(ranks[system])):
        own = [rows[system] for rows in splits if system in rows]
        late = max(row["seconds"] for row in own) - within
        print(
            f"{system:26} {np.mean(ranks[system]):9.2f} {late:10.1f} s {max(row['bytes'] for row in own) / 1000:13.0f}"
            f" {max(row['predict_us'] for row in own):11.0f}"
        )
    for name, table in results.items():
        for system in systems:
            logs = [np.log(rows["lepton"]["loss"] / rows[system]["loss"]) for rows in table if system in rows]
            if system != "lepton" and len(logs) > 1:
                half = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}[len(logs)] * np.std(logs, ddof=1) / np.sqrt(len(logs))
                low, mid, high = np.exp([np.mean(logs) - half, np.mean(logs), np.mean(logs) + half])
                verdict = "WORSE" if low > 1 else "better" if high < 1 else "not different"
                print(f"{name:10} lepton / {system:26} {mid:.4f} ({low:.4f} to {high:.4f})  {verdict}")
    promised = [rows["lepton"]["promised"] / rows["lepton"]["loss"] for rows in splits if "lepton" in rows]
    if promised:
        print(f"promised over seen, mean of {len(promised)} splits: {np.exp(np.mean(np.log(promised))):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="four tables, two splits (the default)")
    size.add_argument("--full", action="store_true", help="all tables, three splits")
    parser.add_argument("--tables", nargs="*", choices=TABLES, help="these tables only")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, help="these peers only")
    parser.add_argument("--splits", type=int, help="splits of each table, at most 5")
    parser.add_argument("--within", type=float, default=60.0, help="seconds for each training")
    parser.add_argument("--effort", default="best", choices=("fast", "good", "best"))
    options = parser.parse_args()
    systems = {}
    wanted = options.systems if options.systems is not None else SYSTEMS if options.full else STRONGEST
    for system in wanted:
        python, reason = interpreter(SYSTEMS[system], ENVIRONMENTS[SYSTEMS[system]])
        if python is None:
            print(f"{system}: SKIPPED, its environment cannot be made: {reason}")
        else:
            systems[system] = python
    results = {}
    for name in options.tables or (TABLES if options.full else QUICK):
        if not (SHARED / TABLES[name][0]).exists():
            print(f"{name}: SKIPPED, the shared data is not here")
            continue
        splits = options.splits or (3 if options.full else 2)
        results[name] = [one_split(name, seed, options.within, systems, options.effort) for seed in range(splits)]
    summary(results, options.within)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    report = {
        "bench": "automl",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "architecture": platform.machine(), "load": os.getloadavg()[0]},
        "within": options.within,
        "effort": options.effort,
        "results": results,
    }
    (out / "automl.json").write_text(json.dumps(report, indent=1), "utf-8")


if __name__ == "__main__":
    main()
