"""Object stores: fsspec's own in memory, and stores that misbehave."""

import io
import sys

import pytest

from lepton.core import DataError, ErrorCode, Interrupted, LeptonError, MissingExtraError, StoreError, Work
from lepton.data import read
from lepton.data.formats import remote

fsspec = pytest.importorskip("fsspec", reason="object stores need fsspec")

TABLE = b"rooms,price\n2,100\n3,150\n"


@pytest.fixture(autouse=True)
def bucket():
    """A store in memory, emptied afterwards."""
    store = fsspec.filesystem("memory")
    for name in ("sales/part-1.csv", "sales/part-2.csv", "sales/other.csv", "canary.csv"):
        store.pipe(f"/bucket/{name}", TABLE)
    yield store
    store.rm("/bucket", recursive=True)


class Misbehaving:
    """A store whose library says the secret in every error."""

    def __init__(self, *, content=TABLE, size=None, fails="", error=RuntimeError):
        self.content, self.told, self.fails, self.error = content, size, fails, error

    def _strip_protocol(self, url):
        return url.partition("://")[2]

    def _may_fail(self, call):
        if self.fails == call:
            raise self.error("key=canary")

    def glob(self, pattern):
        self._may_fail("glob")
        return []

    def size(self, name):
        self._may_fail("size")
        return len(self.content) if self.told is None else self.told

    def open(self, name, mode):
        self._may_fail("open")
        outer = self

        class Stream(io.BytesIO):
            def read(self, size=-1):
                outer._may_fail("read")
                return super().read(min(size, 10))

        return Stream(self.content)


@pytest.fixture
def store(monkeypatch):
    def use(**how):
        monkeypatch.setattr(fsspec, "filesystem", lambda scheme: Misbehaving(**how))

    return use


def refused(source="s3://bucket/a.csv", **options):
    with pytest.raises(LeptonError) as caught:
        read(source, **options)
    assert "canary" not in f"{caught.value} {caught.value.details}"
    assert caught.value.__cause__ is None
    return caught.value


def test_an_object_is_a_table(bucket):
    table = read("memory://bucket/sales/part-1.csv")
    bucket.rm("/bucket/sales/part-1.csv")
    assert table.frame().rows() == [(2, 100), (3, 150)]
    assert table.decisions[0].what == "fetched"


def test_a_glob_is_one_table_of_files_with_the_same_name():
    assert read("memory://bucket/sales/part-*.csv").num_rows == 4
    assert read("memory://bucket/**/*.csv").num_rows == 8


@pytest.mark.parametrize("source", ["memory://bucket/none.csv", "memory://bucket/none-*.csv"])
def test_what_is_not_there(source):
    assert refused(source).code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("call", ["size", "open", "read"])
def test_what_a_library_says_is_not_repeated(store, call):
    store(fails=call)
    error = refused()
    assert error.code is ErrorCode.FETCH_FAILED
    assert "RuntimeError" in str(error)
    store(fails=call, error=FileNotFoundError)
    assert refused().code is ErrorCode.NOT_FOUND


def test_a_glob_that_fails(store):
    store(fails="glob", error=PermissionError)
    assert "PermissionError" in str(refused("s3://bucket/*.csv"))
    store()
    assert refused("s3://bucket/*.csv").code is ErrorCode.NOT_FOUND


def test_a_store_that_cannot_be_made(monkeypatch):
    def broken(scheme):
        raise ValueError("key=canary")

    monkeypatch.setattr(fsspec, "filesystem", broken)
    assert refused().code is ErrorCode.FETCH_FAILED


def test_a_stream_that_ends_early_leaves_nothing(store, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store(size=len(TABLE) + 5)
    assert "stopped early, after 24 B of 29 B" in str(refused())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [None, 10])
def test_size_is_limited_by_what_is_told_and_by_what_comes(store, size):
    store(size=size)
    assert "larger than 15 B" in str(refused(max_download=15))


def test_time_is_limited_and_work_can_be_stopped(store):
    from lepton.data.formats.base import ReadOptions
    from lepton.store.fetch import FetchLimits

    store()
    with (
        pytest.raises(StoreError, match="longer"),
        remote.carry_objects("s3://bucket/a.csv", ReadOptions(limits=FetchLimits(total=-1.0))),
    ):
        pass
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        read("s3://bucket/a.csv", work=work)


@pytest.mark.parametrize("scheme", ["s3", "gs", "abfs", "az"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(scheme, monkeypatch):
    def missing(name):
        raise ImportError("Install canary")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'lepton-ai\[(s3|gs|azure)\]'"):
        read(f"{scheme}://bucket/a.csv")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"'fsspec'.*lepton-ai\[data\]"):
        read(f"{scheme}://bucket/a.csv")


@pytest.mark.parametrize(
    "source",
    [
        *(
            "s3://key:canary@bucket/a.csv",
            "gs://canary@bucket/a.csv",
            "abfs://a:canary@host/a.csv",
            "s3://a:canary/b.csv",
        ),
        *("s3://bucket/a.zip::memory://canary", "memory://a::file:///etc/passwd"),
    ],
)
def test_credentials_and_chains_are_refused(source):
    assert refused(source).code is ErrorCode.FORBIDDEN_URL


def test_a_container_before_the_account_is_no_credential(store):
    store()
    assert read("abfs://container@account.dfs.core.windows.net/a.csv").num_rows == 2


@pytest.mark.parametrize("name", ["../../canary.csv", "..%2f..%2fcanary.csv", ".hidden.csv"])
def test_names_of_objects_stay_in_their_folder(bucket, name):
    bucket.pipe(f"/bucket/odd/{name}", TABLE)
    table = read(f"memory://bucket/odd/{name}")
    (file,) = table._source.files
    assert file.parent.name == "0"
    assert not file.name.startswith(".")


def test_too_many_objects(monkeypatch):
    monkeypatch.setattr(remote, "_MOST_FILES", 2)
    with pytest.raises(DataError, match="3 objects"):
        read("memory://bucket/sales/*.csv")
