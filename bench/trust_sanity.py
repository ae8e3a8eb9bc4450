"""Checks of explanations from the literature, on models that are made here; exit code 1 where one fails.

    python bench/trust_sanity.py --quick        # about 2 minutes
    python bench/trust_sanity.py --full         # more pictures, methods and seeds

1. Model randomisation (Adebayo et al., "Sanity checks for saliency maps", 2018): the weights of the graph are shuffled,
   and explanations must change. Told is the rank correlation of the sizes of values before and after, which for the
   same weights and another seed is the ceiling: what sampling alone takes away.
2. A planted feature is found first: of tables one column of 30 decides, of pictures one place of 49, of texts one word
   of 40. Told is the share of cases in which it comes first.
3. Insertion and deletion (Petsiuk, Das & Saenko 2018) on MNIST: the pixels are put in, and taken away, the most
   important first; told is the area under the probability, beside that of a random order of regions of the same size,
   paired picture by picture, with 95 % intervals over pictures. The margin that is wanted: insertion at least 0.15
   above random, deletion at least 0.10 below.

The net is a LeptonNet of width 0.25 that learns MNIST for one epoch; without the data that part is skipped.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnx
import polars as pl
from onnx import numpy_helper

import lepton
from lepton.bundle import open_model, read_bundle, write_bundle
from lepton.evaluation.explain import explain_table
from lepton.evaluation.explain.files import explain_file

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
INSERTION, DELETION, CHANGED, FIRST = 0.15, 0.10, 0.5, 0.95
STEPS = 28


def main():
    """All checks; 1 where one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path, default=SHARED)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [*tables(Path(folder), 20 if asked.quick else 100), *pictures(Path(folder), asked)]
    for title, holds in verdicts:
        print(f"{'holds ' if holds else 'FAILS '} {title}")
    return 0 if all(holds for _, holds in verdicts) else 1


def tables(folder, cases):
    """A planted column of 30, found by the contributions to single answers; and shuffled trees."""
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{place}": generator.normal(size=2_000) for place in range(30)})
    y = (frame["x17"] + 0.2 * generator.normal(size=2_000) > 0).cast(pl.Int8)
    table = lepton.read(frame.with_columns(y=pl.when(y == 1).then(pl.lit("yes")).otherwise(pl.lit("no"))))
    model = lepton.train(
        table, target="y", within="20s", learners=["lightgbm"], effort="fast", output=folder / "t.lepton"
    )
    rows = frame.head(cases)
    before = values_of(model.predictor, rows)
    first = np.mean(np.abs(before).argmax(axis=1) == 17)
    print(f"table: the planted column of 30 is first in {first:.0%} of {cases} answers")
    shuffled = shuffled_model(folder / "t.lepton", folder / "t-shuffled.lepton")
    kept = rank_correlation(before, values_of(shuffled, rows))
    print(f"table: rank correlation with the columns of its splits shuffled {kept:.2f}")
    return [
        (f"a planted column comes first: {first:.0%}, wanted {FIRST:.0%}", first >= FIRST),
        (f"shuffled weights change the explanation: {kept:.2f}, wanted at most {CHANGED}", kept <= CHANGED),
    ]


def values_of(predictor, rows):
    """Contributions [N, P] of the positive label."""
    return explain_table(predictor, rows, data=None, samples=None).values[:, :, -1]


def pictures(folder, asked):
    """MNIST: shuffled weights, planted places, insertion and deletion."""
    path = asked.data / "image/mnist/mnist.npz"
    if not path.exists():
        print("pictures: skipped, there is no MNIST here")
        return []
    from lepton.models import LeptonNet

    data = np.load(path)
    rows = 10_000 if asked.quick else 60_000
    net = LeptonNet((28, 28, 1), 10, width=0.25)
    net.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    net.fit(data["x_train"][:rows], data["y_train"][:rows], batch_size=64, epochs=1, verbose=0)
    net.save(str(folder / "mnist.lepton"))
    predictor = open_model(folder / "mnist.lepton")
    x, y = data["x_test"][:, :, :, None], data["y_test"]
    right = np.array([str(p) for p in np.asarray(predictor.predict(x[:1_000])).tolist()]) == y[:1_000].astype(str)
    print(f"pictures: accuracy {right.mean():.3f} on 1,000 test rows after one epoch of {rows:,}")
    chosen = x[:1_000][right][: 20 if asked.quick else 100]
    return [*curves(predictor, chosen, asked), *randomised(folder, predictor, chosen), *planted(folder, asked)]


def curves(predictor, chosen, asked):
    """Insertion and deletion of three methods beside a random order."""
    generator = np.random.default_rng(1)
    noise = [np.repeat(np.repeat(generator.random((7, 7)), 4, 0), 4, 1) for _ in chosen]
    random = [
        areas(predictor, picture, heat, seed) for seed, (picture, heat) in enumerate(zip(chosen, noise, strict=True))
    ]
    verdicts = []
    for method in ("shapley", "occlusion", "rise"):
        found = explain_file(predictor, chosen, method=method).files
        made = [areas(predictor, p, f.values, seed) for seed, (p, f) in enumerate(zip(chosen, found, strict=True))]
        gains = np.array(made) - np.array(random)
        means, errors = gains.mean(axis=0), 1.96 * gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
        print(
            f"pictures, {method}: insertion {np.mean(made, axis=0)[0]:.3f}, deletion {np.mean(made, axis=0)[1]:.3f}; "
            f"against random {means[0]:+.3f} ± {errors[0]:.3f} and {means[1]:+.3f} ± {errors[1]:.3f} "
            f"({len(chosen)} pictures)"
        )
        holds = means[0] - errors[0] >= INSERTION and means[1] + errors[1] <= -DELETION
        wanted = f"insertion {means[0]:+.2f} (wanted +{INSERTION}), deletion {means[1]:+.2f} (wanted -{DELETION})"
        verdicts.append((f"{method} better than random: {wanted}", bool(holds)))
    return verdicts


