"""What is forgotten is gone from every file; the rest stays; what was made from it is listed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import lepton
from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.versions.folder import beside, damage, read_beside, versions_at
from lepton.data.versions.forget import forget
from lepton.data.versions.manifest import TableVersion
from tests.data.versions.tables import claims, version_of

CANARY = "canary-7f3a"


def with_canary(rows: int = 60):
    frame = (
        claims(rows)
        .frame()
        .with_columns(person_id=pl.when(pl.int_range(pl.len()) % 20 == 3).then(pl.lit(CANARY)).otherwise("person_id"))
    )
    return read(frame, kinds={"person_id": "identifier"})


def holders(folder: Path) -> list[str]:
    """Files whose bytes, or whose rows, hold the canary."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        held = CANARY.encode() in path.read_bytes()
        if path.suffix == ".parquet":
            rows = pl.read_parquet(path)
            held |= bool(rows.select(pl.any_horizontal(pl.col(pl.String).eq(CANARY).any())).item())
        if held:
            found.append(path.name)
    return found


@pytest.mark.parametrize("name", ["t.parquet", "t"])
def test_it_is_gone_and_the_rest_stays(tmp_path, name):
    table = with_canary()
    table.save(tmp_path / name)
    assert holders(tmp_path)
    found = forget(tmp_path / name, f"person_id = '{CANARY}'", reference="T-17")
    assert (found.rows, found.rows_left) == (3, 57)
    assert holders(tmp_path) == []
    back = read(tmp_path / name)
    assert back.schema == table.schema
    assert back.frame().equals(table.frame().filter(pl.col("person_id") != CANARY))
    (record,) = version_of(tmp_path / name).records
    assert (record["columns"], record["rows"], record["reference"], record["state"]) == (
        ["person_id"],
        3,
        "T-17",
        "done",
    )
    assert damage(tmp_path / name) == ()
    again = forget(tmp_path / name, f"person_id = '{CANARY}'")
    assert (again.rows, again.rows_left) == (0, 57)
    assert len(version_of(tmp_path / name).records) == 1


def test_parts_without_it_are_not_written_again(tmp_path):
    folder = tmp_path / "t"
    claims(30).save(folder)
    with_canary(40).save(folder, append=True)
    claims(10, start=90).save(folder, append=True)
    kept = [versions_at(folder)[-1].parts[at].file for at in (0, 2)]
    stamps = [(folder / file).stat().st_mtime_ns for file in kept]
    found = forget(folder, f"person_id = '{CANARY}'")
    assert (found.rows, found.versions_removed) == (2, 3)
    (version,) = versions_at(folder)
    assert (version.number, version.operation, version.num_rows) == (4, "forgot", 78)
    assert [version.parts[at].file for at in (0, 2)] == kept
    assert [(folder / file).stat().st_mtime_ns for file in kept] == stamps
    assert holders(tmp_path) == []


def test_an_earlier_version_that_holds_it_goes(tmp_path):
    with_canary().save(tmp_path / "t")
    claims().save(tmp_path / "t")
    found = forget(tmp_path / "t", f"person_id = '{CANARY}'")
    assert (found.rows, found.versions_removed) == (0, 2)
    assert holders(tmp_path) == []
    assert read(tmp_path / "t").frame().equals(claims().frame())
    with pytest.raises(DataError, match="went when rows were forgotten"):
        read(f"{tmp_path / 't'}#1")


def test_everything_can_go(tmp_path):
    claims().save(tmp_path / "t")
    assert forget(tmp_path / "t", "income > 0 or income is missing").rows_left == 0
    assert read(tmp_path / "t").num_rows == 0


def test_a_row_for_which_the_condition_is_missing_stays(tmp_path):
    claims().save(tmp_path / "t.parquet")
    missing = claims().frame()["income"].null_count()
    assert forget(tmp_path / "t.parquet", "income >= 0").rows_left == missing


def test_what_was_made_from_it_is_listed(tmp_path):
    with_canary().save(tmp_path / "t.parquet")
    table = read(tmp_path / "t.parquet")
    Recipe().drop("town").fit_transform(table).save(tmp_path / "less.parquet")
    folder = tmp_path / "deep"
    folder.mkdir()
    Recipe().drop("new").fit_transform(read(tmp_path / "less.parquet")).save(folder / "least")
    table.save(tmp_path / "copy.parquet")
    claims(7).save(tmp_path / "unrelated.parquet")
    (tmp_path / "broken.lepton").write_bytes(b"no bundle")
    lepton.LogisticRegression().fit(table.select(["new", "town"]), target="town").to_bundle(tmp_path / "model.lepton")
    found = forget(tmp_path / "t.parquet", f"person_id = '{CANARY}'")
    assert [(each.path, each.what, each.by) for each in found.derived] == [
        ("broken.lepton", "unreadable", ""),
        ("copy.parquet", "copy", ""),
        ("deep/least", "table", "less.parquet"),
        ("less.parquet", "table", ""),
        ("model.lepton", "model", ""),
    ]


def test_a_record_that_was_begun_is_kept(tmp_path, monkeypatch):
    """A kill between the rows and their manifest: what stands there says that rows were to go."""
    path = tmp_path / "t.parquet"
    with_canary().save(path)
    written = TableVersion.to_bytes

    def once(version):
        if version.operation == "forgot":
            raise KeyboardInterrupt
        return written(version)

    monkeypatch.setattr(TableVersion, "to_bytes", once)
    with pytest.raises(KeyboardInterrupt):
        forget(path, f"person_id = '{CANARY}'")
    monkeypatch.undo()
    version, is_current = read_beside(path)
    assert not is_current
    assert version is not None
    assert [record["state"] for record in version.records] == ["begun"]
    assert read(path).num_rows == 57
    assert holders(tmp_path) == []
    forget(path, "person_id = 'p1'")
    assert [record["state"] for record in version_of(path).records] == ["begun", "done"]


@pytest.mark.parametrize(
    ("make", "where", "error", "message"),
    [
        ("t.csv", "town = 'Ulm'", UsageError, "no table that can be rewritten"),
        ("missing.parquet", "town = 'Ulm'", DataError, "there is no file"),
        ("t.parquet", "income + 1", DataError, "gives a number"),
        ("t.parquet", "twn = 'Ulm'", DataError, "no column 'twn'"),
        ("t.parquet", "__import__('os')", UsageError, "no function"),
        ("t#1", "town = 'Ulm'", UsageError, "one version"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, make, where, error, message):
    claims().save(tmp_path / "t.csv")
    claims().save(tmp_path / "t.parquet")
    claims().save(tmp_path / "t")
    with pytest.raises(error, match=message):
        forget(f"{tmp_path}/{make}", where)
    assert read(tmp_path / "t.parquet").num_rows == 60


def test_a_file_of_other_types_is_not_rewritten(tmp_path):
    pl.DataFrame({"k": pl.Series([1, 2], dtype=pl.Int32), "l": [[1], [2]]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="types that Lepton does not write"):
        forget(tmp_path / "t.parquet", "k = 1")
    assert pl.read_parquet(tmp_path / "t.parquet").height == 2
    assert not beside(tmp_path / "t.parquet").exists()
