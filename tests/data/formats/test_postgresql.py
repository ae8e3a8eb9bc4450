"""PostgreSQL: a real server where its programs are installed, and servers that misbehave everywhere."""

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, SecurityError, StoreError
from lepton.data import read
from lepton.data.formats.base import ReadOptions
from lepton.data.formats.postgresql import open_postgresql
from lepton.store.fetch import FetchLimits

pytest.importorskip("adbc_driver_postgresql", reason="the driver of PostgreSQL is not installed")

PASSWORD = "can@ry:1/2"
QUOTED = "can%40ry%3A1%2F2"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a server of this test's own, which asks for a password."""
    programs = _programs()
    if programs is None:
        pytest.skip("the programs of a PostgreSQL server are not on this machine")
    as_root = Path("/proc/self").stat().st_uid == 0  # as whom PostgreSQL does not run
    if as_root and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    as_user = ["runuser", "-u", "postgres", "--"] if as_root else []

    def run(program: str, *words: str) -> None:
        subprocess.run([*as_user, str(programs / program), *words], check=True, capture_output=True, cwd="/")

    with tempfile.TemporaryDirectory(prefix="lepton-postgresql-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        password, data = folder / "password", str(folder / "data")
        password.write_text(PASSWORD)
        if as_root:
            for path in (folder, password):
                shutil.chown(path, "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run("initdb", "-D", data, "-U", "me", "-A", "scram-sha-256", "--pwfile", str(password), "-N")
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield port
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def ask(port: int, query: str, options: str = "", **arguments):
    return read(f"sql:postgresql://me:{QUOTED}@127.0.0.1:{port}/postgres{options}", query=query, **arguments)


def refused(port: int, query: str, options: str = "") -> LeptonError:
    with pytest.raises(LeptonError) as caught:
        ask(port, query, options)
    for secret in (PASSWORD, QUOTED):
        assert secret not in f"{caught.value} {caught.value.details} {caught.value.__cause__}"
    return caught.value


def test_a_query_is_a_table(server):
    table = ask(
        server,
        "select i, i * 1.5::float8 as a, (i * 1.25)::numeric(12, 2) as b, 'town ' || i % 3 as town, i % 2 = 0 as even, "
        "date '2020-01-01' + i as day, timestamptz '2020-01-01 00:00+00' + i * interval '1 hour' as at, "
        "null::text as nothing, '{1,2}'::int[] as several, '\\x00'::bytea as raw, '{\"a\": 1}'::jsonb as json, "
        "'00000000-0000-0000-0000-000000000001'::uuid as key from generate_series(1, 150000) i order by i",
    )
    assert table.num_rows == 150_000
    frame = table.frame()
    assert frame["a"].sum() == 1.5 * 150_000 * 150_001 / 2
    assert frame["b"].head(2).to_list() == [1.25, 2.5]
    kinds = {column.name: str(column.kind) for column in table.schema}
    assert kinds["even"] == "boolean"
    assert kinds["day"] == kinds["at"] == "datetime"
    assert kinds["town"] == "category"
    assert not {"several", "raw"} & set(kinds)
    assert table.decisions[0].decided == "PostgreSQL"
    assert PASSWORD not in str(table.decisions)
    assert table.fingerprint() == table.fingerprint()


def test_an_answer_without_rows_has_columns(server):
    assert ask(server, "select 1 as a, 2.5 as b where false").frame().shape == (0, 2)


@pytest.mark.parametrize(
    "query",
    [
        "create table x (a int)",
        "delete from pg_class returning oid",
        "create temp table x as select 1 as a",
    ],
)
def test_a_query_that_would_change_something_is_refused(server, query):
    assert refused(server, query).code in {ErrorCode.FORBIDDEN_URL, ErrorCode.UNREADABLE, ErrorCode.FETCH_FAILED}
    assert ask(server, "select count(*) as n from pg_class where relname = 'x'").frame()["n"].to_list() == [0]


def test_read_only_is_said(server):
    error = refused(server, "create table x (a int)")
    assert isinstance(error, SecurityError)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select nothing", "nothing"),
        ("sel", "syntax"),
        ("select interval '1 day' as long", "long::text"),
        ("select 1 / (3 - i) as a from generate_series(1, 4) i", "zero"),
        ("select 1 as a, 2 as a", "same name"),
    ],
)
def test_a_query_that_fails_says_why(server, query, says):
    error = refused(server, query)
    assert isinstance(error, DataError)
    assert says in str(error)


