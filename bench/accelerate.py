"""`lepton accelerate` on twelve clean exports, against the better of one and two threads of plain onnxruntime.

    python bench/accelerate.py [--quick | --full]

Nets, transformers, boosted trees and a pipeline, made here with seeds and weights by chance: time does not depend on
what a model has learned. All times are of one row, `session.run` of plain onnxruntime with default options and one or
two threads beside `Predictor.run` of the file that `accelerate` has written, in turns, block by block. The
roofline is the time that arithmetic or memory alone would take at the measured peaks of one thread.
"""

import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import lepton
from lepton.bundle import open_model, read_bundle
from lepton.optimization.accelerate.rows import rows_to_measure, take_rows

BLOCKS = 41 if "--full" in sys.argv else 21
WITHIN = "60s" if "--full" in sys.argv else "30s"
OPENINGS = 21 if "--full" in sys.argv else 11
BLOCK_SECONDS = 0.03


# --- the zoo -----------------------------------------------------------------------------------------------------


def conv(torch, channels, width, stride=1, groups=1, kernel=3):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def resnet18(torch):
    from torch import nn

    class Block(nn.Module):
        def __init__(self, channels, width, stride):
            super().__init__()
            self.first = conv(torch, channels, width, stride)
            self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
            self.short = nn.Conv2d(channels, width, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x):
            return torch.relu(self.second(self.first(x)) + self.short(x))

    layers = [conv(torch, 3, 64)]
    for channels, width, stride in [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]:
        layers += [Block(channels, width, stride), Block(width, width, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)), (3, 32, 32)


def mobilenet(torch):
    from torch import nn

    layers, channels = [conv(torch, 3, 32, 2)], 32
    for width, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1)]:
        layers += [conv(torch, channels, channels, stride, channels), conv(torch, channels, width, kernel=1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)), (3, 96, 96)


def mlp(torch):
    from torch import nn

    sizes = [64, 256, 256, 128]
    layers = [each for a, b in itertools.pairwise(sizes) for each in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(128, 10)), (64,)


def cnn_1d(torch):
    from torch import nn

    layers, channels = [], 6
    for width in (32, 64, 64):
        layers += [nn.Conv1d(channels, width, 5, 2, 2), nn.BatchNorm1d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 6)), (6, 128)


def bert(torch, layers, width, length=64):
    from torch import nn

    class Encoder(nn.Module):
        """A BERT of random weights, written out: embeddings, attention, feed-forward, a head."""

        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(2_000, width), nn.Embedding(length, width)
            self.norm = nn.LayerNorm(width)
            self.layers = nn.ModuleList(nn.ModuleDict({
                "q": nn.Linear(width, width), "k": nn.Linear(width, width), "v": nn.Linear(width, width),
                "o": nn.Linear(width, width), "n": nn.LayerNorm(width), "up": nn.Linear(width, 4 * width),
                "down": nn.Linear(4 * width, width), "m": nn.LayerNorm(width),
            }) for _ in range(layers))  # fmt: skip
            self.head = nn.Linear(width, 2)

        def forward(self, tokens):
            x = self.norm(self.words(tokens) + self.places.weight)
            heads = width // 64

            def split(y):
                return y.reshape(y.shape[0], length, heads, 64).transpose(1, 2)

            for layer in self.layers:
                q, k, v = (split(layer[name](x)) for name in "qkv")
                weights = torch.softmax(q @ k.transpose(2, 3) / 8.0, -1)
                mixed = (weights @ v).transpose(1, 2).reshape(x.shape[0], length, width)
                x = layer["n"](x + layer["o"](mixed))
                x = layer["m"](x + layer["down"](nn.functional.gelu(layer["up"](x))))
            return self.head(x[:, 0])

    return Encoder(), (length,)


def from_torch(make, path, *arguments):
    import torch

    torch.manual_seed(0)
    net, shape = make(torch, *arguments)
    whole = make is bert
    sample = np.random.default_rng(0).integers(0, 2_000, (4, *shape)) if whole else np.random.default_rng(0).normal(
        size=(4, *shape)).astype(np.float32)  # fmt: skip
    return lepton.import_model(net.eval(), sample=sample, output=path)


def trees(path, count, leaves, classes):
    import lightgbm

    random = np.random.default_rng(0)
    x = random.normal(size=(4_000, 14))
    score = x[:, 0] * 2 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3]
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])) if classes else score
    kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    fitted = kind(n_estimators=count, num_leaves=leaves, n_jobs=1, verbose=-1, random_state=0).fit(x, y)
    return lepton.import_model(fitted, sample=x[:64], output=path)


def pipeline(path):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    random = np.random.default_rng(0)
    x = random.normal(size=(2_000, 10))
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)
    steps = SimpleImputer(), StandardScaler(), PolynomialFeatures(2), RandomForestClassifier(50, max_depth=8, n_jobs=1)
    return lepton.import_model(make_pipeline(*steps).fit(x, y), sample=x[:64], output=path)


