"""Recipes at work: one policy for cells that cannot be treated, few passes, bounded memory, whole files or none."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, Resources, Role, Work
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.recipes.run import memory_limit

MARK = Recipe().cast("n", "whole", on_error="flag")
SMALL = Work(resources=Resources(memory=1))


def parts(folder, *texts, head="n,s\n"):
    for number, text in enumerate(texts):
        (folder / f"part-{number}.csv").write_text(head + text)
    return read(str(folder / "part-*.csv"), kinds={"n": "text", "s": "category"})


# --- cells that cannot be treated ------------------------------------------------------------------------------------


def test_fail_names_step_column_file_row_and_value(tmp_path):
    table = parts(tmp_path, "1,a\n2,b\n", "3,c\nfour,d\n")
    with pytest.raises(DataError, match=r"step 2 \(cast\), column 'n', row 2 of part-1\.csv: 'four'") as caught:
        Recipe().fill("s", "none").cast("n", "whole").fit_transform(table).frame()
    assert caught.value.code is ErrorCode.BAD_VALUE
    assert caught.value.details["step"] == 2
    assert caught.value.details["column"] == "n"


def test_fail_names_the_row_of_the_file_however_large_it_is(tmp_path):
    lines = [f"{number},x" for number in range(400_000)]
    lines[312_344] = "12a,x"
    table = parts(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"row 312,345 of part-0\.csv: '12a'"):
        Recipe().cast("n", "whole").fit_transform(table).frame()


def test_the_first_bad_cell_of_several_columns_is_named():
    table = read(pl.DataFrame({"a": ["1", "2", "x"], "b": ["1", "y", "3"]}), kinds={"a": "text", "b": "text"})
    with pytest.raises(DataError, match=r"column 'b', row 2: 'y'"):
        Recipe().cast(["a", "b"], "whole").fit_transform(table).frame()


def test_flag_makes_it_missing_and_marks_it(tmp_path):
    clean = MARK.fit_transform(parts(tmp_path, "1,a\n", "x,b\n"))
    assert clean.frame().rows() == [(1, "a", False), (None, "b", True)]
    assert clean.schema.names == ("n", "s", "n is bad")
    assert clean.schema["n is bad"].role is Role.IGNORED  # a model is asked about rows that have no marks
    assert {(each.what, each.count) for each in clean.changes().records} >= {("bad cells", 1)}


def test_flags_are_there_when_nothing_is_bad(tmp_path):
    assert MARK.fit_transform(parts(tmp_path, "1,a\n")).frame()["n is bad"].to_list() == [False]


def test_drop_takes_the_row_and_counts_it(tmp_path):
    clean = Recipe().cast("n", "whole", on_error="drop").fit_transform(parts(tmp_path, "1,a\nx,b\n", "3,c\n"))
    assert clean.frame()["n"].to_list() == [1, 3]
    assert [(each.what, each.count) for each in clean.changes().records if "row" in each.what] == [("rows removed", 1)]


def test_rows_are_named_after_rows_were_dropped(tmp_path):
    table = parts(tmp_path, "x,1\n2,2\n3,z\n").with_kinds({"s": "text"})
    recipe = Recipe().cast("n", "whole", on_error="drop").cast("s", "whole")
    with pytest.raises(DataError, match=r"step 2 \(cast\), column 's', row 3 of part-0\.csv: 'z'"):
        recipe.fit_transform(table).frame()


@pytest.mark.parametrize(
    "before",
    [
        Recipe().drop_duplicates(),
        Recipe().filter("s != 'b'"),
        Recipe().drop_missing(),
        Recipe().fill("s", "mode").drop_duplicates(),
    ],
)
def test_rows_are_named_after_steps_that_leave_rows_out(before, tmp_path):
    table = parts(tmp_path, "1,a\n1,a\n2,b\n", "3,c\n,d\nfour,d\n")
    with pytest.raises(DataError, match=r"column 'n', row 3 of part-1\.csv: 'four'"):
        before.cast("n", "whole").fit_transform(table).frame()


def test_what_is_printed_of_a_value_is_harmless():
    table = read(pl.DataFrame({"a": ["1\x1b[31m\n" + "x" * 1000]}), kinds={"a": "text"})
    with pytest.raises(DataError) as caught:
        Recipe().cast("a", "whole").fit_transform(table).frame()
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


# --- columns and files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        (Recipe().drop("s").fill("s", "x"), r"step 2 \(fill\): there is no column 's'"),
        (Recipe().fill("N", 0.0), r"step 1 \(fill\): there is no column 'N'.*'n'"),
        (Recipe().standardise("s"), r"step 1 \(standardise\): column 's' is of kind category"),
        (Recipe().drop("n").fill("n", "median"), r"step 2 \(fill\): there is no column 'n'"),
    ],
)
def test_a_step_that_does_not_fit_is_named(recipe, match):
    with pytest.raises(DataError, match=match):
        recipe.fit_transform(read(pl.DataFrame({"n": [1.0], "s": ["a"]}), kinds={"s": "category"})).frame()


def test_a_partition_of_other_columns_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("n,s\n1,x\n")
    (tmp_path / "b.csv").write_text("n,t\n1,x\n")
    with pytest.raises(DataError, match=r"b\.csv"):
        Recipe().fill("n", 0.0).fit_transform(read(str(tmp_path / "*.csv"))).frame()


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_partition_that_is_damaged_is_named_and_nothing_is_written(damage, tmp_path):
    for number in range(2):
        pl.DataFrame({"n": np.arange(50_000.0), "s": ["x"] * 50_000}).write_parquet(tmp_path / f"p{number}.parquet")
    clean = Recipe().standardise("n").fit_transform(read(str(tmp_path / "*.parquet")))
    raw = (tmp_path / "p1.parquet").read_bytes()
    (tmp_path / "p1.parquet").write_bytes(raw[: len(raw) // 2] if damage == "cut" else raw[::-1])
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"p1\.parquet"):
        clean.save(tmp_path / "out/clean.parquet")
    assert not list((tmp_path / "out").iterdir())


def test_a_bad_cell_in_the_middle_of_writing_leaves_the_earlier_file(tmp_path):
    table = parts(tmp_path, "\n".join(map(str, range(400_000))).replace("\n", ",a\n") + ",a\n", "bad,b\n")
    path = tmp_path / "clean.parquet"
    path.write_bytes(b"before")
    with pytest.raises(DataError, match=r"row 1 of part-1\.csv: 'bad'"):
        Recipe().cast("n", "whole").fit_transform(table).save(path)
    assert path.read_bytes() == b"before"
    assert not [p for p in tmp_path.iterdir() if p.name not in ("clean.parquet", "part-0.csv", "part-1.csv")]


def test_a_truncated_archive_is_one_error(tmp_path):
    raw = gzip.compress(b"n,s\n" + b"1,a\n" * 100_000)
    (tmp_path / "t.csv.gz").write_bytes(raw[:-100])
    with pytest.raises(LeptonError, match=r"t\.csv"):
        Recipe().fill("n", 0.0).fit_transform(read(tmp_path / "t.csv.gz")).frame()


FULL = """
    import resource, sys, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from pathlib import Path
    import numpy as np, polars as pl
    from lepton.core import Resources, StoreError, Work
    from lepton.data import read
    from lepton.data.recipes import Recipe
    from lepton.data.recipes import run
    folder = Path(sys.argv[1])
    run._LEAST_MEMORY = int(sys.argv[2])
    rng = np.random.default_rng(0)
    table = read(pl.DataFrame({f"c{i}": rng.normal(size=300_000) for i in range(20)}))
    work = Work(resources=Resources(memory=1, scratch=folder))
    clean = Recipe().drop_duplicates().standardise().fit_transform(table, work=work)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        clean.save(folder / "clean.parquet")
    except StoreError as error:
        print(error.code, "|", error)
    del clean
    print(sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.parametrize("memory", [10**9, 32_000_000, 1_000_000], ids=["written", "rows spilled", "hashes spilled"])
def test_a_disk_that_fills_is_one_error_and_leaves_nothing(memory, tmp_path):
    call = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path), str(memory)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert lines[0].startswith("store-full"), done
    assert lines[-1] == "[]"


