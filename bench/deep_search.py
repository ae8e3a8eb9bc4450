"""Searched networks beside the family's own widths, in the same time: accuracy on test rows against the time of a row.

    python bench/deep_search.py --quick          # X-rays and digits, 200 s of search each: about 14 minutes
    python bench/deep_search.py --full           # more rows, 15 minutes of search each
    python bench/deep_search.py --quick --only x-rays --within 60

`lepton.search` gets so many seconds, without a limit on the time of a row. The family gets as many: five widths from a
quarter to one, and one of more depth, share them, and each learns all rows by the same recipe. Compared are the model
of the search, which has learned all rows, and the designs of its front as they were kept: they have learned the rows
that neither chose nor judged, some 72 %. One thread. Test rows decide nothing.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import lepton
from lepton.bundle import measure_latency
from lepton.core import Resources, Work
from lepton.evaluation import intervals
from lepton.training.deep.architectures.subject import subject_of_arrays
from lepton.training.nets.spec import NetSpec

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROWS = {"x-rays": (1_500, 4_708), "digits": (2_000, 20_000)}
SECONDS = (200, 900)
TEST = 2_000
FAMILY = ((0.25, 1.0), (0.35, 1.0), (0.5, 1.0), (0.7, 1.0), (1.0, 1.0), (0.5, 1.5))
SAME_TIME = 1.05
USED = 0.95


def load(name, count):
    """Pictures [N, H, W, 1] and classes, to learn from and to test on."""
    if name == "digits":
        data = np.load(SHARED / "image/mnist/mnist.npz")
        x, y, x_test, y_test = (data[part] for part in ("x_train", "y_train", "x_test", "y_test"))
    else:
        data = np.load(SHARED / "medical/pneumoniamnist.npz")
        x, x_test = data["train_images"], data["test_images"]
        y, y_test = data["train_labels"].ravel(), data["test_labels"].ravel()
    return x[:count, ..., None], y[:count], x_test[:TEST, ..., None], y_test[:TEST]


def searched(x, y, within, folder, seed):
    """Name → file: the model of a search, and the designs of its front as they were kept."""
    work = Work(within, seed=seed, resources=Resources(cpus=1))
    path = folder / "searched.lepton"
    model = lepton.search((x, y), workdir=folder / "search", output=path, work=work)
    report = model.reports()["search"]
    print(f"  search: {work.elapsed:.0f} s, {len(report['trials'])} trials, passes {report['passes']}")
    chosen = report["trials"][report["chosen"] - 1]["told"]
    kept = {
        f"kept: {report['trials'][number - 1]['told']}": folder / "search" / f"trial-{number:05}.lepton"
        for number in report["pareto"]
    }
    return {f"model: {chosen}": path, **kept}


def family(x, y, within, folder, seed):
    """Name → file: members of the family, which share the time."""
    subject = subject_of_arrays(x, y, kind="image", task=None)
    work = Work(within, seed=seed, resources=Resources(cpus=1))
    learner, found = subject.learner(work), {}
    for number, (width, depth) in enumerate(FAMILY):
        part = (work.deadline - time.monotonic()) / (len(FAMILY) - number)
        member = learner.of(NetSpec.of("image", x.shape[1:], len(set(y)), width=width, depth=depth))
        a_pass = member.seconds_a_row() * len(x)
        passes = int(np.clip(USED * part / a_pass, 1, member.most_passes(len(x))))
        net = member.fit(np.arange(len(x)), passes, f"family {number}", Work(seed=seed))
        name = f"family: width {width:g}, depth {depth:g}, {net.passes} passes"
        found[name] = folder / f"family-{number}.lepton"
        subject.write(found[name], net, name=f"family-{number}")
    print(f"  family: {work.elapsed:.0f} s")
    return found


def judged(files, x_test, y_test):
    """Name → right answers [N], and the middle µs of a row, all measured in turns with one of them."""
    models = {name: lepton.load(path, resources=Resources(cpus=1)) for name, path in files.items()}
    reference = next(iter(models.values())).predictor
    found = {}
    for name, model in models.items():
        right = np.array(model.predict(x_test)) == y_test
        record = measure_latency(model.predictor, x_test, reference, clock=time.thread_time)
        found[name] = right, 1e6 * record.p50 / record.reference.p50
    quiet = 1e6 * measure_latency(reference, x_test, clock=time.thread_time).p50
    return {name: (right, ratio * 1e-6 * quiet) for name, (right, ratio) in found.items()}


def compare(found):
    """Prints the two fronts, and what the search has at the time of each member of the family."""
    for name, (right, micros) in sorted(found.items(), key=lambda each: each[1][1]):
        print(f"  {micros:7.1f} µs  {right.mean():.4f}  {name}")
    beaten = 0
    members = {name: each for name, each in found.items() if name.startswith("family")}
    others = {name: each for name, each in found.items() if name not in members}
    for name, (right, micros) in members.items():
        in_time = [each for each in others.values() if each[1] <= SAME_TIME * micros]
        best = max(in_time, key=lambda each: each[0].mean(), default=None)
        if best is None:
            print(f"  {name}: nothing searched is as quick")
            continue
        gain = best[0].astype(float) - right
        estimate = intervals(
            {"gain": lambda weights, gain=gain: weights @ gain / weights.sum(axis=1)}, len(gain), seed=0
        )
        beaten += gain.mean() >= 0
        print(f"  {name}: searched in no more time {gain.mean():+.4f} ({estimate['gain'].interval})")
    print(f"  as accurate or better at no more time: {beaten} of {len(members)} (target: all)")


def main():
    parser = argparse.ArgumentParser()
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--only", choices=tuple(ROWS))
    parser.add_argument("--within", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    within = options.within or SECONDS[options.full]
    for name in (options.only,) if options.only else ROWS:
        x, y, x_test, y_test = load(name, ROWS[name][options.full])
        print(f"{name}: {len(x):,} rows, {within} s each", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            files = searched(x, y, within, Path(folder), options.seed)
            files |= family(x, y, within, Path(folder), options.seed)
            compare(judged(files, x_test, y_test))


if __name__ == "__main__":
    main()
