"""Whether weak parts of the rows are found where they are, and none are told where there are none.

Protocol. Tables: one made here (numbers, categories, a truth value, dates, missing cells) and the shared tables that
are there: two labels (adult, credit, titanic), several (jobs, ocean) and numbers (houses, bikes). Models: of each table
the best that `lepton.train` finds in ten seconds on half the rows, and the best on 400 of them, both judged on the
other half.

False alarms: the answers, together with their truth, are dealt to the rows at random, so no column can say where the
model is wrong, while losses and columns keep their real distributions. A run in which any part is told is an alarm.

Recall: into answers dealt so, a weak part is planted: one, two or three conditions on columns drawn at random (a range
of numbers or dates, a value, a truth value, missing) that hold for 4 to 20 % of the rows and at least 250 of them. In
it the share of wrong labels is raised by 30 points (or to 100 %), keeping how sure the answers are, or the errors of
numbers are doubled. It is found if a part is told that shares half of the rows of both together (intersection over
union at least 0.5). The same is planted into the real order of the rows too, where the model has weak parts of its own
that overlap with it ("in place").

The time is that of `find_slices` on 100,000 rows x 30 columns.

    python bench/trust_slices.py --quick
"""

from __future__ import annotations

import argparse
import math
import pickle
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from automl import SHARED, TABLES

from lepton.bundle import open_model
from lepton.core import Role, Work
from lepton.data import read
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.weak import find_slices
from lepton.training import train

REAL = ("adult", "credit", "titanic", "jobs", "ocean", "houses", "bikes")
LEAST, SHARES, POINTS = 250, (0.04, 0.20), 0.3


def made_columns(num_rows: int, num_columns: int, random: np.random.Generator) -> pl.DataFrame:
    """Numbers, two of three of them related or skewed, categories, a truth value and dates, some missing."""
    columns: dict[str, pl.Series] = {}
    for number in range(num_columns):
        name = f"c{number}"
        kind = number % 6
        if kind == 0:
            column = pl.Series(random.normal(size=num_rows))
        elif kind == 1:
            column = pl.Series(np.exp(random.normal(size=num_rows)).round(2))
        elif kind == 2:
            shares = random.dirichlet(np.full(12, 0.7))
            column = pl.Series(random.choice([f"v{i}" for i in range(12)], num_rows, p=shares))
        elif kind == 3:
            column = pl.Series(random.random(num_rows) < 0.3)
        elif kind == 4:
            days = random.integers(0, 8_000, num_rows).astype("timedelta64[D]")
            column = pl.Series(np.datetime64("2000-01-01") + days)
        else:
            column = pl.Series(random.poisson(3.0, num_rows))
        if number % 4 == 1:
            column = column.scatter(np.flatnonzero(random.random(num_rows) < 0.1), None)
        columns[name] = column
    return pl.DataFrame(columns)


def made_answers(task: str, num_rows: int, num_columns: int, seed: int) -> Answers:
    """Answers whose losses no column explains."""
    random = np.random.default_rng([seed, 9])
    frame = made_columns(num_rows, num_columns, random)
    if task == "regression":
        predicted = random.normal(size=num_rows)
        y = predicted + random.standard_t(4, num_rows) * 0.5
        return Answers(task, "y", (), y, predicted, None, None, None, frame)
    labels = ("no", "yes") if task == "binary" else ("a", "b", "c", "d")
    raw = random.normal(scale=2.0, size=(num_rows, len(labels)))
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    y = (shares.cumsum(axis=1) < random.random(num_rows)[:, None]).sum(axis=1)
    return Answers(task, "y", labels, y, shares.argmax(axis=1), shares, None, None, frame)


