"""The cleaning job of a recipe against engines used by hand, in bounded memory, and the cost of a row as tables grow.

    python bench/data.py --quick     # 10 M rows three times, growth from 10^5 to 10^7: about 8 minutes
    python bench/data.py --full      # 50 M rows as well, growth to 10^8: about 40 minutes and 30 GB of disk

The job: drop equal rows, fill a column with its median, hold seven columns between their 1 % and 99 % quantiles,
standardise them, one-hot two categories, write Parquet. The table: ten columns (six normal, one log-normal with 10 %
missing, a whole number, two categories), 5 % of the rows twice, as Parquet files of some 500,000 rows. Every contender
runs in a process of its own, from importing its library to the written file; the peak is that of its resident memory.
By turns, so that a busy machine hits all of them. The engines by hand are written as their documentation advises:
Polars in its streaming engine with the distinct rows on disk once, DuckDB with a table of the distinct rows, pandas in
memory.
Peers that are not installed are left out, and said. DuckDB finds its quantiles exactly, as the recipe does while the
columns fit into its memory; beyond that the recipe takes a sketch whose rank error it states.

Growth runs the recipe alone, with a limit of 1 GB, and divides its time, by the clock and of all cores, less that of
the smallest table by the rows.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

PART = 500_000
LIMIT = 1_000_000_000
NUMBERS = [*(f"x{i}" for i in range(6)), "income"]
CATEGORIES = ["town", "kind"]


def make(folder, num_rows):
    """Write the table as part files; returns their pattern."""
    folder.mkdir()
    for seed, start in enumerate(range(0, num_rows, PART)):
        rng = np.random.default_rng(seed)
        size = min(PART, num_rows - start)
        columns = {name: rng.normal(50, 10, size) for name in NUMBERS[:-1]}
        columns["income"] = pl.Series(rng.lognormal(10, 1, size)).set(pl.Series(rng.random(size) < 0.1), None)
        columns["id"] = rng.integers(0, 10**9, size)
        columns["town"] = rng.choice(["Ulm", "Bonn", "Kiel", "Jena", "Hof", "Trier"], size)
        columns["kind"] = rng.choice(["a", "b", "c"], size)
        frame = pl.DataFrame(columns)
        pl.concat([frame, frame.head(size // 20)]).write_parquet(folder / f"part-{seed:04}.parquet")
    return str(folder / "*.parquet")


def lepton(pattern, out, limit):
    """The recipe; returns the largest rank error of its quantiles."""
    import lepton as library

    recipe = library.Recipe().drop_duplicates().fill("income", "median").clip(NUMBERS, q=(0.01, 0.99))
    recipe = recipe.standardise(NUMBERS).one_hot(CATEGORIES)
    work = library.Work(resources=library.Resources(memory=limit, scratch=out.parent))
    clean = recipe.fit_transform(library.read(pattern), work=work)
    clean.save(out)
    return max(learned.get("rank_error", 0.0) for learned in clean.lineage.recipe.learned)


def polars(pattern, out, limit):
    """By hand: the distinct rows to disk once, then one query for each thing to know."""
    spill = out.with_suffix(".arrow")
    pl.scan_parquet(pattern).unique().sink_ipc(spill)
    rows = pl.scan_ipc(spill)

    def ask(*expressions):
        return rows.select(*expressions).collect(engine="streaming").row(0, named=True)

    rows = rows.with_columns(pl.col("income").fill_null(ask(pl.median("income"))["income"]))
    low, high = (ask(*(pl.quantile(name, share, "linear") for name in NUMBERS)) for share in (0.01, 0.99))
    rows = rows.with_columns(pl.col(name).clip(low[name], high[name]) for name in NUMBERS)
    mean, deviation = ask(*map(pl.mean, NUMBERS)), ask(*(pl.std(name, ddof=0) for name in NUMBERS))
    rows = rows.with_columns((pl.col(name) - mean[name]) / deviation[name] for name in NUMBERS)
    values = {name: rows.select(pl.col(name).unique()).collect(engine="streaming")[name].sort() for name in CATEGORIES}
    marks = [(pl.col(n) == v).cast(pl.Float64).alias(f"{n}={v}") for n, known in values.items() for v in known]
    rows.with_columns(marks).drop(CATEGORIES).sink_parquet(out)
    spill.unlink()
    return 0.0


def duckdb(pattern, out, limit):
    """By hand, in SQL."""
    import duckdb as library

    base = library.connect(str(out.with_suffix(".duckdb")))
    base.execute(f"SET temp_directory = '{out.parent}'; SET preserve_insertion_order = false")
    if limit is not None:
        base.execute(f"SET memory_limit = '{limit // 1_000_000}MB'")
    base.execute(f"CREATE TABLE rows AS SELECT DISTINCT * FROM read_parquet('{pattern}')")
    (median,) = base.execute("SELECT median(income) FROM rows").fetchone()
    base.execute("UPDATE rows SET income = ? WHERE income IS NULL", [median])
    asked = ", ".join(f"quantile_cont({name}, [0.01, 0.99])" for name in NUMBERS)
    ends = base.execute(f"SELECT {asked} FROM rows").fetchone()
    held = {n: f"greatest(least({n}, {high!r}), {low!r})" for n, (low, high) in zip(NUMBERS, ends, strict=True)}
    found = base.execute(
        f"SELECT {', '.join(f'avg({e}), stddev_pop({e})' for e in held.values())} FROM rows"
    ).fetchone()
    scaled = [f"({e} - {found[2 * i]!r}) / {found[2 * i + 1]!r} AS {n}" for i, (n, e) in enumerate(held.items())]
    for name in CATEGORIES:
        values = base.execute(f"SELECT DISTINCT {name} FROM rows ORDER BY 1").fetchall()
        scaled += [f"({name} = '{value}')::DOUBLE AS \"{name}={value}\"" for (value,) in values]
    base.execute(f"COPY (SELECT {', '.join(['id', *scaled])} FROM rows) TO '{out}' (FORMAT parquet)")
    base.close()
    out.with_suffix(".duckdb").unlink()
    return 0.0


def pandas(pattern, out, limit):
    """By hand, in memory."""
    import pandas as library

    frame = library.read_parquet(Path(pattern).parent).drop_duplicates()
    frame["income"] = frame["income"].fillna(frame["income"].median())
    for name in NUMBERS:
        low, high = frame[name].quantile([0.01, 0.99])
        frame[name] = frame[name].clip(low, high)
        frame[name] = (frame[name] - frame[name].mean()) / frame[name].std(ddof=0)
    library.get_dummies(frame, columns=CATEGORIES, dtype=float).to_parquet(out)
    return 0.0


CONTENDERS = {"lepton": lepton, "polars": polars, "duckdb": duckdb, "pandas": pandas}


def run(name, pattern, limit=None):
    """Seconds, peak in GB, rank error, rows and seconds of all cores, of a process of its own; None if it gave up."""
    with tempfile.TemporaryDirectory(dir=Path(pattern).parents[1]) as folder:
        out = Path(folder) / "clean.parquet"
        call = [sys.executable, __file__, "--child", name, pattern, str(out), str(limit or 0)]
        start = time.perf_counter()
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            print(
                f"  {name} gave up after {seconds:.0f} s: {(done.stderr.strip().splitlines() or ['killed'])[-1][:100]}"
            )
            return None
        peak, error, busy = json.loads(done.stdout.splitlines()[-1])
        rows = pl.scan_parquet(out).select(pl.len()).collect().item()
        return seconds, peak, error, rows, busy


def child(name, pattern, out, limit):
    """One contender, in this process."""
    error = CONTENDERS[name](pattern, Path(out), int(limit) or None)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    print(json.dumps([peak, error, used.ru_utime + used.ru_stime]))


def job(folder, num_rows, repeats):
    """Print the job on one table; the recipe also within a limit."""
    pattern = make(folder / f"{num_rows}", num_rows)
    there = [name for name in CONTENDERS if importlib.util.find_spec(name)]
    entries = [*((name, None) for name in there), ("lepton", LIMIT)]
    entries += [("duckdb", LIMIT)] if "duckdb" in there else []
    found = {entry: [] for entry in entries}
    for _ in range(repeats):
        for name, limit in entries:
            answer = run(name, pattern, limit)
            if answer is not None:
                found[name, limit].append(answer)
    if absent := set(CONTENDERS) - set(there):
        print(f"  not installed: {', '.join(sorted(absent))}")
    assert len({answer[3] for answers in found.values() for answer in answers}) == 1, "not the same rows"
    ours = [answer[0] for answer in found["lepton", None]]
    print(f"{num_rows:,} rows       seconds (range)        peak GB   ours / theirs, round by round")
    for (name, limit), answers in found.items():
        if not answers:
            continue
        times = [answer[0] for answer in answers]
        label = name + (" 1 GB" if limit else "")
        ratios = [a / b for a, b in zip(ours, times, strict=False)]
        rank = f"   rank error {answers[0][2]:.1e}" if limit and name == "lepton" else ""
        print(
            f"  {label:12} {statistics.median(times):7.1f} ({min(times):.1f}-{max(times):.1f})"
            f" {max(answer[1] for answer in answers):10.2f}   {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f}-{max(ratios):.2f}){rank}"
        )


def growth(folder, sizes):
    """Print the cost of a row from the smallest table to the largest: by the clock, and of all cores."""
    print("growth, limit of 1 GB: rows, seconds, µs a row, µs a row of all cores, peak GB")
    smallest = None
    for num_rows in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            answer = run("lepton", make(Path(inner) / "rows", num_rows), LIMIT)
        if answer is None:
            return
        seconds, peak, _, _, busy = answer
        smallest = smallest or (seconds, busy)
        more = max(num_rows - sizes[0], 1)
        costs = [f"{(now - then) / more * 1e6:.2f}" for now, then in zip((seconds, busy), smallest, strict=True)]
        clock, cores = ("", "") if num_rows == sizes[0] else costs
        print(f"  {num_rows:12,} {seconds:8.1f} {clock:>8} {cores:>8} {peak:8.2f}")


def main():
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10 M rows, growth to 10^7 (default)")
    size.add_argument("--full", action="store_true", help="50 M rows too, growth to 10^8")
    parser.add_argument("--rows", type=int, help="only the job, once, on so many rows")
    parser.add_argument("--growth", type=int, metavar="POWER", help="only growth, to ten to this power")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_SCRATCH")) as folder:
        if given.rows:
            job(Path(folder), given.rows, 1)
            return
        if given.growth:
            growth(Path(folder), [10**power for power in range(5, given.growth + 1)])
            return
        job(Path(folder), 10_000_000, 3)
        if given.full:
            job(Path(folder), 50_000_000, 1)
        growth(Path(folder), [10**power for power in range(5, 9 if given.full else 8)])


if __name__ == "__main__":
    main()
