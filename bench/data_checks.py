"""Looking at a large table: thirty rules, a description and suggestions on 10 M rows x 20 columns.

    python bench/data_checks.py --quick     # 10 M rows: about 3 minutes
    python bench/data_checks.py --full      # 50 M rows too

The table: twelve numbers (some with missing values), four categories, two datetimes, a whole number and an identifier,
as one Parquet file with row groups of 250,000 rows. Limits: rules 5 s, description and suggestions together 20 s on
10 M rows. Each is run in a process of its own, imports left out, three times.
"""

import argparse
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

PART = 250_000
NUMBERS = [f"x{i}" for i in range(12)]


def make(path, num_rows):
    """Write the table piece by piece."""
    import pyarrow.parquet as pq

    writer = None
    for seed, start in enumerate(range(0, num_rows, PART)):
        rng = np.random.default_rng(seed)
        size = min(PART, num_rows - start)
        columns = {name: pl.Series(rng.normal(50, 10, size)) for name in NUMBERS}
        for name in NUMBERS[:3]:
            columns[name] = columns[name].set(pl.Series(rng.random(size) < 0.05), None)
        for i, width in enumerate((2, 6, 40, 500)):
            columns[f"c{i}"] = pl.Series(rng.integers(0, width, size)).cast(pl.String)
        seconds = rng.integers(1_500_000_000, 1_600_000_000, (2, size)) * 1_000_000
        columns |= {f"t{i}": pl.Series(each).cast(pl.Datetime("us")) for i, each in enumerate(seconds)}
        columns["n"] = rng.integers(0, 100, size)
        columns["id"] = np.arange(start, start + size)
        table = pl.DataFrame(columns).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


RULES = [
    *({"in_range": {"columns": name, "least": -100, "most": 200}} for name in NUMBERS[:6]),
    *({"not_missing": {"columns": name, "allowed": 0.1}} for name in NUMBERS[:6]),
    *({"mean_between": {"column": name, "least": 40, "most": 60}} for name in NUMBERS[6:12]),
    {"one_of": {"columns": "c0", "values": ["0", "1"]}},
    {"one_of": {"columns": "c1", "values": ["0", "1", "2", "3", "4", "5"]}},
    {"matches": {"columns": "c2", "pattern": "[0-9]{1,2}"}},
    {"length": {"columns": "c3", "least": 1, "most": 3}},
    {"in_range": {"columns": "t0", "least": "2017-01-01"}},
    {"fresh": {"column": "t1", "within": "30d", "now": "2020-09-14"}},
    {"in_range": {"columns": "n", "least": 0, "most": 99}},
    {"holds": {"expression": "x0 + x1 > -500"}},
    {"holds": {"expression": "n < 50 or x2 > -400"}},
    {"row_count": {"least": 1000}},
    {"has_kind": {"columns": NUMBERS, "kind": "number"}},
    {"not_missing": {"columns": ["c0", "c1", "t0", "id"]}},
]


def child(what, path):
    """One look, in this process."""
    import lepton
    from lepton.data.quality import rules_of

    table = lepton.read(path, kinds={"c2": "category", "c3": "category"})
    rules = rules_of(RULES)
    assert len(rules) == 30
    start = time.perf_counter()
    if what == "rules":
        assert lepton.check(table, rules).passed
    elif what == "rules and a unique key":
        assert lepton.check(table, [*rules, *rules_of([{"unique": {"columns": "id"}}])]).passed
    elif what == "describe":
        lepton.describe(table)
    else:
        lepton.suggest(table)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10 M rows (default)")
    size.add_argument("--full", action="store_true", help="50 M rows too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    for num_rows in (10_000_000, 50_000_000)[: 2 if given.full else 1]:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_SCRATCH")) as folder:
            path = Path(folder) / "table.parquet"
            make(path, num_rows)
            print(f"{num_rows:,} rows x 20 columns, {path.stat().st_size / 1e6:,.0f} MB")
            for what in ("rules", "rules and a unique key", "describe", "suggest"):
                found = []
                for _ in range(3):
                    command = [sys.executable, __file__, "--child", what, str(path)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    found.append(json.loads(done.stdout.splitlines()[-1]))
                seconds = [each[0] for each in found]
                spread = f"{statistics.median(seconds):5.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
                print(f"  {what:24} {spread}, peak {max(each[1] for each in found):.2f} GB", flush=True)


if __name__ == "__main__":
    main()
