"""Training at its edges: the first model, a table of a million rows, and limits on size and latency.

    python bench/automl_scale.py --quick    # 3 first models, 1 large table, 10 limits: about 6 minutes
    python bench/automl_scale.py --full     # 9 first models, 2 times for the large table, 60 limits

First model: 10,000 rows x 20 columns of a CSV; seconds until a candidate beyond the baseline has its score, until the
file is saved where 2.5 s are allowed, and of the same from the shell, everything included. Large table: 1,000,000
rows x 30 columns of Parquet (25 numbers, 5 categories of 20 values); the memory is the sum of the proportional set
sizes of all processes, sampled ten times a second, against the table as a Polars frame. Limits: sizes and latencies
drawn at random; the share of runs whose file keeps both when it is measured again (the best of three times), those
that said that none does (`BudgetError`), and how much worse than a free model the kept ones are on rows that were left
out.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import lepton
from lepton.bundle import bundle_size, measure_latency, open_model
from lepton.core import BudgetError, Resources, parse_duration, time_allowed

LEPTON = str(Path(sys.executable).parent / "lepton")
FIRST = """
import sys, time
import lepton, lepton.training
from lepton.core import Work
class Reports:
    first = None
    def report(self, record):
        if self.first is None and record.best and not record.note.startswith("baseline"):
            self.first = time.perf_counter() - start
reports = Reports()
start = time.perf_counter()
lepton.train(sys.argv[1], target="y", output=sys.argv[2], work=Work(2.5, reporter=reports.report))
print(reports.first, time.perf_counter() - start)
"""


def table(num_rows, num_numbers, num_categories, seed=0):
    """A target of a few of the columns, some of them by steps and curves, and noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(num_rows, num_numbers))
    y = 2 * x[:, 0] + np.sin(3 * x[:, 1]) * x[:, 2] + (x[:, 3] > 0) * x[:, 4] + random.normal(size=num_rows)
    columns = {f"x{i}": x[:, i] for i in range(num_numbers)}
    values = np.array([f"value {i}" for i in range(20)])
    for i in range(num_categories):
        codes = random.integers(0, 20, num_rows)
        columns[f"k{i}"] = values[codes]
        y += 0.1 * (codes % 3)
    return pl.DataFrame(columns | {"y": y})


# --- the first model -------------------------------------------------------------------------------------------


def first_model(folder, runs):
    table(10_000, 16, 4).write_csv(folder / "small.csv")
    times = {"a candidate beyond the baseline": [], "saved, after imports": [], "saved, from the shell": []}
    for _ in range(runs):
        command = [sys.executable, "-c", FIRST, str(folder / "small.csv"), str(folder / "m.lepton")]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        times["a candidate beyond the baseline"].append(float(told[0]) if told[0] != "None" else np.inf)
        times["saved, after imports"].append(float(told[1]))
        start = time.perf_counter()
        words = ["train", str(folder / "small.csv"), "--target", "y", "--within", "3.5s", "-q"]
        subprocess.run([LEPTON, *words, "-o", str(folder / "m.lepton")], check=True, stdout=subprocess.DEVNULL)
        times["saved, from the shell"].append(time.perf_counter() - start)
    print("| first model of 10,000 rows | seconds (median, worst) | target |\n|---|--:|--:|")
    for (name, seconds), target in zip(times.items(), ("3", "3", "6"), strict=True):
        print(f"| {name} | {statistics.median(seconds):.2f}, {max(seconds):.2f} | {target} |", flush=True)


# --- a million rows --------------------------------------------------------------------------------------------


def family(pid):
    """A process and all that came of it."""
    found = [pid]
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += family(int(child))
    except OSError:
        pass  # it has ended meanwhile
    return found


def proportional_size(pid):
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return 1024 * int(re.search(r"^Pss:\s+(\d+)", told, re.MULTILINE)[1])


