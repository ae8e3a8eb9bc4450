"""How honest a search is about what it does not know, on the shared tables.

Two things are measured. What twice the rows would be worth is said by half a table, and held against what
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
from lepton.compute import LocalEngine
from lepton.core import Kind, Resources, Role, Work
from lepton.data import Dataset, read
from lepton.evaluation import Estimate, metric as metric_named
from lepton.training import train
from lepton.training.automl.closer import look_closer
from lepton.training.automl.files import save_table
from lepton.training.automl.trials import Outside, Setting
from lepton.training.honesty import order_doubt
from lepton.training.portfolio import Portfolio
from lepton.training.prepared import folds_of, prepare_table
from lepton.training.writing import sample_row

QUICK = ("credit", "titanic", "heart", "bikes", "houses", "adult", "ocean")


def searched(table: Dataset, target: str, within: float, seed: int, effort: str = "good") -> dict:
    """The reports of a search."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.lepton"
        train(table, target=target, work=Work(within, seed=seed), effort=effort, output=path)
        return dict(read_bundle(path).reports)


def opened(name: str) -> tuple[Dataset, str]:
    file, target, hidden = TABLES[name]
    return read(SHARED / file).with_roles(dict.fromkeys(hidden, Role.IGNORED)), target


def curve(table: Dataset, target: str, learner: str, seed: int, engine: LocalEngine) -> dict:
    """The learning curve of one learner with its first settings, as a search would measure it."""
    work = Work(seed=seed, resources=Resources(cpus=1))
    prepared = prepare_table(table, target, None, work)
    folds, _ = folds_of(prepared, work)
    number = prepared.target.labels is None
    portfolio = Portfolio(
        problem=prepared.problem,
        rows=prepared.rows,
        folds=folds,
        metric=metric_named(None, prepared.problem.task),
        truth=prepared.target.values if number else prepared.target.values.astype(np.int64),
        scale=prepared.scale,
        groups=prepared.groups,
        saving_seconds=0.0,
        measure=lambda learner: (1, 1.0),
        work=work,
    )
    portfolio.run(first_only=("baseline", learner))
    with tempfile.TemporaryDirectory() as folder:
        save_table(Path(folder), portfolio.rows, folds)
        setting = Setting(
            folder=folder,
            number_names=prepared.rows.block.number_names,
            num_folds=len(folds),
            problem=prepared.problem,
            metric=portfolio.metric.name,
            scale=prepared.scale,
            outside=Outside(prepared.inputs, prepared.target.labels, prepared.front, sample_row(prepared)),
            seed=seed,
        )
        closer = look_closer(
            portfolio, setting, engine, workers=1, resources=work.resources, score=Estimate(None), seconds=300.0
        )
    return closer.report


def curves(names: list[str], seeds: int) -> None:
    """What was expected of twice the rows by half a table, and what the other half brought."""
    held = checked = 0
    print("table    learner   seed  expected of twice the rows (95 %)     brought (95 %)                        look s")
    with LocalEngine(1) as engine:
        for name in names:
            for learner in ("linear", "lightgbm"):
                for seed in range(seeds):
                    table, target = opened(name)
                    half, _ = table.split(test=0.5, method="random", seed=seed)
                    said = curve(half, target, learner, seed, engine)["learning_curve"]
                    report = curve(table, target, learner, seed, engine)
                    came = report["learning_curve"]
                    ahead, value = said.get("next_doubling", {}), came.get("last_doubling", {}).get("value")
                    if ahead.get("lower") is not None and value is not None:
                        checked += 1
                        held += ahead["lower"] <= value <= ahead["upper"]
                    expected, brought = shown(said.get("next_doubling")), shown(came.get("last_doubling"))
                    line = f"{name:8s} {learner:9s} {seed:4d}  {expected:36s}  {brought:36s}  {report['seconds']:.1f}"
                    print(line, "" if not order_doubt(report["order"]) else "order", flush=True)
    print(f"the interval held what came in {held} of {checked}")


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
        print(f"{name:14s} " + " | ".join(told), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two splits, 60 s a training")
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--part", choices=("curves", "doubts"))
    options = parser.parse_args()
    names = options.tables or list(QUICK)
    if options.part != "doubts":
        curves(names, 2 if options.quick else 5)
    if options.part != "curves":
        doubts(names, 60.0 if options.quick else 120.0)


if __name__ == "__main__":
    main()
