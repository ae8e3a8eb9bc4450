"""Rules: they find what was planted, say what they do, and the graph does the same."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import GraphBuilder
from lepton.core import Interrupted, Resources, Work
from lepton.data.steps import Block, Tensors, apply_steps
from lepton.training.base import Problem, Rows
from lepton.training.learners.rules import Rules
from lepton.training.learners.rules_search import simple_between
from tests.training.test_learners import session

WORK = Work(resources=Resources(cpus=1))
NAMES = ("size", "when", "new")
TOWNS = ("Oslo", "Bergen", "Rome")
DAY = 86_400e6
PROBLEMS = {"regression": 0, "binary": 2, "multiclass": 3}


def table(task, num_rows=600, seed=0):
    """Rows of three planted groups: large ones in Oslo, those of unknown size, and the rest."""
    rng = np.random.default_rng(seed)
    size = np.where(rng.random(num_rows) < 0.15, np.nan, rng.normal(50, 20, num_rows))
    when = np.floor(rng.integers(19_000, 20_000, num_rows) * DAY)
    numbers = np.column_stack([size, when, rng.integers(0, 2, num_rows)])
    towns = np.array(TOWNS)[rng.integers(0, 3, num_rows)]
    group = np.where(np.isnan(size), 1.0, np.where((towns == "Oslo") & (size > 40), 2.0, 0.0))
    target = group * 100 + rng.normal(0, 1, num_rows) if task == "regression" else np.minimum(group, PROBLEMS[task] - 1)
    return Rows(Block(numbers, NAMES, pl.DataFrame({"town": towns})), target)


def learned(task, rows, *, seed=1, work=WORK, place=0):
    problem = Problem(task, PROBLEMS[task], rows.block.num_rows, ("when",), ("town",))
    return Rules(problem, Rules.configurations(problem)[place], seed).fit(rows, valid=None, work=work)


def words(learner):
    return learner.told(lambda raw: [f"{row[0]:.0f}" for row in raw])


@pytest.mark.parametrize("task", PROBLEMS)
def test_the_graph_is_the_learner_for_any_row(task):
    learner = learned(task, table(task))
    builder = GraphBuilder()
    tensors = Tensors(
        builder.input("numbers", "double", ["N", 3]), NAMES, builder.input("strings", "string", ["N", 1]), ("town",)
    )
    builder.output("out", learner.emit(builder, tensors), "double", ["N", learner.problem.num_scores])
    graph = session(builder.finish())
    borders = [c for rule in learner._rules for each in rule for c in (each.lower, each.upper) if np.isfinite(c)]
    near = st.sampled_from(borders + [np.nextafter(b, d) for b in borders for d in (-np.inf, np.inf)])
    number = st.one_of(near, st.floats(), st.sampled_from([np.nan, np.inf, -np.inf]))
    row = st.tuples(number, st.floats(0, 30_000 * DAY), number, st.sampled_from([*TOWNS, "", "Atlantis"]))

    @given(st.lists(row, min_size=1, max_size=5))
    def check(rows):
        numbers, towns = np.array([row[:3] for row in rows], dtype=float), [row[3] for row in rows]
        (raw,) = graph.run(None, {"numbers": numbers, "strings": np.array(towns, dtype=object)[:, None]})
        assert np.array_equal(raw, learner.raw(Block(numbers, NAMES, pl.DataFrame({"town": towns}))))

    check()


def test_what_was_planted_is_said():
    lines = words(learned("regression", table("regression")))
    assert len(lines) == 3
    said = "\n".join(lines)
    assert "IF size is missing THEN 100 (" in said
    (border,) = re.findall(r"IF town is 'Oslo' AND size > ([\d.]+) THEN 200 ", said)
    assert 35 < float(border) < 45
    assert re.match(r"ELSE [0-2] \(", lines[-1])  # a border is at one of some twenty places


def test_every_row_is_covered_once_and_answers_are_means():
    rows = table("regression")
    learner = learned("regression", rows)
    counts = [int(count) for line in words(learner) for count in re.findall(r"\((\d+) rows\)", line)]
    assert sum(counts) == rows.block.num_rows
    first = learner._first(apply_steps(learner.steps, rows.block).numbers)
    for place, count in enumerate(counts):
        assert (first == place).sum() == count
        np.testing.assert_allclose(learner._scores[place, 0], rows.target[first == place].mean())


def test_noise_has_no_rules():
    rows = table("binary")
    noise = Rows(rows.block, np.random.default_rng(5).integers(0, 2, rows.block.num_rows).astype(float))
    lines = words(learned("binary", noise))
    assert len(lines) == 1
    assert not lines[0].startswith("ELSE")


def test_conditions_in_words():
    rng = np.random.default_rng(2)
    days = rng.integers(19_000, 20_000, 400).astype(float) * DAY
    numbers = np.column_stack([rng.normal(0, 1, 400), days, rng.integers(0, 2, 400)])
    block = Block(numbers, NAMES, pl.DataFrame({"town": ["Oslo"] * 400}))
    late = learned("regression", Rows(block, np.where(days > 19_500 * DAY, 50.0, 0.0)))
    assert re.search(r"IF when (>|<=) 2023-\d\d-\d\d THEN", words(late)[0])
    new = learned("regression", Rows(block, 50.0 * numbers[:, 2]))
    assert re.search(r"IF new is [01] THEN", words(new)[0])
    middle = learned("regression", Rows(block, np.where(abs(numbers[:, 0]) < 0.5, 50.0, 0.0)), place=1)
    assert re.search(r"-0\.\d+ < size <= 0\.\d+", "\n".join(words(middle)))


def test_weights_of_none_do_not_count_and_their_scale_says_nothing():
    rows = table("binary")
    weight = (np.arange(600) % 2).astype(float)
    half = learned("binary", Rows(rows.block, rows.target, weight))
    scaled = learned("binary", Rows(rows.block, rows.target, weight * 1e6))
    assert half._rules == scaled._rules
    np.testing.assert_allclose(half._scores, scaled._scores)
    turned = np.where(weight == 0, 1 - rows.target, rows.target)
    np.testing.assert_allclose(learned("binary", Rows(rows.block, turned, weight))._scores, half._scores)


def test_the_seed_decides_which_rows_are_looked_at(monkeypatch):
    monkeypatch.setattr("lepton.training.learners.rules._MAX_ROWS", 200)
    rows = table("regression")
    one, again = (learned("regression", rows, seed=3) for _ in range(2))
    assert words(one) == words(again)
    assert sum(one._covered) == 600


def test_the_clock_ends_the_search_with_the_rules_that_are_there():
    work = Work(resources=Resources(cpus=1)).part(60)

    class Stopping(Rules):
        def _targets(self, rows):
            work.cancel.set()
            return super()._targets(rows)

    problem = Problem("regression", 0, 600, ("when",), ("town",))
    learner = Stopping(problem, Rules.configurations(problem)[0]).fit(table("regression"), valid=None, work=work)
    assert learner.cut_short
    assert len(words(learner)) == 1
    with pytest.raises(Interrupted):
        learned("regression", table("regression"), work=work)


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e6))
def test_a_simple_number_lies_between(lower, width):
    upper = lower + width
    if upper > lower:
        assert lower <= simple_between(lower, upper) < upper
    assert simple_between(2.0, 3.0) in (2.0, 2.5)
    assert simple_between(46.93, 47.21) == 47.0
