"""LeptonNet on pictures: accuracy, exits, and, with `--full`, other families of small nets under the same recipe.

    python bench/deep.py --quick        # MNIST twice and with exits, X-rays, colour pictures: about 12 minutes
    python bench/deep.py --full         # five seeds of each, 1 M parameters, exits of several promises, three families
    python bench/deep.py --full --only hands            # of these the trainings on one set: 20 minutes for hands
    python bench/deep.py --quick --seeds 5 --only mnist
    python bench/deep.py --quick --seeds 5 --only mnist --epochs 1
    python bench/deep.py --full --only mnist --families --rows 20000    # the families alone, on a third of the rows

Every training runs in a process of its own, with one thread, two at a time. Nothing is chosen on test rows, and all
sets have the same settings. Times of single trainings are those of one core beside another training.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS = ("mnist", "x-rays", "hands")
GOALS = {"mnist": 99.6, "x-rays": 90.0, "hands": 97.0}
FAMILIES = ("mobilenet-v3-small", "shufflenet-v2", "efficientnet-lite")
LATENCY_CALLS = 2_000
HANDS_TEST = 412  # of 2,062, a random fifth, the same in all runs


def load(name, shared):
    """Pictures [N, H, W, C] uint8 and classes, to learn from and to test on."""
    if name == "mnist":
        data = np.load(shared / "image/mnist/mnist.npz")
        return data["x_train"][..., None], data["y_train"], data["x_test"][..., None], data["y_test"]
    if name == "x-rays":
        data = np.load(shared / "medical/pneumoniamnist.npz")
        return tuple(data[f"{part}_{what}"].reshape(-1, *shape) for part in ("train", "test")
                     for what, shape in (("images", (28, 28, 1)), ("labels", ())))  # fmt: skip
    return hands(shared)


def hands(shared):
    """The photos of hands at 64 pixels."""
    from PIL import Image

    pictures, classes = [], []
    with zipfile.ZipFile(shared / "image/sign_digits/sign_digits.zip") as archive:
        for member in sorted(name for name in archive.namelist() if name.lower().endswith(".jpg")):
            picture = (
                Image.open(BytesIO(archive.read(member))).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
            )
            pictures.append(np.asarray(picture))
            classes.append(int(member.split("/")[-2]))
    order = np.random.default_rng(0).permutation(len(classes))
    x, y = np.stack(pictures)[order], np.array(classes)[order]
    return x[HANDS_TEST:], y[HANDS_TEST:], x[:HANDS_TEST], y[:HANDS_TEST]


def latency(path, rows):
    """Median µs of one row through the graph, one thread; over rows of the test set."""
    from lepton.bundle import read_bundle

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(read_bundle(path).graph, options)
    times = []
    for number in range(LATENCY_CALLS):
        row = rows[number % len(rows)][None]
        start = time.perf_counter()
        session.run(None, {"image": row})
        times.append(time.perf_counter() - start)
    return statistics.mean(times) * 1e6, statistics.median(times) * 1e6


def lepton_net(data, seed, epochs, options):
    """A training of LeptonNet as a user writes it."""
    from lepton.models import LeptonNet

    x, y, x_test, y_test = data
    net = LeptonNet(x.shape[1:], int(y.max()) + 1, seed=seed, **options)
    net.compile("adam", "categorical_crossentropy", ["accuracy"])
    start = time.monotonic()
    net.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    seconds = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.lepton")
        mean, median = latency(Path(folder) / "net.lepton", x_test)
    counts, share = net.exits_taken(x_test)
    whole = net.module.multiply_adds()[-1]
    found = {"left": counts.tolist(), "share": share, "parameters": net.num_parameters}
    if net.spec.exits:  # the same net without leaving early: what the exits cost and save
        found["whole"] = whole_net(net, x_test, y_test)
    accuracy = net.evaluate(x_test, y_test)[1]
    return found | {
        "accuracy": 100 * accuracy,
        "seconds": seconds,
        "multiply_adds": whole * share,
        "mean_us": mean,
        "us": median,
    }


def whole_net(net, x_test, y_test):
    """Accuracy and latency of a net with exits when no row leaves early."""
    kept = net.module.thresholds.clone()
    net.module.thresholds.fill_(2.0)
    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.lepton")
        mean, median = latency(Path(folder) / "net.lepton", x_test)
    accuracy = net.evaluate(x_test, y_test)[1]
    net.module.thresholds.copy_(kept)
    return {"accuracy": 100 * accuracy, "mean_us": mean, "us": median}


def peer(data, seed, epochs, options):
    """Another family under the same recipe and trainer."""
    import torch
    from deep_peers import MAKERS, multiply_adds

    from lepton.bundle.tensor_records import TensorRecord
    from lepton.training.nets.augment import LightAugment
    from lepton.training.nets.export import module_writer
    from lepton.training.nets.lepton_net import RECIPE
    from lepton.training.nets.writing import write_net
    from lepton.training.trainer import Trainer

    x, y, x_test, y_test = data
    torch.manual_seed(seed)
    module = MAKERS[options["family"]](x, int(y.max()) + 1, options["width"])
    trainer = Trainer(module, seed=seed).compile("adam", "categorical_crossentropy", ["accuracy"], learning_rate=4e-3)
    start = time.monotonic()
    trainer.fit(x, y, batch_size=128, epochs=epochs, recipe=RECIPE, augment=LightAugment(), verbose=0)
    seconds = time.monotonic() - start
    writer = module_writer(module, {"image": torch.from_numpy(x[:2])})
    tensors, labels = [TensorRecord("image", "uint8", (None, *x.shape[1:]))], range(int(y.max()) + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.lepton"
        write_net(path, name="peer", net=writer, task="multiclass", labels=labels, tensors=tensors)
        mean, median = latency(path, x_test)
    return {
        "accuracy": 100 * trainer.evaluate(x_test, y_test)[1],
        "seconds": seconds,
        "multiply_adds": multiply_adds(module, x[:1]),
        "mean_us": mean,
        "us": median,
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def one(task, shared, rows):
    """Run one training in this process; the result as JSON on standard output."""
    x, y, x_test, y_test = load(task["set"], shared)
    run = peer if "family" in task["options"] else lepton_net
    print(json.dumps(run((x[:rows], y[:rows], x_test, y_test), task["seed"], task["epochs"], task["options"])))


def tasks_of(full, seeds, sets, families):
    """What is trained, the longest first; the families alone, or all."""

    def task(name, seed=0, epochs=10, **options):
        return {"set": name, "seed": seed, "epochs": epochs, "options": options}

    if families:
        return [task(name, **options) for name in sets for options in family_options()]
    seeds = range(seeds or (5 if full else 1))
    tasks = [task("mnist", width=3.5)] if full else []
    tasks += [task("mnist", seed) for seed in (range(2) if len(seeds) == 1 else seeds)]
    tasks += [task("mnist", exits=promise) for promise in ((0.0, 0.001, "40%") if full else (0.001,))]
    tasks += [task(name, seed) for name in SETS[1:] for seed in seeds]
    tasks += [task("mnist", seed, epochs=1) for seed in seeds]
    for name in ("mnist", "hands") if full else ():
        tasks += [task(name, **options) for options in family_options()]
    return [task for task in tasks if task["set"] in sets]


def family_options():
    """LeptonNet and its peers at three widths."""
    for width in (1.0, 0.5, 0.25):
        yield from ({"width": width, "family": family} for family in FAMILIES)
        yield from ({"width": width}, {"width": width, "exits": 0.001})


def told(task, found):
    """One line of the table."""
    options = ", ".join(f"{key}={value}" for key, value in task["options"].items()) or "LeptonNet"
    text = (f"{task['set']:7} {options:40} seed {task['seed']} epochs {task['epochs']:2}: {found['accuracy']:.2f} % "
            f"{found['parameters']:,} parameters {found['multiply_adds'] / 1e6:.2f} M multiply-adds "
            f"{found['us']:.0f} µs (mean {found['mean_us']:.0f}) {found['seconds']:.0f} s")  # fmt: skip
    if "whole" in found:
        text += (f"; left {found['left']}, without leaving {found['whole']['accuracy']:.2f} % "
                 f"{found['whole']['us']:.0f} µs (mean {found['whole']['mean_us']:.0f})")  # fmt: skip
    return text


def at_equal_accuracy(results, name):
    """What LeptonNet needs where it is as accurate as each net of another family, as shares of what that one needs.

    Between two widths of LeptonNet its costs are read off on a logarithmic scale; below its narrowest they are those
    of the narrowest, which is unfair to it.
    """
    of_set = [(task["options"], found) for task, found in results if task["set"] == name and task["epochs"] > 1]
    for promised in (False, True):
        own = [f for o, f in of_set if "width" in o and "family" not in o and ("exits" in o) == promised]
        if len(own) < 2:
            continue
        own.sort(key=lambda found: found["accuracy"])
        scores = [found["accuracy"] for found in own]
        for options, other in ((o, f) for o, f in of_set if "family" in o):
            shares = []
            for cost in ("multiply_adds", "us"):
                needed = np.interp(other["accuracy"], scores, np.log([found[cost] for found in own]))
                shares.append(float(np.exp(needed)) / other[cost])
            told = f"{shares[0]:.2f} of the multiply-adds, {shares[1]:.2f} of the time of a row"
            if other["accuracy"] > scores[-1]:
                told = "not reached"
            peer_name = f"{options['family']} of width {options['width']} ({other['accuracy']:.2f} %)"
            way = "with exits" if promised else "without exits"
            print(f"{name}, as accurate as {peer_name}, LeptonNet {way}: {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", choices=SETS, help="this set, once for each; all by default")
    parser.add_argument("--seeds", type=int, help="of each training; 1 with --quick, but 2 of MNIST, and 5 with --full")
    parser.add_argument("--data", type=Path, default=SHARED, help="the folder of the data sets")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--families", action="store_true", help="LeptonNet against other families, and nothing else")
    parser.add_argument("--epochs", type=int, choices=(1, 10), help="only the trainings that take so many")
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(json.loads(arguments.one), arguments.data, arguments.rows)
        return

    def run(task):
        command = [sys.executable, __file__, "--one", json.dumps(task), "--data", str(arguments.data)]
        command += ["--rows", str(arguments.rows)] if arguments.rows else []
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        print(told(task, found), flush=True)
        return task, found

    start = time.monotonic()
    with ThreadPoolExecutor(arguments.processes) as pool:
        sets = arguments.only or SETS
        tasks = tasks_of(arguments.full, arguments.seeds, sets, arguments.families)
        results = list(pool.map(run, [t for t in tasks if arguments.epochs in (None, t["epochs"])]))
    print()
    for name in SETS:
        for epochs in sorted({task["epochs"] for task, _ in results if task["set"] == name}):
            scores = [found["accuracy"] for task, found in results
                      if task["set"] == name and task["epochs"] == epochs and not task["options"]]  # fmt: skip
            if scores:
                goal = GOALS[name] if epochs > 1 else 98.9
                print(f"{name}, {epochs} epochs: mean {statistics.mean(scores):.3f} %, lowest {min(scores):.2f} %, "
                      f"{len(scores)} seeds; wanted {goal} %")  # fmt: skip
        at_equal_accuracy(results, name)
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