# --- memory and passes -----------------------------------------------------------------------------------------------


def job():
    return (
        Recipe()
        .drop_duplicates()
        .fill("a", "median")
        .clip("b", q=(0.01, 0.99))
        .standardise(["a", "b"])
        .one_hot("s")
        .cast("k", "whole", on_error="drop")
    )


def many(rows=20_000):
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "a": pl.Series(rng.normal(size=rows).round(2)).set(pl.Series(rng.random(rows) < 0.1), None),
            "b": rng.normal(size=rows).round(1),
            "s": rng.choice(["x", "y", "z"], rows),
            "k": rng.choice(["1", "2", "u"], rows),
        }
    )
    return pl.concat([frame, frame[::7], frame[:5]])


def test_a_small_memory_gives_the_same_rows(tmp_path):
    table = read(many(), kinds={"s": "category", "k": "text"})
    plenty = job().fit_transform(table)
    little = job().fit_transform(table, work=Work(resources=Resources(memory=1, scratch=tmp_path)))
    assert little.frame().equals(plenty.frame())
    assert little.changes() == plenty.changes()
    del little
    assert not list(tmp_path.iterdir()), "the scratch folder is emptied"


def test_the_source_is_read_as_often_as_it_must_be(monkeypatch):
    table = read(many(), kinds={"s": "category", "k": "text"})
    passes = []
    whole = type(table)._frames

    def counted(self, *arguments, **options):
        if self is table:
            passes.append(1)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(type(table), "_frames", counted)
    monkeypatch.setattr("lepton.data.recipes.run._LEAST_MEMORY", 100_000)  # the rows do not fit
    recipe = Recipe().fill("a", "median").clip("b", q=(0.01, 0.99)).one_hot("s")
    recipe.fit_transform(table, work=SMALL).frame()
    assert len(passes) == 2, "one pass in which three steps learn, one that gives the rows"


