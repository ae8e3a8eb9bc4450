"""Tables from elsewhere on the command line: the options, and that no secret is shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lepton.cli.main import run
from lepton.cli.train import default_model_file
from tests.store.web import body, serving

TABLE = b"rooms,price\n" + b"".join(b"%d,%d\n" % (i % 5, i * 10) for i in range(50))


def test_a_database_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as connection:
        connection.execute("create table sales as select 1 as rooms, 'Ulm' as town union all select 2, 'Bonn'")
    connection.close()
    assert run(["data", "describe", "sql:sqlite:///shop.db", "--query", "select * from sales"]) == 0
    assert "rooms" in capsys.readouterr().out
    assert run(["data", "describe", "sql:sqlite:///shop.db"]) == 2
    assert "--query" in capsys.readouterr().err


def test_a_host_inside_is_allowed_by_name_and_port(capsys):
    with serving(body(TABLE)) as server:
        url = server.url("/houses.csv?token=canary")
        assert run(["data", "describe", url]) == 4
        assert server.connections == 0
        shown = capsys.readouterr()
        assert f"--allow-host 127.0.0.1:{server.port}" in shown.err
        assert run(["data", "describe", url, "--allow-host", f"127.0.0.1:{server.port}"]) == 0
        assert run(["data", "describe", url, "--allow-host", f"127.0.0.1:{server.port}", "--max-download", "10B"]) == 7
        rest = capsys.readouterr()
    assert "canary" not in shown.out + shown.err + rest.out + rest.err


@pytest.mark.parametrize(
    "source",
    [
        "https://me:canary@host.example/a.csv",
        "sql:postgresql://me:canary@127.0.0.1:1/shop",
        "s3://a:canary@bucket/a.csv",
    ],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_no_password_is_shown(source, output, capsys):
    pytest.importorskip("adbc_driver_postgresql")
    query = ["--query", "select 1"] if source.startswith("sql:") else []
    assert run(["train", source, "--target", "price", *query, "--format", output]) in {4, 7}
    shown = capsys.readouterr()
    assert "canary" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("data/houses.csv.gz", "houses"),
        ("part-*.csv", "model"),
        ("https://host/data/houses.csv?a.b=c/d", "houses"),
        ("https://me:canary@host", "host"),
        ("s3://bucket/part-*.parquet", "model"),
        ("book.xlsx#Sales", "book"),
        ("sql:sqlite:///data/shop.db", "shop"),
        ("sql:postgresql://me:canary@host/shop", "shop"),
    ],
)
def test_a_model_is_called_like_its_table_and_never_like_a_password(source, stem):
    assert default_model_file(source) == Path(f"{stem}.lepton")
