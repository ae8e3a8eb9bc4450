"""What a name may mean: a path, a URL of a file, a sheet of a workbook, a database."""

import bz2
import gzip
import lzma
from pathlib import Path

import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, SecurityError, UsageError
from lepton.data import read
from lepton.data.formats.origins import CARRIERS, DATABASES, safe_address
from tests.store.web import body, redirect, says, serving

TABLE = b"rooms,price\n2,100.5\n3,150.25\n4,\n"
ROWS = [(2, 100.5), (3, 150.25), (4, None)]


@pytest.mark.parametrize("registry", [CARRIERS, DATABASES], ids=["carriers", "databases"])
def test_every_scheme_can_be_loaded(registry):
    assert all(callable(registry.load(name)) for name in registry.names())


def zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("pyarrow").compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("zst", zstd), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", TABLE),
        ("a.tsv", TABLE.replace(b",", b"\t")),
        ("a.jsonl", b'{"rooms":2,"price":100.5}\n{"rooms":3,"price":150.25}\n{"rooms":4,"price":null}\n'),
        ("a.json", b'[{"rooms":2,"price":100.5},{"rooms":3,"price":150.25},{"rooms":4,"price":null}]'),
    ],
)
def test_packed_texts_are_the_same_table(tmp_path, name, content, suffix, pack):
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.{suffix}").write_bytes(pack(content))
    plain, packed = read(tmp_path / name), read(tmp_path / f"{name}.{suffix}")
    assert packed.frame().rows() == ROWS
    assert packed.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bz2.compress, lzma.compress])
def test_a_packed_text_that_ends_early_is_an_error(tmp_path, pack):
    packed = pack(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(100_000)))
    (tmp_path / "a.csv.gz").write_bytes(packed[:-20])
    with pytest.raises(DataError, match="cut off"):
        read(tmp_path / "a.csv.gz").frame()


def test_a_table_is_read_from_the_web_and_kept_as_long_as_it_is_used():
    with serving(body(gzip.compress(TABLE))) as server:
        table = read(server.url("/data/houses.csv.gz?token=canary"), allow_hosts=server.allowed)
    assert table.frame().rows() == ROWS  # the server is gone: every pass reads what was fetched
    assert table.fingerprint() == read({"rooms": [2, 3, 4], "price": [100.5, 150.25, None]}).fingerprint()
    assert [d.what for d in table.decisions][:2] == ["fetched", "format"]
    assert "canary" not in str(table.decisions)
    assert server.connections == 1
    folder = table._source.files[0].parent
    assert folder.is_dir()
    part = table.split(0.4)[0]
    del table
    assert part.num_rows > 0
    del part
    assert not folder.exists()


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "arrow"])
def test_every_format_comes_from_the_web(tmp_path, suffix):
    read({"a": [1, 2], "b": ["x", "y"]}).save(tmp_path / f"t.{suffix}")
    with serving(body((tmp_path / f"t.{suffix}").read_bytes())) as server:
        assert read(server.url(f"/t.{suffix}"), allow_hosts=server.allowed).frame().rows() == [(1, "x"), (2, "y")]


def test_several_urls_and_paths_are_one_table(tmp_path):
    (tmp_path / "c.csv").write_bytes(TABLE)
    with serving(body(TABLE)) as server:
        urls = [server.url("/a.csv"), server.url("/b.csv")]
        assert read([*urls, tmp_path / "c.csv"], allow_hosts=server.allowed).num_rows == 9


def test_a_url_that_redirects_inside_reads_nothing():
    with serving(body(TABLE)) as canary, serving(redirect(canary.url())) as server:
        with pytest.raises(SecurityError) as caught:
            read(server.url(), allow_hosts=server.allowed)
        assert caught.value.code is ErrorCode.FORBIDDEN_URL
        assert canary.connections == 0