def large_table(folder, times):
    frame = table(1_000_000, 25, 5)
    size, deviation = frame.estimated_size(), frame["y"].std()
    frame.write_parquet(folder / "large.parquet")
    del frame
    unseen = table(100_000, 25, 5, seed=1)
    print("\n| 1,000,000 rows x 30 columns | seconds, allowed | memory of all processes | rmse of 100,000 other rows |")
    print("|---|--:|--:|--:|")
    for within in times:
        words = ["train", str(folder / "large.parquet"), "--target", "y", "--within", within, "-q"]
        start, peak = time.perf_counter(), 0
        running = subprocess.Popen([LEPTON, *words, "-o", str(folder / "l.lepton")], stdout=subprocess.DEVNULL)
        while running.poll() is None:
            peak = max(peak, sum(map(proportional_size, family(running.pid))))
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        if running.returncode:
            print(
                f"| within {within} | ended with exit code {running.returncode} after {seconds:.1f} s | | |", flush=True
            )
            continue
        found = np.asarray(lepton.load(folder / "l.lepton").predict(unseen))
        error = np.sqrt(np.mean((found - unseen["y"].to_numpy()) ** 2))
        print(
            f"| within {within} | {seconds:.1f}, {time_allowed(parse_duration(within)):.0f} |"
            f" {peak / 1e6:.0f} MB, {peak / size:.1f} x the table ({size / 1e6:.0f} MB) |"
            f" {error:.3f} (mean {deviation:.3f}) |",
            flush=True,
        )


# --- limits ----------------------------------------------------------------------------------------------------


def of_task(task, num_rows, seed):
    frame = table(num_rows, 8, 2, seed)
    if task == "regression":
        return frame
    edges = [0.0] if task == "binary" else [-1.5, 1.5]
    names = np.array(["low", "middle", "high"])
    return frame.with_columns(y=pl.Series(names[np.searchsorted(edges, frame["y"].to_numpy())]))


def loss(model, frame):
    found = model.evaluate(frame).metrics
    return found["rmse" if model.task == "regression" else "log_loss"].value


def limits(folder, runs):
    random = np.random.default_rng(0)
    kept = said = broken = 0
    costs = []
    free = {}
    for run in range(runs):
        task = ("regression", "binary", "multiclass")[run % 3]
        effort = ("fast", "good")[run // 3 % 2]
        train, test = of_task(task, 2_000, run % 3), of_task(task, 4_000, 100 + run % 3)
        options = {"target": "y", "effort": effort, "within": "14s"}
        if (task, effort) not in free:
            free[task, effort] = loss(lepton.train(train, **options, output=folder / "f.lepton"), test)
        size = int(np.exp(random.uniform(np.log(9e3), np.log(4e5))))
        latency = float(np.exp(random.uniform(np.log(3e-4), np.log(1e-2))))
        path = folder / "b.lepton"
        try:
            model = lepton.train(train, **options, max_size=size, max_latency=latency, output=path)
        except BudgetError:
            said += 1
            continue
        rows, opened = test.drop("y").head(256), open_model(path, resources=Resources(cpus=1))
        p99 = min(measure_latency(opened, rows).p99 for _ in range(3))  # other work on the machine is not the model's
        if bundle_size(path) <= size and p99 <= latency:
            kept += 1
            costs.append(loss(model, test) / free[task, effort] - 1.0)
        else:
            broken += 1
            print(f"broken: {size} B, {latency * 1e6:.0f} us; {bundle_size(path)} B, {p99 * 1e6:.0f} us")
    quartiles = statistics.quantiles(costs, n=4) if len(costs) > 1 else [np.nan] * 3
    print(
        "\n| limits on size and latency | kept on the file | said that none does | broken | loss against a free model |"
    )
    print("|---|--:|--:|--:|---|")
    print(
        f"| {runs} runs | {kept} | {said} | {broken} | median {quartiles[1]:+.1%}, quartiles {quartiles[0]:+.1%} to"
        f" {quartiles[2]:+.1%} |"
    )


def main(full):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first_model(folder, 9 if full else 3)
        large_table(folder, ("60s", "5m") if full else ("60s",))
        limits(folder, 60 if full else 10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(parser.parse_args().full)