def test_rows_do_not_depend_on_how_the_table_was_cut(tmp_path):
    frame = many(3_000)
    frame.write_csv(tmp_path / "whole.csv")
    (tmp_path / "cut").mkdir()
    for number, part in enumerate(frame.iter_slices(501)):
        part.write_csv(tmp_path / f"cut/{number:02}.csv")
    kinds = {"s": "category", "k": "text"}
    whole = job().fit_transform(read(tmp_path / "whole.csv", kinds=kinds))
    cut = job().fit_transform(read(str(tmp_path / "cut/*.csv"), kinds=kinds))
    made, other = whole.frame(), cut.frame()
    assert made.columns == other.columns
    for name in made.columns:
        if made[name].dtype.is_float():
            np.testing.assert_allclose(made[name].to_numpy(), other[name].to_numpy(), rtol=1e-12, atol=1e-12)
        else:
            assert made[name].equals(other[name])


def test_work_that_is_cancelled_stops():
    work = Work()
    work.cancel.set()
    with pytest.raises(LeptonError) as caught:
        job().fit_transform(read(many(), kinds={"s": "category", "k": "text"}), work=work).frame()
    assert caught.value.code is ErrorCode.INTERRUPTED


def test_the_memory_for_rows_is_part_of_the_limit():
    assert memory_limit(Work(resources=Resources(memory=2_000_000_000))) < 1_000_000_000
    assert 0 < memory_limit(SMALL) < memory_limit(Work())


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".arrow"])
def test_clean_tables_are_saved_in_every_format(suffix, tmp_path):
    clean = Recipe().fill("a", "median").drop_duplicates("b").fit_transform(read(many(500), kinds={"k": "text"}))
    found = read(clean.save(tmp_path / f"clean{suffix}"), kinds={"k": "text"})
    assert found.frame().equals(clean.frame())
