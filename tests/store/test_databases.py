from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lepton.core import ErrorCode, StoreError
from lepton.store import database_errors, open_database

TABLE = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)"


def test_a_database_is_private_and_keeps_what_was_written(tmp_path: Path):
    path = tmp_path / "things.sqlite"
    with open_database(path, TABLE) as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    connection.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = open_database(path, TABLE)
    assert again.execute("SELECT name FROM things").fetchall() == [("a",)]
    again.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    path = tmp_path / "things.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match=r"'things\.sqlite' failed: file is not a database"):
        open_database(path, TABLE)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(StoreError, match=r"'things\.sqlite' cannot be opened: No such file"):
        open_database(tmp_path / "missing" / "things.sqlite", TABLE)


def test_what_fails_later_is_told():
    connection = open_database(None, TABLE)
    with pytest.raises(StoreError) as caught, database_errors("memory"):
        connection.execute("INSERT INTO nothing VALUES (1)")
    connection.close()
    assert caught.value.code is ErrorCode.STORE_FAILED
