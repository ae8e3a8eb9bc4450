"""`lepton.predict(model, files, output=...)` against plain onnxruntime on tensors that are packed already.

    python bench/batch_predict.py [--quick | --full]

A table of 10 number columns, made by seed, in Parquet files of a million rows; LightGBM of 20, 100 and 500 trees.
Lepton reads the files, answers and writes a Parquet file, in a process of its own whose largest memory is told.
onnxruntime runs the same graph over chunks of 16,384 rows in memory, as many at a time as there are cores; and with
default options.
The limit: at least 90 % of the better one's throughput, at 100 and 500 trees. --full asks ten times for each.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
import polars as pl

import lepton
from lepton.bundle import read_bundle

COLUMNS, PART, CHUNK = 10, 1_000_000, 16_384
REPEATS = 10 if "--full" in sys.argv else 3
SIZES = {20: (1, 10), 100: (1, 10), 500: (1,)}  # trees: millions of rows
if "--full" in sys.argv:
    SIZES[500] = (1, 10)
NAMES = [f"x{i}" for i in range(COLUMNS)]
CHILD = """
import json, os, resource, sys, time
import lepton
model, output, *files = sys.argv[1:]
opened = lepton.load(model)
started = time.perf_counter()
lepton.predict(opened, files, output=output)
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def make_models(folder):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30_000, COLUMNS))
    y = x[:, 0] * 3 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3] + rng.normal(size=len(x))
    for trees in SIZES:
        options = {"objective": "regression", "num_leaves": 31, "verbosity": -1, "seed": 0}
        booster = lightgbm.train(options, lightgbm.Dataset(x, y, feature_name=NAMES), trees)
        lepton.import_model(booster, output=folder / f"{trees}.lepton")


def make_rows(folder):
    rng = np.random.default_rng(1)
    for part in range(10):
        frame = pl.DataFrame({name: rng.normal(size=PART) for name in NAMES})
        frame.write_parquet(folder / f"rows-{part}.parquet")


def lepton_rate(model, files, rows):
    output = model.with_name("answers.parquet")
    words = [sys.executable, "-c", CHILD, str(model), str(output), *map(str, files)]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert pl.scan_parquet(output).select(pl.len()).collect().item() == rows
    return rows / told["seconds"], told["memory"]


def chunked_rate(session, tensor):
    def run(start):
        return session.run(None, {"numbers": tensor[start : start + CHUNK]})[0]

    started = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        np.concatenate(list(pool.map(run, range(0, len(tensor), CHUNK))))
    return len(tensor) / (time.perf_counter() - started)


def default_rate(session, tensor):
    started = time.perf_counter()
    session.run(None, {"numbers": tensor})
    return len(tensor) / (time.perf_counter() - started)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder)
        make_rows(folder)
        files = sorted(folder.glob("rows-*.parquet"))
        tensor = pl.read_parquet(files[0]).to_numpy(order="c")
        for trees, sizes in SIZES.items():
            model = folder / f"{trees}.lepton"
            graph = read_bundle(model).graph
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            single = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            plain = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            for millions in sizes:
                ratios, rates, memory = [], [], []
                for _ in range(REPEATS):
                    # Interleaved, and onnxruntime before and after, since machines are not the same for long.
                    theirs = [max(chunked_rate(single, tensor), default_rate(plain, tensor))]
                    rate, most = lepton_rate(model, files[:millions], millions * PART)
                    theirs.append(max(chunked_rate(single, tensor), default_rate(plain, tensor)))
                    ratios.append(rate / statistics.mean(theirs))
                    rates.append(rate)
                    memory.append(most)
                print(
                    f"{trees} trees, {millions} M rows: {statistics.median(rates) / 1e6:.2f} M rows/s, "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of onnxruntime "
                    f"(limit 0.90), {max(memory):.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
