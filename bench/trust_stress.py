"""What is measured on spoilt rows, between answers and about training rows, against what was planted; and the time.

    python bench/trust_stress.py --quick

- `noise`: a linear model whose loss under noise is known: how often the 95 % interval holds it.
- `search`: a model that breaks a rule only where the table has no rows: in how many tables the search finds that, by
  the number of rows that it may make; and how often it is found where nothing is planted.
- `membership`: two tables of one distribution: how often the advantage's interval lies above or below 0; and a model
  that knows 30 % of its members: how often the interval holds 0.3.
- `time`: seconds on 100,000 rows × 30 columns.

Everything is against theory; nothing is compared with another library.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))  # the models of the tests, whose answers are known

from tests.evaluation.models import linear_model
from tests.evaluation.robustness.models import applicants, credit_model

from lepton.data import read
from lepton.evaluation.privacy import membership
from lepton.evaluation.robustness import metamorphic, robustness

RULE = {"change": {"income": "+10%"}, "answer": "not_increasing", "label": "default"}


def noise(folder: Path, tables: int) -> None:
    """Noise of a share s of the spread adds (3 · spread · s)² to the mean squared error."""
    model = linear_model(folder, {"a": 3.0, "b": 0.0})
    held = 0
    for seed in range(tables):
        generator = np.random.default_rng(seed)
        a, b = generator.normal(10, 2, 500), generator.normal(0, 1, 500)
        table = read(pl.DataFrame({"a": a, "b": b, "price": 3 * a + generator.normal(0, 1, 500)}))
        (loss,) = robustness(model, table, tests=["noise"], strengths=[4], metric="mse", seed=seed)["noise"].losses
        held += loss.lower <= (3 * a.std() * 0.4) ** 2 <= loss.upper
    print(f"noise: the interval holds the truth in {held} of {tables} tables ({held / tables:.1%})")


def search(folder: Path, tables: int) -> None:
    """The risk jumps above an income of 90 below 25 years, where the tables have nobody."""
    trapped = credit_model(folder, trap=8.0)
    for budget in (200, 500, 1_000, 2_000):
        found = sum(
            metamorphic(trapped, applicants(seed=s), [RULE], search=budget, seed=s).results[0].num_found > 0
            for s in range(tables)
        )
        print(f"search: {budget:>5,} made rows find the breach in {found} of {tables} tables")
    sound = credit_model(folder)
    false = sum(not metamorphic(sound, applicants(seed=s), [RULE], seed=s).passed for s in range(tables))
    print(f"search: where nothing is planted, {false} of {tables}")


def side(count: int, seed: int, *, own: float = 0.0) -> pl.DataFrame:
    """price = a, off by normal noise but for a share `own` of the rows."""
    generator = np.random.default_rng(seed)
    a = generator.normal(size=count)
    off = generator.normal(size=count) * (generator.random(count) >= own)
    return pl.DataFrame({"a": a, "price": a + off})


def members(folder: Path, pairs: int) -> None:
    """Tables that are alike, and a model that knows 30 % of one of them."""
    model = linear_model(folder, {"a": 1.0}, name="members")
    for count in (300, 1_000):
        null = [membership(model, read(side(count, s)), read(side(count, s + 10_000)), seed=s) for s in range(pairs)]
        above = sum(bool(each.leaks) for each in null)
        below = sum((each.advantage.upper or 0.0) < 0 for each in null)
        print(
            f"membership: {count:,} alike rows a side: {above} of {pairs} above 0, {below} below (2.5 % of each meant)"
        )
    held = 0
    for seed in range(pairs):
        found = membership(model, read(side(1_000, seed, own=0.3)), read(side(1_000, seed + 10_000)), seed=seed)
        held += found.advantage.lower <= 0.3 <= found.advantage.upper
    print(f"membership: 30 % known: the interval holds 0.3 in {held} of {pairs}")


def seconds(folder: Path, repeats: int) -> None:
    """How long each takes on a large table."""
    generator = np.random.default_rng(0)
    names = [f"c{place}" for place in range(30)]
    values = generator.normal(size=(100_000, 30))
    frame = pl.DataFrame(values, schema=names, orient="row").with_columns(price=values.sum(axis=1))
    table = read(frame)
    model = linear_model(folder, dict.fromkeys(names, 1.0), name="wide")
    learned, held_out = table.split(test=0.5, method="random")
    rule = {"change": {"c0": "+10%"}, "answer": "not_decreasing"}
    for name, call in {
        "robustness": lambda: robustness(model, table),
        "metamorphic": lambda: metamorphic(model, table, [rule]),
        "membership": lambda: membership(model, learned, held_out),
    }.items():
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        print(f"time: {name}: {np.median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f})")


def main() -> int:
    """Print each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true", help="about three minutes on one core")
    size.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise(folder, 1_000 if full else 150)
        search(folder, 100 if full else 20)
        members(folder, 1_000 if full else 150)
        seconds(folder, 7 if full else 3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
