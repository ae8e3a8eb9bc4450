"""A model of a table that carries dead weight, and steps that throw some of it overboard."""

import json
from typing import ClassVar

import numpy as np
import polars as pl

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, DataError, ErrorCode, Interrupted, Kind
from lepton.optimization.lean.base import Setting, Stage, Step

NAMES = ("width", "height", "depth", "weight_kg")
COLUMNS = tuple(ColumnRecord(name, Kind.NUMBER) for name in NAMES)
LABELS = ("box", "crate", "tube")
BALLAST = 4_000
_WEIGHTS = np.random.default_rng(5).normal(size=(4, 3))
_WRONG = np.random.default_rng(6).normal(size=(4, 3))

STEPS = {
    name: f"tests.optimization.lean.ballast:{name.title()}"
    for name in ("cut", "fine", "chip", "learn", "crash", "idle")
}


def graph(ballast=BALLAST, wrong=0.0):
    """Scores of three classes, `ballast` columns that add nothing, and weights that are off by `wrong`."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 4])
    dead = builder.node("MatMul", [numbers, builder.constant(np.ones((4, ballast)))])
    nothing = builder.node("MatMul", [dead, builder.constant(np.zeros((ballast, 3)))])
    scores = builder.node("MatMul", [numbers, builder.constant(_WEIGHTS + wrong * _WRONG)])
    raw = builder.mark("raw", builder.node("Add", [scores, nothing]))
    best = builder.node("ArgMax", [raw], axis=1, keepdims=0)
    called = builder.node("Gather", [builder.constant(np.array(LABELS, dtype=object)), best])
    builder.output("prediction", called, "string", ["N"])
    builder.output("probabilities", builder.node("Softmax", [raw], axis=1), "double", ["N", 3])
    return builder.finish({INPUTS_KEY: json.dumps(describe_inputs(COLUMNS, {}))})


def write_heavy(path, lineage=None):
    """The model file."""
    outputs = (OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 3)))
    manifest = Manifest(
        name="parcels",
        task="multiclass",
        inputs=COLUMNS,
        outputs=outputs,
        labels=LABELS,
        target=ColumnRecord("form", Kind.CATEGORY, dtype="string"),
        codecs={},
        lineage=lineage or {},
        inner={"raw": "raw"},
    )
    write_bundle(path, manifest=manifest, graph=graph(), training={"kind": b"none"})
    return path


def parcels(rows=4_000, seed=0):
    """Rows of which the model knows most."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(rows, 4))
    noisy = numbers @ _WEIGHTS + generator.normal(size=(rows, 3)) * 0.3
    frame = pl.DataFrame(dict(zip(NAMES, numbers.T, strict=True)))
    forms = pl.Series("form", [LABELS[place] for place in noisy.argmax(axis=1)])
    return frame.with_columns(forms, shop=pl.Series(generator.choice(["north", "south"], rows)))


class Cut(Step):
    """Less ballast; from the third setting on answers change, from the fourth on too many."""

    name = "cut"
    stage = Stage.STRUCTURE
    applied: ClassVar[list[str]] = []

    def refuses(self, subject, draft):
        return None

    def settings(self, subject, draft):
        steps = ((2_000, 0.0), (1_000, 0.0), (500, 0.002), (230, 0.5), (100, 2.0))
        return [Setting(f"{left} left", {"left": left, "wrong": wrong}) for left, wrong in steps]

    def apply(self, subject, draft, setting, work):
        self.applied.append(setting.text)
        return draft.changed(self.name, setting, graph=graph(setting.values["left"], setting.values["wrong"]))


class Fine(Cut):
    """As `Cut`, in many steps, each a little worse than the one before."""

    name = "fine"

    def settings(self, subject, draft):
        return [Setting(f"wrong {n}", {"left": 2_000 - 180 * n, "wrong": 0.03 * n}) for n in range(11)]


class Chip(Cut):
    """A little less than what `Cut` left."""

    name = "chip"
    stage = Stage.PRECISION

    def settings(self, subject, draft):
        before = dict(draft.steps[-1][1].values) if draft.steps else {"left": BALLAST, "wrong": 0.0}
        return [Setting("a tenth off", {"left": before["left"] * 9 // 10, "wrong": before["wrong"]})]


class Learn(Cut):
    """Needs half a minute, and has nothing to give."""

    name = "learn"
    learns = True

    def apply(self, subject, draft, setting, work):
        assert len(subject.learn) > len(subject.choose)
        if work.within is not None and work.within < 30:  # of a minute; asked again, it is given more
            raise Interrupted(ErrorCode.INTERRUPTED, "the time is over")
        return draft.changed(self.name, setting, graph=graph(BALLAST - 1))


class Crash(Cut):
    """Cannot do it."""

    name = "crash"

    def apply(self, subject, draft, setting, work):
        if setting.values["left"] > 300:
            raise ZeroDivisionError("by nought")
        raise DataError(ErrorCode.NO_GRAPH_FORM, "no such graph")


class Idle(Cut):
    """Has nothing to do."""

    name = "idle"

    def refuses(self, subject, draft):
        return "there is no attic"