def lepton_net(path):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (96, 28, 28, 1), dtype=np.uint8), np.arange(96) % 10
    net = lepton.LeptonNet((28, 28, 1), 10)
    net.compile()
    net.fit(x, y, epochs=1, verbose=0)
    net.save(path)
    return lepton.load(path)


ZOO = {
    "LeptonNet": lepton_net,
    "ResNet-18, 32 px": lambda path: from_torch(resnet18, path),
    "MobileNet, 96 px": lambda path: from_torch(mobilenet, path),
    "MLP": lambda path: from_torch(mlp, path),
    "CNN of one dimension": lambda path: from_torch(cnn_1d, path),
    "BERT-tiny (2 × 128)": lambda path: from_torch(bert, path, 2, 128),
    "BERT-mini (4 × 256)": lambda path: from_torch(bert, path, 4, 256),
    "BERT-small (4 × 512)": lambda path: from_torch(bert, path, 4, 512),
    "LightGBM, 50 × 15": lambda path: trees(path, 50, 15, 0),
    "LightGBM, 400 × 63": lambda path: trees(path, 400, 63, 0),
    "LightGBM, 5 classes": lambda path: trees(path, 100, 31, 5),
    "scikit-learn, pipeline": pipeline,
}

# --- measuring ---------------------------------------------------------------------------------------------------


def session(graph, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def timed(call):
    """Median seconds of a call in a block of calls, after two that do not count."""
    call(), call()
    times, ends = [], time.perf_counter() + BLOCK_SECONDS
    while len(times) < 3 or time.perf_counter() < ends:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def in_turns(forms, rounds):
    """Name → seconds of each round; the order turns, and threads that still spin fall asleep in between."""
    times, names = {name: [] for name in forms}, list(forms)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(0.003)
            times[name].append(timed(forms[name]))
    return times


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:5.2f} ({low:.2f} to {high:.2f})"


def quickness(path, quick):
    """Ratios of the better of one and two threads of plain onnxruntime to the accelerated file, and the roofline."""
    started = time.perf_counter()
    model = lepton.accelerate(path, output=quick, within=WITHIN)
    took = time.perf_counter() - started
    graph = read_bundle(path).graph
    one, two = session(graph, 1), session(graph, 2)
    predictor = lepton.load(quick).predictor
    row = take_rows(rows_to_measure(predictor, 1, 0), 1)
    feeds = {each.name: row[each.name] for each in one.get_inputs()}
    forms = {
        "ours": lambda: predictor.run(row),
        "one": lambda: one.run(None, feeds),
        "two": lambda: two.run(None, feeds),
    }
    times = in_turns(forms, BLOCKS)
    better = min(("one", "two"), key=lambda name: statistics.median(times[name]))
    ratios = [plain / ours for plain, ours in zip(times[better], times["ours"], strict=True)]
    found = model.acceleration
    roof = found.profile.least_seconds / statistics.median(times[better])
    what = "; ".join([*found.rewrites, found.settings.text()]) if found.won else "nothing is clearly quicker"
    return ratios, statistics.median(times[better]), better, roof, took, what


def opening(path):
    """Ratio of opening a bundle and its first prediction to the same with the graph alone, in fresh sessions."""
    graph = Path(path).with_suffix(".onnx")
    graph.write_bytes(read_bundle(path).graph)
    row = take_rows(rows_to_measure(lepton.load(path).predictor, 1, 0), 1)

    def plain():
        made = session(str(graph), 1)
        made.run(None, {each.name: row[each.name] for each in made.get_inputs()})

    def ours():
        open_model(path).run(row)

    ratios, seconds = [], []
    plain(), ours()
    for number in range(OPENINGS):
        took = {}
        for call in (plain, ours) if number % 2 else (ours, plain):
            started = time.perf_counter()
            call()
            took[call] = time.perf_counter() - started
        ratios.append(took[ours] / took[plain])
        seconds.append(took[plain])
    return ratios, statistics.median(seconds)


def main():
    gains, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, make) in enumerate(ZOO.items()):
            paths[name] = Path(folder) / f"{number}.lepton"
            make(paths[name])
        print(
            "one row: time of plain onnxruntime, the better of one and two threads, over that of the accelerated file"
        )
        for name, path in paths.items():
            ratios, seconds, better, roof, took, what = quickness(path, path.with_name(f"quick-{path.name}"))
            gains.append(statistics.median(ratios))
            slow += [name] if gains[-1] < 0.98 else []
            print(
                f"  {name:24}{spread(ratios)}  {seconds * 1e6:9,.1f} µs with {better} thread(s), roofline {roof:4.0%}, "
                f"answer after {took:4.1f} s: {what}",
                flush=True,
            )
        print(f"geometric mean {statistics.geometric_mean(gains):.3f} (wanted: 1.15); below 0.98: {slow or 'none'}")
        print(
            "opening and first prediction: time of open_model(path).run over that of plain onnxruntime with the graph"
        )
        for name, path in paths.items():
            ratios, seconds = opening(path)
            print(f"  {name:24}{spread(ratios)}  {seconds * 1e3:7.2f} ms (limit 1.3)")


if __name__ == "__main__":
    main()
