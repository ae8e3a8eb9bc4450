"""How honest a search is about what it does not know, on the shared tables.

Two things are measured. What twice the rows would be worth is said by a search of half a table, and held against what
the other half brought. And which doubts real tables raise, with and without a planted fault, and what looking costs.

    python bench/honesty.py --quick
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from automl import SHARED, TABLES

from lepton.bundle import read_bundle
from lepton.core import Kind, Role, Work
from lepton.data import Dataset, read
from lepton.training import train

QUICK = ("credit", "titanic", "heart", "bikes", "houses")


def searched(table: Dataset, target: str, within: float, seed: int, effort: str = "good") -> dict:
    """The reports of a search."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.lepton"
        train(table, target=target, work=Work(within, seed=seed), effort=effort, output=path)
        return dict(read_bundle(path).reports)


def opened(name: str) -> tuple[Dataset, str]:
    file, target, hidden = TABLES[name]
    return read(SHARED / file).with_roles(dict.fromkeys(hidden, Role.IGNORED)), target


def curves(names: list[str], within: float, seeds: int) -> None:
    """What was expected of twice the rows, and what they brought."""
    print("table          seed  expected (95 % interval)            brought (95 % interval)         of      look s")
    for name in names:
        for seed in range(seeds):
            table, target = opened(name)
            half, _ = table.split(test=0.5, method="random", seed=seed)
            said = searched(half, target, within, seed)["search"]["closer"]
            came = searched(table, target, within, seed)["search"]["closer"]
            if "learning_curve" not in said or "learning_curve" not in came:
                print(f"{name:14s} {seed:4d}  {said.get('skipped')} / {came.get('skipped')}")
                continue
            expected = said["learning_curve"].get("next_doubling")
            brought = came["learning_curve"].get("last_doubling")
            told = "/".join(each["of"]["learner"] for each in (said, came))
            print(f"{name:14s} {seed:4d}  {shown(expected):34s}  {shown(brought):34s}  {told}  {came['seconds']:.1f}")


def shown(gain: dict | None) -> str:
    if not gain or gain["value"] is None or gain["lower"] is None:
        return "-"
    return f"{gain['value']:+.5f} ({gain['lower']:+.5f} to {gain['upper']:+.5f})"


def doubts(names: list[str], within: float) -> None:
    """Doubts of tables as they are, and with one fault planted in each."""
    rng = np.random.default_rng(0)
    print("table          as it is | with a leak | sorted by the target, with a number")
    for name in names:
        table, target = opened(name)
        frame = table.frame().select(c.name for c in table.schema if c.role != "ignored")
        kinds = {c.name: str(c.kind) for c in table.schema if c.name in frame.columns}
        numbers = table.schema[target].kind is Kind.NUMBER
        codes = frame[target] if numbers else frame[target].cast(pl.String).rank("dense")
        leaked = frame.with_columns(leak=codes.cast(pl.Float64) * 2.0 + pl.Series(rng.normal(0, 1e-3, len(frame))))
        numbered = frame.sort(target).with_columns(row_number=pl.int_range(len(frame)))
        told = []
        for each in (frame, leaked, numbered):
            start = time.monotonic()
            found = searched(read(each, kinds=kinds), target, within, 0, "fast")["training"]
            what = ",".join(doubt["what"] for doubt in found["doubts"]) or found["not_checked"] or "none"
            told.append(f"{what} ({time.monotonic() - start:.0f} s)")
        print(f"{name:14s} " + " | ".join(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one split, 30 s a search")
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--part", choices=("curves", "doubts"))
    options = parser.parse_args()
    names = options.tables or list(QUICK)
    if options.part != "doubts":
        curves(names, 30.0 if options.quick else 120.0, 1 if options.quick else 3)
    if options.part != "curves":
        doubts(names, 15.0 if options.quick else 60.0)


if __name__ == "__main__":
    main()
