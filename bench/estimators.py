"""The estimators against scikit-learn's: time, memory, coefficients and inertia; and a table larger than memory.

    python bench/estimators.py --quick      # streams up to 10^7 rows: about 3 minutes on two cores
    python bench/estimators.py --full       # up to 10^8 rows, which take 5 GB of the temporary folder meanwhile
    python bench/estimators.py --only linear kmeans

Fits are interleaved with scikit-learn's and repeated; ratios are theirs / ours, so above 1 Lepton is faster: the
median, and the range over the repeats. Everything goes to bench/out/estimators.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
MB = 1e6


def seconds_of(estimator, *data, **options):
    start = time.perf_counter()
    fitted = estimator.fit(*data, **options)
    return time.perf_counter() - start, fitted


def against(name, ours, theirs, x, y, repeats):
    """Interleaved repeats: ratio of times, and the last fits."""
    rows, fits = [], None
    for _ in range(repeats):
        (mine, a), (other, b) = seconds_of(ours, x, y), seconds_of(theirs, x, y)
        rows.append({"ours": mine, "theirs": other, "ratio": other / mine})
        fits = a, b
    ratios = [row["ratio"] for row in rows]
    found = {"name": name, "ratio": float(np.median(ratios)), "low": min(ratios), "high": max(ratios), "repeats": rows}
    found["ours"] = float(np.median([row["ours"] for row in rows]))
    found["theirs"] = float(np.median([row["theirs"] for row in rows]))
    return found, fits


def show(found, more=""):
    print(
        f"  {found['name']:44} {found['ours']:8.3f} s against {found['theirs']:8.3f} s: "
        f"{found['ratio']:6.2f}x ({found['low']:.2f} to {found['high']:.2f}) {more}",
        flush=True,
    )
    return found


# --- least squares -------------------------------------------------------------------------------------------------


def linear(repeats, full):
    rows = linear_fits(repeats)
    memory = child("memory_of_linear")
    print(f"  memory above the input: {memory['above'] / MB:.0f} MB", flush=True)
    return [*rows, {"name": "memory above the input", **memory}]


def linear_fits(repeats):
    from sklearn import linear_model

    from lepton import LinearRegression, Ridge

    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000_000, 20))
    y = x @ rng.normal(size=20) + rng.normal(size=len(x))
    plain, (a, b) = against(
        "LinearRegression, 10 M x 20", LinearRegression(), linear_model.LinearRegression(), x, y, repeats
    )
    plain["difference"] = float(np.abs(a.coef_ - b.coef_).max())
    show(plain, f"coefficients differ by {plain['difference']:.1e}")
    cholesky = linear_model.Ridge(1.0, solver="cholesky")
    ridge, (a, b) = against("Ridge, 10 M x 20, theirs cholesky", Ridge(1.0), cholesky, x, y, repeats)
    ridge["difference"] = float(np.abs(a.coef_ - b.coef_).max())
    show(ridge, f"coefficients differ by {ridge['difference']:.1e}")
    return [plain, ridge]


def memory_of_linear():
    """Run in a process of its own: how far the peak of resident memory rises above what the input takes."""
    from lepton import LinearRegression

    rng = np.random.default_rng(0)
    LinearRegression().fit(
        rng.normal(size=(100_000, 20)), rng.normal(size=100_000)
    )  # what imports take is no part of it
    x = rng.normal(size=(10_000_000, 20))
    y = x @ rng.normal(size=20)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS")
    LinearRegression().fit(x, y)
    return {"above": status("VmHWM") - before, "before": before}


def status(field):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def child(function, *arguments):
    """Run a function of this file in a process of its own and take its JSON."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", function, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


# --- logistic regression -------------------------------------------------------------------------------------------


def logistic(repeats, full):
    rows = []
    for name, x, y in logistic_tables():
        rows.append(logistic_table(name, x, y, repeats))
    return rows


def logistic_tables():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000_000, 50))
    y = (rng.random(len(x)) < 1 / (1 + np.exp(-x @ rng.normal(size=50) / 2))).astype(int)
    yield "1 M x 50", x, y
    for file, target in (
        ("tabular/adult-train.csv", "column_15"),
        ("tabular/bank-additional.csv", "job"),
        ("tabular/california_housing.csv", "ocean_proximity"),
        ("medical/breast_cancer_wdbc.csv", "diagnosis"),
        ("tabular/iris.csv", "column_5"),
    ):
        if (SHARED / file).exists():
            yield Path(file).stem, *numeric_table(SHARED / file, target)


def numeric_table(file, target):
    """Numeric columns, standardised, of the rows without missing values; and the target as texts."""
    import lepton

    table = lepton.read(file)
    names = [c.name for c in table.schema if c.kind == "number" and c.name != target]
    frame = table.frame([*names, target]).drop_nulls()
    x = frame.select(names).to_numpy().astype(float)
    return (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1), frame[target].cast(
        pl.String
    ).to_numpy()


