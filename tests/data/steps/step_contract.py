"""The contract of a row step, as a class that every registered step is tested through.

A step of a third party is tested the same way: subclass `StepContract` and say how the step is fitted.
"""

import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import polars as pl
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from lepton.bundle.build import GraphBuilder
from lepton.data.steps import Block, Step, Tensors, step_from_dict

WORDS = ["", "a", "A", "b", "é", "e\u0301", "Straße", "大", "🙂", "0:a", "1:", " a", "nan", "None", "x" * 300]
DAY = 86_400_000_000

plain_numbers = st.floats(-1e6, 1e6, allow_nan=False)
any_numbers = st.one_of(st.floats(), plain_numbers, st.integers(-3, 12).map(float), st.just(float("nan")))
dates = st.one_of(st.integers(-(10**15), 4 * 10**15).map(float), st.just(float("nan")))
texts = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)


def numbers(num_rows: int, num_columns: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return hypothesis_numpy.arrays(np.float64, (num_rows, num_columns), elements=values, fill=st.nothing())


@st.composite
def blocks(draw: Callable[..., Any], values: st.SearchStrategy[float], num_strings: int = 2) -> Block:
    """A block of 3 number columns and `num_strings` text columns, of 1 to 20 rows."""
    num_rows = draw(st.integers(1, 20))
    columns = {f"s{i}": draw(st.lists(texts, min_size=num_rows, max_size=num_rows)) for i in range(num_strings)}
    strings = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Block(draw(numbers(num_rows, 3, values)), ("n0", "n1", "n2"), strings)


def run_graph(step: Step, block: Block) -> tuple[np.ndarray | None, Tensors]:
    """The numbers that the step's ONNX form makes of the block, and where its columns are."""
    builder = GraphBuilder()
    tensors = Tensors(
        builder.input("numbers", "double", ["N", block.numbers.shape[1]]) if block.number_names else None,
        block.number_names,
        builder.input("strings", "string", ["N", block.strings.width]) if block.string_names else None,
        block.string_names,
    )
    tensors = step.emit(builder, tensors)
    if tensors.numbers is None:
        return None, tensors
    builder.output("out", tensors.numbers, "double", ["N", len(tensors.number_names)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(builder.finish(), options, providers=["CPUExecutionProvider"])
    feeds = {"numbers": block.numbers, "strings": block.strings.to_numpy().astype(object)}
    return session.run(["out"], {i.name: feeds[i.name] for i in session.get_inputs()})[0], tensors


def assert_equal(ours: np.ndarray, graph: np.ndarray, tolerance: float) -> None:
    """Equal with NaN for NaN and infinity for infinity, the rest to `tolerance` relative (0: to the last bit)."""
    if tolerance == 0.0:
        assert np.array_equal(ours, graph, equal_nan=True)
    else:
        np.testing.assert_allclose(graph, ours, rtol=tolerance, atol=0.0, equal_nan=True)


class StepContract:
    """What every row step must keep; a subclass names the step's class, its numbers and its tolerance."""

    step: ClassVar[type[Step]]
    values: ClassVar[st.SearchStrategy[float]] = any_numbers
    tolerance: ClassVar[float] = 0.0

    def test_both_forms_agree_on_rows_never_seen(self):
        @given(blocks(self.values), blocks(self.values))
        def check(seen: Block, unseen: Block) -> None:
            step = self.step.fit(seen)
            for block in (seen, unseen):
                applied = step.apply(block)
                graph, tensors = run_graph(step, block)
                assert tensors.number_names == applied.number_names
                assert tensors.string_names == applied.string_names
                assert graph is not None
                assert_equal(applied.numbers, graph, self.tolerance)

        check()

    def test_state_is_json_and_comes_back(self):
        @given(blocks(self.values))
        def check(block: Block) -> None:
            step = self.step.fit(block)
            assert step_from_dict(json.loads(json.dumps(step.to_dict(), allow_nan=False))) == step

        check()

    def test_rows_do_not_see_their_neighbours(self):
        @given(blocks(self.values))
        def check(block: Block) -> None:
            step = self.step.fit(block)
            together = step.apply(block)
            alone = step.apply(block.take(np.array([0])))
            assert np.array_equal(alone.numbers, together.numbers[:1], equal_nan=True)

        check()

    def test_texts_alone_and_numbers_alone(self):
        no_numbers = Block(np.empty((2, 0)), (), pl.DataFrame({"s": ["a", ""]}))
        no_texts = Block(np.array([[1.0], [np.nan]]), ("n",), pl.DataFrame())
        for block in (no_numbers, no_texts):
            step = self.step.fit(block)
            graph, _ = run_graph(step, block)
            applied = step.apply(block)
            assert (graph is None) == (applied.numbers.shape[1] == 0)
            if graph is not None:
                assert_equal(applied.numbers, graph, self.tolerance)

    def test_added_columns_never_collide(self):
        block = Block(
            np.array([[0.0, 1.0], [DAY * 400.5, np.nan], [np.nan, 2.0]]),
            ("a", "a is missing"),
            pl.DataFrame({"a=0": ["x", "y", ""], "year(a)": ["x", "y", "z"]}),
        )
        applied = self.step.fit(block).apply(block)
        names = [*applied.number_names, *applied.string_names]
        assert len(set(names)) == len(names)