def real_answers(name: str, few: bool) -> Answers | None:
    """Answers of a model trained on half a shared table, or on 400 rows, to the other half; None without the table."""
    file, target, hidden = TABLES[name]
    if not (SHARED / file).exists():
        return None
    table = read(SHARED / file).with_roles(dict.fromkeys(hidden, Role.IGNORED))
    learn, judge = table.split(test=0.5, method="random", seed=0)
    if few:
        _, learn = learn.split(test=min(0.9, 400 / learn.num_rows), method="random", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.lepton"
        train(learn, target=target, output=path, work=Work("10s", seed=0))
        predictor = open_model(path)
        return gather(predictor, judge, columns=[each.name for each in predictor.manifest.inputs])


def dealt(answers: Answers, seed: int) -> Answers:
    """The same answers given to other rows."""
    order = np.random.default_rng([seed, 1]).permutation(answers.num_rows)
    shares = answers.probabilities
    moved = None if shares is None else shares[order]
    return replace(answers, y=answers.y[order], predicted=answers.predicted[order], probabilities=moved)


def condition(column: pl.Series, share: float, random: np.random.Generator) -> np.ndarray:
    """Rows of a condition that holds for about a share of them."""
    there = column.drop_nulls()
    if column.null_count() > LEAST and random.random() < 0.15:
        return column.is_null().to_numpy()
    if column.dtype == pl.Boolean or column.dtype == pl.String:
        values = there.value_counts(name="rows").filter(pl.col("rows") >= LEAST)
        if not values.height:
            return np.zeros(len(column), dtype=bool)
        value = values[column.name][int(random.integers(values.height))]
        return (column == value).fill_null(False).to_numpy()
    numbers = column.to_physical().cast(pl.Float64).fill_null(math.nan).to_numpy()
    start = random.random() * (1.0 - min(share, 1.0))
    lower, upper = np.nanquantile(numbers, [start, min(1.0, start + share)])
    return (numbers >= lower) & (numbers <= upper)


def planted(answers: Answers, seed: int) -> tuple[Answers, np.ndarray, int]:
    """Answers that are worse in a part of the rows, the part, and how many conditions it has."""
    random = np.random.default_rng([seed, 2])
    frame, num_rows = answers.columns, answers.num_rows
    for _ in range(2_000):
        wanted = math.exp(random.uniform(*np.log(SHARES)))
        number = int(random.integers(1, 4))
        names = random.choice(frame.columns, min(number, frame.width), replace=False)
        part = np.ones(num_rows, dtype=bool)
        for name in names:
            own = condition(frame[name], wanted ** (1 / number), random)
            if (part & ~own).sum() < 0.2 * part.sum():  # a condition that shuts out nothing is none
                part[:] = False
            part &= own
        if part.sum() >= LEAST and SHARES[0] <= part.mean() <= SHARES[1]:
            break
    else:
        raise ValueError("no part of that size")
    if answers.labels and answers.probabilities is not None:
        y = answers.y.copy()
        right = part & (y == answers.predicted)
        struck = np.flatnonzero(right & (random.random(num_rows) < POINTS * part.sum() / max(right.sum(), 1)))
        y[struck] = (y[struck] + random.integers(1, len(answers.labels), len(struck))) % len(answers.labels)
        return replace(answers, y=y), part, len(names)
    error = answers.y - answers.predicted
    return replace(answers, y=answers.predicted + np.where(part, 2.0 * error, error)), part, len(names)


def hit(found: tuple, part: np.ndarray) -> bool:
    return any((each.rows & part).sum() >= 0.5 * (each.rows | part).sum() for each in found)


def share_of(count: int, total: int) -> str:
    """A share with its 95 % interval (Wilson 1927)."""
    z, p = 1.96, count / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return f"{count}/{total} = {p:.3f} ({max(0.0, middle - reach):.3f} to {min(1.0, middle + reach):.3f})"


def cases(quick: bool) -> dict[str, Answers]:
    out = {}
    for task in ("binary", "multiclass", "regression"):
        out[f"made {task}"] = made_answers(task, 6_000, 12, 0)
    for name in ("jobs", "houses") if quick else REAL:
        for few in (True,) if quick else (False, True):
            answers = real_answers(name, few)
            if answers is not None:
                out[f"{name}{', 400 rows' if few else ''}"] = answers
    return out


def kept_cases(quick: bool, path: Path | None) -> dict[str, Answers]:
    """The cases, read from a file that an earlier run has written, or made and written there."""
    if path is not None and path.exists():
        with path.open("rb") as file:
            return pickle.load(file)
    made = cases(quick)
    if path is not None:
        path.write_bytes(pickle.dumps(made))
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=0, help="deals of each case for false alarms; half for recall")
    parser.add_argument("--kept", type=Path, help="file for the answers of the models, which are then trained once")
    given = parser.parse_args()
    seeds = given.seeds or (10 if given.quick else 40)
    sums = {"false alarms": [0, 0], "recall": [0, 0], "recall in place": [0, 0]}
    by_number = {number: [0, 0] for number in (1, 2, 3)}
    print(f"{'case':28} {'rows':>7} {'columns':>7} {'alarms':>9} {'recall':>9} {'in place':>9}")
    for name, answers in kept_cases(given.quick, given.kept).items():
        counts = {key: [0, 0] for key in sums}
        for seed in range(seeds):
            empty = dealt(answers, seed)
            counts["false alarms"][0] += bool(find_slices(empty, seed=seed).found)
            counts["false alarms"][1] += 1
            if answers.num_rows * SHARES[1] < 2 * LEAST or 2 * seed >= seeds:
                continue
            for key, base in (("recall", empty), ("recall in place", answers)):
                worse, part, number = planted(base, seed)
                right = hit(find_slices(worse, seed=seed).found, part)
                counts[key][0] += right
                counts[key][1] += 1
                if key == "recall":
                    by_number[number][0] += right
                    by_number[number][1] += 1
        for key, (count, total) in counts.items():
            sums[key][0] += count
            sums[key][1] += total
        told = " ".join(f"{f'{a}/{b}':>9}" for a, b in counts.values())
        print(f"{name:28} {answers.num_rows:>7,} {answers.columns.width:>7} {told}", flush=True)
    for key, (count, total) in sums.items():
        print(f"{key}: {share_of(count, total)}")
    for number, (count, total) in by_number.items():
        print(f"recall of {number} conditions: {share_of(count, max(total, 1))}")
    large, _, _ = planted(made_answers("binary", 100_000, 30, 1), 1)
    took, spent = [], []
    for seed in range(3):
        start, begun = time.perf_counter(), time.process_time()
        find_slices(large, seed=seed)
        took.append(time.perf_counter() - start)
        spent.append(time.process_time() - begun)
    print(f"100,000 rows x 30 columns: {min(took):.1f} to {max(took):.1f} s")
    print(f"of one core: {min(spent):.1f} to {max(spent):.1f} s")


if __name__ == "__main__":
    main()
