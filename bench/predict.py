"""Predictions through `Model.predict` against plain onnxruntime on the same graph, interleaved, as ratios.

    python bench/predict.py [--quick | --full]

One warm row (float64 numpy): time of Model.predict over that of `InferenceSession.run` with default options, asked for
the same output. A million rows in one call: throughput over that of onnxruntime with default options.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import lepton
from lepton.bundle import read_bundle

BLOCKS, CALLS, BIG, REPEATS = (41, 2000, 1_000_000, 11) if "--full" in sys.argv else (15, 1000, 1_000_000, 5)


def microseconds(function, argument):
    started = time.perf_counter()
    for _ in range(CALLS):
        function(argument)
    return (time.perf_counter() - started) / CALLS * 1e6


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 14))
    y = x[:, 0] * 3 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3] + rng.normal(size=len(x))
    columns = {f"x{i}": x[:, i] for i in range(14)} | {"y": y}
    with tempfile.TemporaryDirectory() as folder:
        model = lepton.train(columns, target="y", within="20s", output=Path(folder) / "tree.lepton")
        graph = read_bundle(model.path).graph
        chosen = next(row for row in model.leaderboard().rows if row.chosen)
        plain = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        single = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        print(f"model: {chosen.learner} ({chosen.configuration}), {len(graph) / 1e3:.0f} kB, 14 number columns")
        row = x[:1]
        forms = {
            "lepton": model.predict,
            "onnxruntime, defaults": lambda r: plain.run(["prediction"], {"numbers": r}),
            "onnxruntime, one thread": lambda r: single.run(["prediction"], {"numbers": r}),
        }
        blocks = {name: [] for name in forms}
        for _ in range(BLOCKS):
            for name, function in forms.items():
                blocks[name].append(microseconds(function, row))
        for name in ("onnxruntime, defaults", "onnxruntime, one thread"):
            ratios = [a / b for a, b in zip(blocks["lepton"], blocks[name], strict=True)]
            times = f"{statistics.median(blocks['lepton']):.1f} against {statistics.median(blocks[name]):.1f} µs"
            print(f"one row, time over {name}: {spread(ratios)}, {times} (limit 1.5)")

        big = rng.normal(size=(BIG, 14))
        ratios, rates = [], []
        for _ in range(REPEATS):
            started = time.perf_counter()
            ours = model.predict(big)
            ours_seconds = time.perf_counter() - started
            started = time.perf_counter()
            theirs = plain.run(["prediction"], {"numbers": big})[0]
            ratios.append((time.perf_counter() - started) / ours_seconds)
            rates.append(BIG / ours_seconds)
        largest = float(np.abs(ours - theirs).max())
        print(
            f"{BIG:,} rows, throughput over onnxruntime, defaults: {spread(ratios)}, "
            f"{statistics.median(rates) / 1e6:.2f} M rows/s (limit 0.90); largest difference {largest:.1e}"
        )


if __name__ == "__main__":
    main()