def areas(predictor, picture, heat, seed):
    """Areas under the probability of the answered label as pixels come in, and as they go."""
    height, width = picture.shape[:2]
    rows = np.arange(height) * heat.shape[0] // height
    columns = np.arange(width) * heat.shape[1] // width
    large = heat[rows][:, columns]
    ties = np.random.default_rng(seed).random(large.shape) * 1e-9 * max(np.abs(large).max(), 1e-12)
    order = np.argsort(-(large + ties).ravel(), kind="stable")
    hidden = np.full_like(picture, round(float(picture.mean()))).ravel()
    label = int(np.argmax(predictor.outputs(picture[None])["probabilities"][0]))
    counts = np.linspace(0, len(order), STEPS + 1).astype(int)
    batch = np.stack([
        variant for count in counts for variant in (
            mixed(picture.ravel(), hidden, order[:count]), mixed(hidden, picture.ravel(), order[:count])
        )
    ]).reshape(-1, *picture.shape)  # fmt: skip
    probabilities = predictor.outputs(batch)["probabilities"][:, label]
    return [float(np.trapezoid(part, dx=1 / STEPS)) for part in (probabilities[0::2], probabilities[1::2])]


def mixed(shown, hidden, places):
    """`hidden` with the places of `shown`."""
    out = hidden.copy()
    out[places] = shown[places]
    return out


def randomised(folder, predictor, chosen):
    """Shuffled weights, beside another seed of the same weights."""
    few = chosen[:5]
    files = [explain_file(predictor, few, seed=seed).files for seed in (0, 1)]
    before, again = (np.stack([each.values.ravel() for each in found]) for found in files)
    labels = [each.label for each in files[0]]
    other = shuffled_model(folder / "mnist.lepton", folder / "mnist-shuffled.lepton")
    pairs = zip(few, labels, strict=True)
    after = np.stack([explain_file(other, [one], label=label).files[0].values.ravel() for one, label in pairs])
    same, kept = rank_correlation(before, again), rank_correlation(before, after)
    print(f"pictures: rank correlation with shuffled weights {kept:.2f}; with another seed {same:.2f}")
    title = f"shuffled weights change the explanation: {kept:.2f}, wanted at most {CHANGED}; another seed {same:.2f}"
    return [(title, kept <= CHANGED < same)]


def planted(folder, asked):
    """Places of pictures and words of texts that alone decide."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.bundle.pictures import write_brightness
    from tests.evaluation.explain.file_models import counting_model

    generator = np.random.default_rng(2)
    cases = 20 if asked.quick else 200
    write_brightness(folder / "light.lepton")
    light, counting = open_model(folder / "light.lepton"), counting_model(folder, {"!": 1.0})
    seen = {"places of 49": 0, "words of 40": 0}
    for _ in range(cases):
        place, word = generator.integers(49), generator.integers(40)
        picture = generator.integers(0, 100, (28, 28, 3)).astype(np.uint8)
        picture[4 * (place // 7) : 4 * (place // 7) + 4, 4 * (place % 7) : 4 * (place % 7) + 4] = 255
        seen["places of 49"] += int(explain_file(light, [picture]).files[0].added.argmax() == place)
        words = ["word"] * 40
        words[word] = "word!"
        seen["words of 40"] += int(explain_file(counting, [" ".join(words)], samples=800).values[0].argmax() == word)
    return [
        (f"planted {what} come first: {count / cases:.0%}, wanted {FIRST:.0%}", count / cases >= FIRST)
        for what, count in seen.items()
    ]


def shuffled_model(source, target):
    """The same model with its larger tensors, and of trees the columns of their splits, in another order."""
    bundle = read_bundle(source)
    model = onnx.load_from_string(bundle.graph)
    generator = np.random.default_rng(3)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and values.size >= 4:
            mixed_up = generator.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(mixed_up, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type.startswith("TreeEnsemble") and attribute.name == "nodes_featureids":
                attribute.ints[:] = generator.permutation(list(attribute.ints)).tolist()
    names = bundle.names
    write_bundle(
        target,
        manifest=replace(bundle.manifest, members={}),
        graph=model.SerializeToString(),
        assets={name[7:]: bundle.member(name) for name in names if name.startswith("assets/")},
        baseline={name[9:]: bundle.member(name) for name in names if name.startswith("baseline/")},
    )
    return open_model(target)


def rank_correlation(first, second):
    """Spearman's correlation of the sizes of values, row by row, in the mean."""
    ranks = [np.argsort(np.argsort(np.abs(each), axis=1), axis=1).astype(float) for each in (first, second)]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


if __name__ == "__main__":
    sys.exit(main())
