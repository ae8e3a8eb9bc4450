"""Tables come back as they were saved; versions stay; a kill at any moment leaves the last one whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, LeptonError, SchemaError, Work
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.versions import save
from lepton.data.versions.folder import damage, newest_number, versions_at
from tests.data.versions.tables import claims, version_of


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["t.parquet", "t"])
def test_kinds_roles_and_rows_come_back(tmp_path, name):
    table = claims()
    assert table.save(tmp_path / name) == tmp_path / name
    back = read(tmp_path / name)
    assert back.schema == table.schema
    assert back.frame().equals(table.frame())
    assert back.fingerprint() == table.fingerprint() == version_of(tmp_path / name).id
    assert [decision.what for decision in back.decisions] == ["columns"]
    assert damage(tmp_path / name) == ()


def test_what_is_said_beats_the_manifest(tmp_path):
    claims().save(tmp_path / "t.parquet")
    back = read(tmp_path / "t.parquet", roles={"town": "target"})
    assert back.schema["town"].role == "target"
    assert back.schema["income"].role == "target"
    back = read(tmp_path / "t.parquet", kinds={"town": "text"}, missing={"town": ["Ulm"]})
    assert (back.schema["town"].kind, back.schema["person_id"].kind) == ("text", "identifier")
    assert back.frame()["town"].null_count() == 20


def test_a_recipe_and_what_it_was_made_from_stand_in_the_manifest(tmp_path):
    claims().frame().write_csv(tmp_path / "claims.csv")
    table = read(tmp_path / "claims.csv")
    clean = Recipe().fill("income", "median").fit_transform(table)
    clean.save(tmp_path / "clean.parquet")
    version = version_of(tmp_path / "clean.parquet")
    again = Recipe.from_dict(version.recipe).transform(table)
    assert again.frame().equals(clean.frame())
    (parent,) = version.parents
    assert parent["name"] == "claims.csv"
    Recipe().drop("town").fit_transform(read(tmp_path / "clean.parquet")).save(tmp_path / "less.parquet")
    (parent,) = version_of(tmp_path / "less.parquet").parents
    assert parent == {"name": "clean.parquet", "version": 1, "id": version.id}


def test_versions_stay_and_appended_rows_are_not_copied(tmp_path):
    folder = tmp_path / "claims"
    claims(30).save(folder)
    first = files_in(folder)
    claims(20, start=30).save(folder, append=True)
    claims(5).save(folder)
    assert set(first) < set(files_in(folder))
    assert [(v.number, v.operation, v.num_rows) for v in versions_at(folder)] == [
        (1, "saved", 30),
        (2, "appended", 50),
        (3, "saved", 5),
    ]
    both = pl.concat([claims(30).frame(), claims(20, start=30).frame()])
    assert read(f"{folder}#2").frame().equals(both)
    assert read(f"{folder}#1").frame().equals(both[:30])
    assert read(folder).num_rows == 5
    version = versions_at(folder)[1]
    assert (version.statistics[2].maximum, version.statistics[2].missing) == (
        both["income"].max(),
        both["income"].null_count(),
    )
    with pytest.raises(DataError, match="no version 9"):
        read(f"{folder}#9")


def test_any_tool_reads_the_rows(tmp_path):
    claims(30).save(tmp_path / "claims")
    claims(20, start=30).save(tmp_path / "claims", append=True)
    assert pl.read_parquet(tmp_path / "claims/rows-000001/*.parquet").height == 50


def test_a_large_table_is_cut_into_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(save, "PART_CELLS", 50)
    monkeypatch.setattr(save, "_FRAME_ROWS", 7)
    claims().save(tmp_path / "claims")
    back = read(tmp_path / "claims")
    assert len(version_of(tmp_path / "claims").parts) == 5
    assert back.frame().equals(claims().frame())


@pytest.mark.parametrize("name", ["t.parquet", "t"])
def test_a_table_of_no_rows_comes_back(tmp_path, name):
    empty = Recipe().filter("town = 'Rom'").fit_transform(claims())
    empty.save(tmp_path / name)
    back = read(tmp_path / name)
    assert (back.num_rows, back.schema) == (0, empty.schema)
    assert back.frame().equals(empty.frame())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.select(["town", "income"]), SchemaError, "no column 'person_id'"),
        (lambda t: Recipe().derive("half", "income / 2").fit_transform(t), SchemaError, "has no column 'half'"),
        (lambda t: read(t.frame().with_columns(income=pl.lit("much"))), DataError, "'income'"),
    ],
)
def test_rows_that_do_not_fit_are_not_appended(tmp_path, change, error, message):
    claims().save(tmp_path / "claims")
    before = files_in(tmp_path)
    with pytest.raises(error, match=message):
        change(claims()).save(tmp_path / "claims", append=True)
    assert files_in(tmp_path) == before


def test_fractions_are_not_cut_off_where_the_table_is_whole(tmp_path):
    read({"n": [1, 2, 3]}).save(tmp_path / "t")
    read({"n": [4.0, 5.0]}).save(tmp_path / "t", append=True)
    with pytest.raises(DataError, match=r"'n' is whole.*2\.5"):
        read({"n": [2.5, 1.0]}).save(tmp_path / "t", append=True)
    assert read(tmp_path / "t").frame()["n"].to_list() == [1, 2, 3, 4, 5]
    assert damage(tmp_path / "t") == ()


def test_columns_in_another_order_are_put_in_order(tmp_path):
    claims().save(tmp_path / "t")
    claims().select(list(reversed(claims().schema.names))).save(tmp_path / "t", append=True)
    assert read(tmp_path / "t").frame().equals(pl.concat([claims().frame()] * 2))


def test_no_rows_make_no_version(tmp_path):
    claims().save(tmp_path / "t")
    Recipe().filter("town = 'Rom'").fit_transform(claims()).save(tmp_path / "t", append=True)
    assert newest_number(tmp_path / "t") == 1


def test_another_folder_is_not_written_into(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="other files"):
        claims().save(tmp_path)
    assert files_in(tmp_path) == ["photo.jpg"]


def test_a_file_that_others_replaced_is_read_for_what_it_is(tmp_path):
    claims().save(tmp_path / "t.parquet")
    pl.DataFrame({"other": [1.0]}).write_parquet(tmp_path / "t.parquet")
    back = read(tmp_path / "t.parquet")
    assert back.schema.names == ("other",)
    assert back.version is None
    assert "passed over" in str(back.decisions)


def test_a_part_that_is_gone_a_link_or_changed_is_named(tmp_path):
    claims().save(tmp_path / "t")
    (part,) = (tmp_path / "t").rglob("*.parquet")
    data = part.read_bytes()
    part.write_bytes(data[:-20] + bytes(20))
    with pytest.raises(DataError, match="is not the file that was written"):
        read(tmp_path / "t")
    part.unlink()
    with pytest.raises(DataError, match="is not there"):
        read(tmp_path / "t")
    (tmp_path / "elsewhere.parquet").write_bytes(data)
    part.symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(DataError, match="is a link"):
        read(tmp_path / "t")


def test_damage_that_no_reader_meets_is_found_on_request(tmp_path):
    read({"x": np.random.default_rng(0).random(20_000)}).save(tmp_path / "t")
    (part,) = (tmp_path / "t").rglob("*.parquet")
    data = bytearray(part.read_bytes())
    assert len(data) > 70_000
    data[1000] ^= 1
    part.write_bytes(data)
    (found,) = damage(tmp_path / "t")
    assert "not the file that was written" in found


def test_rows_that_cannot_be_made_leave_nothing(tmp_path):
    bad = Recipe().parse_numbers("town").fit_transform(claims())
    for name in ("t.parquet", "t"):
        with pytest.raises(LeptonError):
            bad.save(tmp_path / name)
    assert files_in(tmp_path) == []


def test_writers_wait_for_one_another(tmp_path):
    claims(10).save(tmp_path / "t")
    failed: list[BaseException] = []

    def append(start: int) -> None:
        try:
            claims(10, start=start).save(tmp_path / "t", append=True)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)

    threads = [threading.Thread(target=append, args=(10 * number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [version.num_rows for version in versions_at(tmp_path / "t")] == [10, 20, 30, 40, 50, 60]
    assert sorted(read(tmp_path / "t").frame()["income"].drop_nulls()) == sorted(
        claims(60).frame()["income"].drop_nulls()
    )


def test_an_interrupted_save_leaves_what_was_there(tmp_path):
    claims().save(tmp_path / "t")
    before = files_in(tmp_path)
    work = Work()
    work.cancel.set()
    for _ in range(30):  # a writer in a thread that outlives the error would show in some of them
        with pytest.raises(LeptonError, match="asked to stop"):
            claims().save(tmp_path / "t", append=True, work=work)
        assert files_in(tmp_path) == before


KILLED = """
import os, shutil, sys
from pathlib import Path
from lepton.data import read
import lepton.data.versions.forget as forgetting

