import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import Interrupted, StoreError, Work
from lepton.data.recipes.base import RunContext
from lepton.data.recipes.sorting import PIECE, ROW, even_pieces, numbered, sorted_rows
from lepton.store import scratch_folder

ROWS = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "é"]), st.one_of(st.none(), st.integers(-3, 3))), max_size=60
)


def cut(frame: pl.DataFrame, rows: int) -> list[pl.DataFrame]:
    return list(frame.iter_slices(rows))


@settings(max_examples=60)
@given(rows=ROWS, piece=st.integers(1, 70), memory=st.sampled_from([1, 400, 3000, 10**9]), down=st.booleans())
def test_any_cut_and_any_memory_give_the_same_order(rows, piece, memory, down):
    frame = pl.DataFrame(rows, schema={"s": pl.String, "n": pl.Int64}, orient="row").with_row_index("place")
    expected = frame.sort(["s", "n", "place"], descending=[down, False, False], nulls_last=True)
    with scratch_folder() as folder:
        context = RunContext(Work(), folder, memory)
        found = list(sorted_rows(numbered(cut(frame, piece)), ["s", "n"], context, descending=[down, False]))
        assert list(folder.iterdir()) == []
    made = pl.concat(found).drop(ROW) if found else expected
    assert made.equals(expected)


def test_many_runs_are_merged_in_turns(tmp_path):
    frame = pl.DataFrame({"n": [(i * 7919) % 4001 for i in range(4001)]})
    found = pl.concat(sorted_rows(numbered(cut(frame, 50)), ["n"], RunContext(Work(), tmp_path, 2000)))
    assert found["n"].to_list() == list(range(4001))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_named(tmp_path):
    frame = pl.DataFrame({"n": range(1000)})
    context = RunContext(Work(), tmp_path / "gone", 1000)
    with pytest.raises(StoreError, match="do not fit on the disk"):
        list(sorted_rows(numbered(cut(frame, 100)), ["n"], context))


def test_sorting_can_be_stopped(tmp_path):
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        list(sorted_rows(numbered([pl.DataFrame({"n": [2, 1]})]), ["n"], RunContext(work, tmp_path, 1000)))


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_even_pieces_do_not_depend_on_the_cut(piece):
    frame = pl.DataFrame({"n": range(50)})
    found = list(even_pieces(cut(frame, piece), rows=8))
    assert [f.height for f in found] == [8] * 6 + [2]
    assert pl.concat(found).equals(frame)
    assert PIECE == 65_536