def test_a_web_stream_that_ends_early_leaves_nothing(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", TABLE)) as server:
        with pytest.raises(LeptonError, match="stopped early"):
            read(server.url(), allow_hosts=server.allowed)
        with pytest.raises(LeptonError, match="more than 10 B"):
            read(server.url(), allow_hosts=server.allowed, max_download=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    [
        *(
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "ftp://a/b.csv",
            "gopher://a",
            "data:text/csv,a%0A1",
            "dict://a:1",
        ),
        *("jar:file:a.zip!/b", "git+ssh://a/b.csv", "sftp://a/b.csv", "local:///etc/passwd", "github://a:b@/c.csv"),
        *("sql:mysql://a/b", "sql:file:///etc/passwd", "sql:oracle://a/b", "sql:x", "sql:", "SQL:duckdb:///a"),
    ],
)
def test_other_schemes_are_refused_by_name(source):
    with pytest.raises(SecurityError) as caught:
        read(source, query="select 1" if source.lower().startswith("sql:") else None)
    assert caught.value.code is ErrorCode.FORBIDDEN_URL
    assert "root" not in str(caught.value)


@pytest.mark.parametrize("source", ["https://me:canary@host/a.csv", "s3://key:canary@bucket/a", "gs://canary@bucket/a"])
def test_credentials_in_a_url_are_refused_and_not_repeated(source):
    with pytest.raises(SecurityError) as caught:
        read(source)
    assert "canary" not in str(caught.value)


def test_a_query_is_for_databases(tmp_path):
    (tmp_path / "a.csv").write_bytes(TABLE)
    with pytest.raises(UsageError, match="query"):
        read(tmp_path / "a.csv", query="select 1")
    with pytest.raises(UsageError, match="query"):
        read({"a": [1]}, query="select 1")
    for option in ({"format": "csv"}, {"delimiter": ","}, {"encoding": "utf-8"}, {"header": True}):
        with pytest.raises(UsageError, match="for a database"):
            read("sql:sqlite:///a.db", query="select 1", **option)
    for query in (None, "", "  "):
        with pytest.raises(UsageError, match="query"):
            read("sql:sqlite:///a.db", query=query)


def test_allowed_hosts_are_a_list():
    with pytest.raises(UsageError, match="host:port"):
        read("http://127.0.0.1:9/a.csv", allow_hosts="127.0.0.1:9")


def test_names_that_look_odd_are_still_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.csv", "a.csv#x", "http.csv"):
        Path(name).write_bytes(TABLE)
        assert read(name).num_rows == 3
    with pytest.raises(DataError) as caught:
        read("b.csv#x")
    assert caught.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("data/a?.csv", "data/a?.csv"),
        ("https://host/a.csv?token=canary#canary", "https://host/a.csv"),
        ("https://me:canary@host/a.csv", "https://host/a.csv"),
        ("sql:postgresql://me:canary@host/shop?password=canary", "sql:postgresql://host/shop"),
        ("sql:postgresql://me:can@ary@host/shop", "sql:postgresql://host/shop"),
        ("s3://bucket/a.csv", "s3://bucket/a.csv"),
    ],
)
def test_an_address_is_shown_without_secrets(source, shown):
    assert safe_address(source) == shown


def test_files_of_two_formats_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(TABLE)
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="one format"):
        read([tmp_path / "a.csv", tmp_path / "b.parquet"])


@pytest.mark.parametrize(("inside", "kind"), [("_delta_log/0.json", "delta"), ("metadata/v1.metadata.json", "iceberg")])
def test_the_files_of_a_table_with_a_history_are_not_read_as_they_are(tmp_path, inside, kind):
    folder = tmp_path / "sales"
    (folder / inside).parent.mkdir(parents=True)
    (folder / inside).write_bytes(b"{}")
    pl.DataFrame({"a": [1]}).write_parquet(folder / "a.parquet")
    for source in (folder, f"{folder}/*.parquet", folder / "a.parquet"):
        with pytest.raises(DataError, match=f"scan_{kind}"):
            read(source)