place, what = Path(sys.argv[1]), sys.argv[2]

def killing(function, left):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
        return function(*arguments, **options)
    return call

def save(folder, step):
    rows = read(folder / "more.parquet")
    read(folder / "t")
    left = [step]
    for module, name in ((os, "fsync"), (os, "link"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")):
        setattr(module, name, killing(getattr(module, name), left))
    if what == "append":
        rows.save(folder / "t", append=True)
    else:
        forgetting.forget(folder / "t", "person_id = 'p7'")

# A process for every step, forked from one that has the libraries loaded and no threads of theirs yet.
for step in range(1, 60):
    folder = shutil.copytree(place / "before", place / str(step))
    child = os.fork()
    if child == 0:
        save(folder, step)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, flush=True)
    if code != 9:
        break
"""


@pytest.mark.parametrize("what", ["append", "forget"])
def test_a_kill_at_any_moment_leaves_a_whole_version(tmp_path, what):
    claims(30).save(tmp_path / "before" / "t")
    claims(30, start=30).save(tmp_path / "before" / "t", append=True)
    claims(10, start=60).save(tmp_path / "before" / "more.parquet")
    command = [sys.executable, "-c", KILLED, str(tmp_path), what]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    *killed, last = [int(code) for code in done.stdout.split()]
    assert (set(killed), last) == ({9}, 0), done.stderr
    assert len(killed) > 5
    before, after = (60, 70) if what == "append" else (60, 54)
    assert read(tmp_path / str(len(killed) + 1) / "t").num_rows == after
    for step in range(1, len(killed) + 2):
        place = tmp_path / str(step)
        assert read(place / "t").num_rows in (before, after)
        assert damage(place / "t") == ()
        # The next writer finishes or forgets what was begun, and leaves nothing that no version needs.
        claims(5, start=100).save(place / "t", append=True)
        named = {part.file for version in versions_at(place / "t") for part in version.parts}
        assert {name for name in files_in(place / "t") if name.endswith(".parquet")} == named
        assert not [name for name in files_in(place / "t") if ".lepton-part-" in name]


FULL = """
import resource, signal, sys
import numpy as np
from lepton.core import StoreError
from lepton.data import read

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = read({"x": np.random.default_rng(0).random(200_000)})
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for name, append in (("t", True), ("t", False), ("f.parquet", False)):
    try:
        rows.save(sys.argv[1] + "/" + name, append=append)
    except StoreError as error:
        print(error.code)
"""


def test_a_disk_that_fills_leaves_what_was_there(tmp_path):
    for name in ("t", "f.parquet"):
        read({"x": [1.0, 2.0]}).save(tmp_path / name)
    before = files_in(tmp_path)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["store-full"] * 3, done.stderr
    assert files_in(tmp_path) == before
    assert read(tmp_path / "t").frame().equals(read(tmp_path / "f.parquet").frame())
