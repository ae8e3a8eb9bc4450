"""Model files whose weaknesses are planted: how much of what goes in comes out is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, Predictor, TensorRecord, open_model, write_bundle
from lepton.bundle.build import ML_DOMAIN
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.bundle.tensor_records import describe_tensors
from lepton.core import ColumnRecord, Kind
from lepton.data import Dataset, read
from tests.bundle.pictures import AUDIO, CLIP, picture_bytes, sound_bytes, write_brightness, write_tensors

CREDIT = (
    ColumnRecord("income", Kind.NUMBER),
    ColumnRecord("age", Kind.NUMBER),
    ColumnRecord("sex", Kind.CATEGORY, "string"),
    ColumnRecord("note", Kind.TEXT, "string"),
)
LABELS = ("paid", "default")


def credit_model(folder: Path, *, of_sex: float = 0.0, of_note: float = 0.0, trap: float = 0.0) -> Predictor:
    """The odds of default fall with income: -0.1 a unit, missing being 50; and by what is planted.

    Args:
        folder: where the file is written.
        of_sex: what sex f adds.
        of_note: what the note "late again" adds.
        trap: what an income above 90 adds below an age of 25.
    """
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    strings = builder.input("strings", "string", ["N", 2])
    one, two = builder.constant(np.array([1])), builder.constant(np.array([1, 1]))
    raw_income, age = builder.node("Split", [numbers, two], axis=1, outputs=2)
    gone = builder.node("IsNaN", [raw_income])
    income = builder.node("Where", [gone, builder.constant(np.array([[50.0]])), raw_income])
    sex, note = builder.node("Split", [strings, two], axis=1, outputs=2)
    odds = builder.node("Mul", [builder.node("Sub", [income, builder.constant(50.0)]), builder.constant(-0.1)])
    for text, key, weight in ((sex, "f", of_sex), (note, "late again", of_note)):
        coded = builder.node(
            "LabelEncoder", [text], domain=ML_DOMAIN, keys_strings=[key], values_floats=[weight], default_float=0.0
        )
        odds = builder.node("Add", [odds, builder.node("Cast", [coded], to=11)])
    rich = builder.node("Greater", [income, builder.constant(90.0)])
    young = builder.node("Less", [age, builder.constant(25.0)])
    caught = builder.node("Cast", [builder.node("And", [rich, young])], to=11)
    odds = builder.node("Add", [odds, builder.node("Mul", [caught, builder.constant(trap)])])
    risk = builder.node("Sigmoid", [odds])
    shares = builder.node("Concat", [builder.node("Sub", [builder.constant(1.0), risk]), risk], axis=1)
    best = builder.node("Cast", [builder.node("Greater", [risk, builder.constant(0.5)])], to=7)
    labels = builder.node("Gather", [builder.constant(list(LABELS)), builder.node("Squeeze", [best, one])])
    builder.output("prediction", labels, "string", ["N"])
    builder.output("probabilities", shares, "double", ["N", 2])
    manifest = Manifest(
        name="credit",
        task="binary",
        inputs=CREDIT,
        outputs=(OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 2))),
        labels=LABELS,
        target=ColumnRecord("outcome", Kind.CATEGORY, "string"),
    )
    path = folder / "credit.lepton"
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(CREDIT))}))
    return open_model(path)


def applicants(rows: int = 300, seed: int = 0, *, of_sex: float = 0.0, **columns: Any) -> Dataset:
    """Rows of the credit model, with what sex f adds to the odds; nobody under 25 earns more than 80."""
    generator = np.random.default_rng(seed)
    age = generator.integers(18, 80, rows).astype(float)
    income = generator.normal(50, 15, rows).clip(5, 120)
    income = np.where(age < 25, income.clip(5, 80), income)
    sex = generator.choice(["f", "m"], rows)
    outcome = generator.random(rows) < 1 / (1 + np.exp(0.1 * (income - 50) - of_sex * (sex == "f")))
    frame = pl.DataFrame(
        {
            "income": income,
            "age": age,
            "sex": sex,
            "note": generator.choice(["late again", "always in time", "never seen before"], rows),
            "outcome": np.where(outcome, "default", "paid"),
            **columns,
        }
    )
    return read(frame, kinds={"note": "text", "sex": "category", "outcome": "category"})


def pictures(folder: Path, count: int = 12) -> tuple[Predictor, Dataset]:
    """A model of bright and dark pictures, and pictures of unequal size."""
    write_brightness(folder / "bright.lepton")
    for number in range(count):
        pixels = np.full((8 + number % 2, 9, 3), 70 + 110 * (number % 2), np.uint8)
        (folder / f"{number}.png").write_bytes(picture_bytes(pixels))
    labels = ["dark", "light"]
    table = {"photo": [f"{n}.png" for n in range(count)], "label": [labels[n % 2] for n in range(count)]}
    pl.DataFrame(table).write_csv(folder / "pictures.csv")
    return open_model(folder / "bright.lepton"), read(folder / "pictures.csv", kinds={"photo": "image"})


def sounds(folder: Path, count: int = 6) -> tuple[Predictor, Dataset]:
    """A model of the mean square of half a second, and tones of several volumes."""

    def emit(builder: GraphBuilder, names: list[str]) -> tuple[OutputRecord, ...]:
        square = builder.node("Mul", [names[0], names[0]])
        mean = builder.node("ReduceMean", [square, builder.constant(np.array([1]))], keepdims=0)
        builder.output("prediction", builder.node("Cast", [mean], to=11), "double", ["N"])
        return (OutputRecord("prediction", "double", ("N",)),)

    target = ColumnRecord("power", Kind.NUMBER)
    write_tensors(folder / "loud.lepton", (AUDIO,), (CLIP,), emit, task="regression", target=target)
    powers = []
    for number in range(count):
        tone = 0.1 * (number + 1) * np.sin(np.arange(800) * (0.2 + 0.05 * number))
        (folder / f"{number}.wav").write_bytes(sound_bytes(tone.astype(np.float32), 8_000))
        powers.append(float(np.mean(tone**2)))
    pl.DataFrame({"clip": [f"{n}.wav" for n in range(count)], "power": powers}).write_csv(folder / "sounds.csv")
    return open_model(folder / "loud.lepton"), read(folder / "sounds.csv", kinds={"clip": "audio"})


def text_model(folder: Path) -> Predictor:
    """Of a text as code points, how many characters it has."""
    records = (TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "int64", (None, None)))
    column = ColumnRecord("said", Kind.TEXT, "string")
    builder = GraphBuilder()
    builder.input("tokens", "int64", ["N", "L"])
    mask = builder.input("mask", "int64", ["N", "L"])
    total = builder.node("ReduceSum", [mask, builder.constant(np.array([1]))], keepdims=0)
    builder.output("prediction", builder.node("Cast", [total], to=11), "double", ["N"])
    codecs = {"said": "code-points/1"}
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_tensors(records, (column,), codecs))})
    manifest = Manifest(
        name="lengths",
        task="regression",
        inputs=(column,),
        tensors=records,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
        codecs=codecs,
        target=ColumnRecord("length", Kind.NUMBER),
    )
    write_bundle(folder / "lengths.lepton", manifest=manifest, graph=graph)
    return open_model(folder / "lengths.lepton")
