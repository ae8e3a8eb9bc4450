"""Linear models of n-grams lose most of them and answer nearly the same."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, Manifest, TableInputs
from lepton.bundle.codecs import SEPARATOR
from lepton.core import ColumnRecord, Kind
from lepton.data.steps import Block, TextGrams
from lepton.evaluation import metric
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Setting, Subject
from lepton.optimization.lean.graphs import values_inside
from lepton.optimization.lean.rows import Rows
from lepton.optimization.lean.steps.sparse_linear import SparseLinear
from lepton.training.answers import emit_answers
from lepton.training.base import Problem
from lepton.training.front import graph_inputs
from lepton.training.tasks import Scale
from tests.optimization.lean.tables import WORK, made_subject

ROWS = 240


@pytest.fixture(scope="module")
def subject():
    """A mean of two linear models of words, of whose 150 words ten matter; one also looks at a number."""
    generator = np.random.default_rng(0)
    words = [f"w{place}" for place in range(150)]
    drawn = generator.choice(150, size=(ROWS, 12))
    texts = np.array([SEPARATOR.join(" ".join(words[place] for place in row)) for row in drawn], dtype=object)[:, None]
    block = Block(np.empty((ROWS, 0)), (), pl.DataFrame({"text": texts[:, 0].tolist()}))
    grams = TextGrams.fit(block, columns=("text",), unit="word", longest=2, min_count=2)
    inputs = TableInputs((ColumnRecord("x", Kind.NUMBER), ColumnRecord("text", Kind.CATEGORY)))
    builder = GraphBuilder()
    tensors = graph_inputs(builder, inputs)
    weights = grams.emit_weights(builder, tensors)
    assert weights is not None
    assert tensors.numbers is not None
    coefficients = generator.normal(size=(grams.num_grams, 1)) * 0.02
    coefficients[:10] *= 500.0
    one = builder.node("Gemm", [weights, builder.constant(coefficients), builder.constant(np.array([0.1]))])
    beside = builder.node("Concat", [tensors.numbers, weights], axis=1)
    other = np.vstack([[[0.5]], coefficients])
    two = builder.node("Gemm", [beside, builder.constant(other), builder.constant(np.array([-0.3]))])
    halves = [builder.node("Mul", [part, builder.constant(0.5)]) for part in (one, two)]
    raw = builder.mark("raw", builder.node("Add", halves))
    problem = Problem("binary", 2, ROWS)
    outputs = emit_answers(builder, problem, raw, ("no", "yes"), Scale())
    manifest = Manifest(
        name="words",
        task="binary",
        inputs=inputs.columns,
        codecs={},
        outputs=outputs,
        labels=("no", "yes"),
        target=None,
        lineage={},
        inner=dict(builder.inner),
    )
    draft = Draft(manifest, builder.finish({"lepton.inputs": inputs.metadata()}), {}, {}, {"kind": b"none"})
    rows = {"numbers": generator.normal(size=(ROWS, 1)), "strings": texts}
    with draft.opened() as predictor:
        given = predictor.run(rows)["probabilities"]
    truth = (generator.random(ROWS) < given[:, 1]).astype(np.int64)
    nothing = pl.DataFrame({"x": np.zeros(ROWS)})
    answers = Answers("binary", "y", ("no", "yes"), truth, given.argmax(axis=1), given, None, None, nothing)
    whole = Rows(rows, answers)
    half = ROWS // 2
    return Subject(draft, whole.take(np.arange(half)), whole.take(np.arange(half, ROWS)), metric("log_loss", "binary"))


def test_few_words_say_nearly_the_same(subject):
    step = SparseLinear()
    assert step.refuses(subject, subject.original) is None
    setting = Setting("30", {"grams": 30})
    draft = step.apply(subject, subject.original, setting, WORK)
    assert len(draft.graph) < 0.5 * len(subject.original.graph)
    before, after = (
        values_inside(each.graph, ["raw"], subject.choose.tensors)["raw"][:, 0] for each in (subject.original, draft)
    )
    assert np.corrcoef(before, after)[0, 1] > 0.9
    with draft.opened() as predictor:
        given = predictor.run(subject.choose.tensors)["probabilities"]
    np.testing.assert_allclose(given.sum(axis=1), 1.0)
    # What came out is of the same form: it can be made smaller again.
    assert step.refuses(subject, draft) == "it has not many more than 50 n-grams"


def test_settings_go_from_mild_to_strong(subject):
    counts = [setting.values["grams"] for setting in SparseLinear().settings(subject, subject.original)]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= 50


def test_all_words_and_no_drawing_back_change_nothing_but_the_form(subject):
    draft = SparseLinear().apply(subject, subject.original, Setting("all", {"grams": 10_000}), WORK)
    assert draft.manifest.inner["features"] in draft.graph.decode("latin-1")
    assert draft.graph.count(b"Gemm") < subject.original.graph.count(b"Gemm")


def test_other_models_are_refused():
    subject = made_subject(rows=40, trees=1)
    assert "no linear model of n-grams" in str(SparseLinear().refuses(subject, subject.original))