def logistic_table(name, x, y, repeats):
    from sklearn.linear_model import LogisticRegression as Theirs

    from lepton import LogisticRegression

    # Short fits are repeated more often: their times are the noisiest.
    repeats = repeats if len(x) > 200_000 else 3 * repeats
    found, (ours, _) = against(f"LogisticRegression, {name} {x.shape}", LogisticRegression(), Theirs(), x, y, repeats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = Theirs(tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(x, y)
    found["difference"] = float(np.abs(ours.coef_ - exact.coef_).max())
    found["steps"] = ours.n_iter_
    return show(found, f"coefficients differ by {found['difference']:.1e}")


# --- k-means -------------------------------------------------------------------------------------------------------


def kmeans(repeats, full):
    from sklearn.cluster import KMeans as Theirs
    from sklearn.datasets import make_blobs

    from lepton import KMeans

    tables = [
        ("blobs 300 k x 10", make_blobs(300_000, centers=20, n_features=10, cluster_std=3, random_state=0)[0], 20),
        ("uniform 300 k x 5", np.random.default_rng(0).random((300_000, 5)), 16),
    ]
    if SHARED.is_dir():
        tables.append(
            ("california_housing", numeric_table(SHARED / "tabular/california_housing.csv", "ocean_proximity")[0], 8)
        )
    rows = []
    for name, x, clusters in tables:
        times, inertias = [], []
        for seed in range(10):
            (mine, a), (other, b) = (seconds_of(k(clusters, random_state=seed), x) for k in (KMeans, Theirs))
            times.append((mine, other))
            inertias.append((a.inertia_, b.inertia_))
        mine, other = np.array(times).T
        ratios = other / mine
        mean = np.mean(inertias, axis=0)
        found = {
            "name": f"KMeans, {name}, {clusters} clusters, 10 seeds",
            "ours": float(mine.mean()),
            "theirs": float(other.mean()),
            "ratio": float(other.sum() / mine.sum()),
            "low": float(ratios.min()),
            "high": float(ratios.max()),
            "inertia": float(mean[0] / mean[1]),
        }
        rows.append(show(found, f"inertia {found['inertia']:.4f} of theirs"))
    return rows


# --- streams -------------------------------------------------------------------------------------------------------


def stream(repeats, full):
    """A Parquet of ten float32 features and a target, in row groups of a million."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (1_000_000, 10_000_000, 100_000_000) if full else (1_000_000, 10_000_000):
            path = Path(folder) / f"{size}.parquet"
            write_parquet(path, size)
            runs = [child("stream_fit", path) for _ in range(repeats)]
            seconds = float(np.median([run["seconds"] for run in runs]))
            row = {
                "name": f"LinearRegression, Parquet of {size:,} x 10",
                "rows": size,
                "seconds": seconds,
                "nanoseconds_a_row": seconds / size * 1e9,
                "peak": max(run["peak"] for run in runs),
                "repeats": runs,
            }
            rows.append(row)
            spread = ", ".join(f"{run['seconds']:.2f}" for run in runs)
            relative = row["nanoseconds_a_row"] / rows[0]["nanoseconds_a_row"]
            print(
                f"  {row['name']:48} {seconds:7.2f} s ({spread}), {row['nanoseconds_a_row']:.0f} ns a row "
                f"({relative:.2f} of that at 10^6), peak {row['peak'] / MB:.0f} MB",
                flush=True,
            )
    return rows


def write_parquet(path, size):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    weights = rng.normal(size=10).astype(np.float32)
    with pq.ParquetWriter(
        path, pa.schema([(f"x{i}", pa.float32()) for i in range(10)] + [("y", pa.float32())])
    ) as writer:
        for _ in range(size // 1_000_000):
            x = rng.normal(size=(1_000_000, 10)).astype(np.float32)
            y = x @ weights + rng.normal(size=len(x)).astype(np.float32)
            writer.write_table(pa.table({**{f"x{i}": x[:, i] for i in range(10)}, "y": y}))


def stream_fit(path):
    import lepton
    from lepton import LinearRegression

    warm = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    LinearRegression().fit(lepton.read(warm), target="y")  # imports are no part of the time
    seconds, _ = seconds_of(LinearRegression(), path, target="y")
    return {"seconds": seconds, "peak": status("VmHWM")}


CHILDREN = {"memory_of_linear": memory_of_linear, "stream_fit": stream_fit}
BENCHES = {"linear": linear, "logistic": logistic, "kmeans": kmeans, "stream": stream}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="streams up to 10^7 rows (the default)")
    size.add_argument("--full", action="store_true", help="streams up to 10^8 rows, and five repeats")
    parser.add_argument("--only", nargs="*", choices=BENCHES, help="these only")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child[0]](*options.child[1:])))
        return
    warnings.simplefilter("ignore")
    import sklearn

    out = Path(__file__).parent / "out" / "estimators.json"
    report = json.loads(out.read_text("utf-8")) if options.only and out.exists() else {}
    report |= {
        "bench": "estimators",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "architecture": platform.machine()},
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__, "polars": pl.__version__},
    }
    for name in options.only or BENCHES:
        load = os.getloadavg()[0]
        print(f"{name} (load {load:.1f})", flush=True)
        report[name] = {"load": load, "results": BENCHES[name](5 if options.full else 3, options.full)}
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(report, indent=1), "utf-8")


if __name__ == "__main__":
    main()