def test_a_wrong_password_is_told_and_not_shown(server):
    with pytest.raises(StoreError) as caught:
        read(f"sql:postgresql://me:canary@127.0.0.1:{server}/postgres", query="select 1 as a")
    assert "canary" not in str(caught.value)
    assert "password" in str(caught.value)


def test_a_query_that_takes_too_long_is_stopped(server):
    url = f"postgresql://me:{QUOTED}@127.0.0.1:{server}/postgres"
    with pytest.raises(StoreError, match="too long"):
        open_postgresql(url, ReadOptions(query="select pg_sleep(20)", limits=FetchLimits(total=0.3)))


def relay(port: int, most: float) -> AbstractContextManager[int]:
    """A way to the server that breaks after it gave `most` bytes."""

    def pump(source: socket.socket, target: socket.socket, left: float) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(4096)):
                target.sendall(data)
                left -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def passed_on(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            there = threading.Thread(target=pump, args=[client, upstream, float("inf")])
            there.start()
            pump(upstream, client, most)
            there.join()

    return listening(passed_on)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which every connection is given to `answer`, one after the other."""
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                with connection:
                    connection.setblocking(True)
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()


@pytest.mark.parametrize("most", [100, 3_000, 2_000_000])
def test_a_database_that_drops_the_connection_leaves_nothing(server, most, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with relay(server, most) as port:
        error = refused(port, "select i, repeat('x', 100) as text from generate_series(1, 500000) i")
    assert error.code is ErrorCode.FETCH_FAILED
    assert "stopped early" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_the_relay_alone_does_no_harm(server):
    with relay(server, 10**9) as port:
        assert ask(port, "select 1 as a").num_rows == 1


# --- without a server --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n" * 1000])
def test_what_is_no_database_is_an_error(said):
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(said)

    with listening(answer) as port:
        assert refused(port, "select 1").code is ErrorCode.FETCH_FAILED


def test_a_port_where_nobody_listens():
    with listening(lambda _: None) as port:
        pass
    error = refused(port, "select 1")
    assert error.code is ErrorCode.FETCH_FAILED
    assert "refused" in str(error)


def test_a_server_that_is_silent_is_left():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        url = f"postgresql://me@127.0.0.1:{listener.getsockname()[1]}/a"
        with pytest.raises(StoreError):
            open_postgresql(url, ReadOptions(query="select 1", limits=FetchLimits(connect=2)))
        assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql:///shop", "postgresql://%2Frun%2Fpostgresql/shop", "postgresql:///shop?host=/run/postgresql"),
        *("postgresql://host", "postgresql://host/", "postgresql://a,b/shop", "postgresql://host:1,host:2/shop"),
        *(
            "postgresql://host/shop?host=other",
            "postgresql://host/shop?sslkey=/etc/passwd",
            "postgresql://h/s?options=-c%20a",
        ),
        *(
            "postgresql://host/shop?service=x",
            "postgresql://host/shop?passfile=/etc/passwd",
            "postgresql://h/s?sslmode=x",
        ),
        *(
            "postgresql://host/shop?password=canary",
            "postgresql://h/s#canary",
            "postgresql://me:canary@host:99999999/s",
        ),
        *("postgresql://a@b@host/shop", "postgresql://-host/shop?hostaddr=127.0.0.1", "postgresql://host/a/b"),
    ],
)
def test_sockets_options_and_odd_urls_are_refused(url):
    with pytest.raises(SecurityError) as caught:
        read(f"sql:{url}", query="select 1")
    assert "canary" not in str(caught.value)


def test_an_own_type_of_the_database_comes_as_what_it_is_stored_as():
    import pyarrow

    from lepton.data.formats.postgresql import _frame

    opaque = pyarrow.opaque(pyarrow.string(), "numeric", "PostgreSQL")
    column = pyarrow.ExtensionArray.from_storage(opaque, pyarrow.array(["1.5", None, "NaN"]))
    frame = _frame(pyarrow.table({"a": column}))
    assert frame["a"].dtype == pl.Float64
    assert frame["a"][0] == 1.5
