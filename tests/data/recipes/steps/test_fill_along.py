"""Filling from the row before or after keeps the contract of steps, and agrees with a plain loop."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, Resources, UsageError, Work
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.fill_along import FillBackward, FillForward
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {
    "when": [3, 1, 2, None, 1, 2, 3, 4],
    "who": ["a", "a", "a", "a", "b", "b", None, "b"],
    "n": [None, 1.0, None, 7.0, None, 5.0, None, None],
    "s": [None, "x", None, None, None, None, "y", "z"],
}


@pytest.mark.parametrize(
    ("step", "n", "s"),
    [
        (FillForward(["n", "s"]), [None, 1, 1, 7, 7, 5, 5, 5], [None, "x", "x", "x", "x", "x", "y", "z"]),
        (FillBackward(["n", "s"]), [1, 1, 7, 7, 5, 5, None, None], ["x", "x", "y", "y", "y", "y", "y", "z"]),
        (
            FillForward(["n", "s"], by="who"),
            [None, 1, 1, 7, None, 5, None, 5],
            [None, "x", "x", "x", None, None, "y", "z"],
        ),
        (
            FillBackward(["n", "s"], by="who"),
            [1, 1, 7, 7, 5, 5, None, None],
            ["x", "x", None, None, "z", "z", "y", "z"],
        ),
        (
            FillForward(["n", "s"], "when", "who"),
            [1, 1, 1, 7, None, 5, None, 5],
            ["x", "x", "x", None, None, None, "y", "z"],
        ),
        (
            FillBackward(["n", "s"], order="when", by="who"),
            [None, 1, None, 7, 5, 5, None, None],
            [None, "x", None, None, "z", "z", "y", "z"],
        ),
        (FillForward(["n"], order="when"), [5, 1, 1, 7, 1, 5, 5, 5], TABLE["s"]),
    ],
)
def test_a_value_is_taken_from_the_row_before_or_after(step, n, s, tmp_path):
    check_step(step, TABLE, scratch=tmp_path)
    made = Recipe((step,)).fit_transform(table_of(TABLE)).frame()
    assert made["n"].to_list() == n
    assert made["s"].to_list() == s
    assert made["when"].to_list() == TABLE["when"]


@st.composite
def _tables(draw):
    rows = draw(st.integers(1, 40))
    few = st.one_of(st.none(), st.integers(0, 3))
    return pl.DataFrame(
        {name: draw(st.lists(few, min_size=rows, max_size=rows)) for name in ("g", "h", "o", "v")},
        schema=dict.fromkeys("ghov", pl.Int64),
    )


def _by_hand(frame: pl.DataFrame, by: list[str], order: str | None, backward: bool) -> list[int | None]:
    rows = frame.to_dicts()
    places = [p for p, row in enumerate(rows) if all(row[name] is not None for name in by)]
    if order is not None:
        places = sorted((p for p in places if rows[p][order] is not None), key=lambda p: (rows[p][order], p))
    last: dict[tuple[int, ...], int] = {}
    found = [row["v"] for row in rows]
    for place in reversed(places) if backward else places:
        group = tuple(rows[place][name] for name in by)
        if found[place] is None:
            found[place] = last.get(group)
        else:
            last[group] = found[place]
    return found


@settings(max_examples=60)
@given(_tables(), st.sampled_from([[], ["g"], ["g", "h"]]), st.sampled_from([None, "o"]), st.booleans())
def test_it_agrees_with_a_loop_over_the_rows(frame, by, order, backward):
    step = (FillBackward if backward else FillForward)("v", order, by)
    made = Recipe((step,)).fit_transform(table_of(frame, dict.fromkeys("ghov", "number"))).frame()
    assert made["v"].to_list() == _by_hand(frame, by, order, backward)


@pytest.mark.parametrize("step", [FillForward("v", "o", "g"), FillBackward("v", "o"), FillBackward("v")])
def test_rows_that_do_not_fit_in_memory_come_out_the_same(step):
    rows = 300_000
    frame = pl.DataFrame({"row": pl.int_range(rows, eager=True)}).select(
        (pl.col("row") % 7).alias("g"),
        (pl.col("row") * 7919 % rows).alias("o"),
        pl.when(pl.col("row") % 3 == 0).then(pl.col("row")).alias("v"),
        *(pl.col("row").cast(pl.Float64).alias(f"more{n}") for n in range(12)),
    )
    small = Work(resources=Resources(memory=1))
    made = Recipe((step,)).fit_transform(table_of(frame), work=small).frame()
    assert made.equals(Recipe((step,)).fit_transform(table_of(frame)).frame(), null_equal=True)
    assert made["v"].null_count() < 10


def test_what_was_filled_is_told_and_later_errors_name_the_row():
    table = table_of({"n": [1.0, None, None, 4.0], "s": ["1", "2", "many", "4"]})
    recipe = Recipe().fill_forward("n", order="n2", by=()).to_dict()
    assert recipe["steps"] == [{"fill_forward": {"columns": ["n"], "order": "n2"}}]
    made = Recipe().fill_forward("n", by="s").fill_forward("n").fit_transform(table)
    told = made.changes()
    assert [(each.step, each.column, each.count) for each in told.records] == [("fill_forward", "n", 2)]
    assert told.records[0].examples == (("", "1.0"), ("", "1.0"))
    with pytest.raises(DataError, match=r"row 3.*'many'"):
        Recipe().fill_backward("n", by="s").cast("s", "number").fit_transform(table).frame()


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: FillForward(()), UsageError, "fill_forward: got no columns"),
        (lambda: FillBackward("n", order="n"), DataError, "'n' is to be filled, and says where"),
        (lambda: FillBackward("n", by=["who", "n"]), DataError, "'n' is to be filled"),
        (lambda: FillForward("gone"), DataError, "gone"),
        (lambda: FillForward("n", order="gone"), DataError, "gone"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE))
