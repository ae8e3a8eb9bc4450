"""Files from elsewhere: the web by the store's own fetcher, object stores by fsspec and the libraries behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from lepton.core import DataError, ErrorCode, MissingExtraError, SecurityError, StoreError, show_size
from lepton.data.formats.base import ReadOptions
from lepton.store.fetch import fetch, safe_file_name
from lepton.store.files import make_folder, replace_file, scratch_folder

__all__ = ["carry_objects", "carry_web"]

_PIECE = 8 * 2**20
_MOST_FILES = 10_000
_LIBRARIES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
}
_CONTAINER_BEFORE_HOST = frozenset({"abfs", "abfss"})


@contextmanager
def carry_web(url: str, options: ReadOptions) -> Iterator[tuple[Path, ...]]:
    """Bring the file at an `http` or `https` URL here; see `lepton.store.fetch`."""
    with fetch(url, limits=options.limits, allow=options.allow_hosts, work=options.work) as path:
        yield (path,)


@contextmanager
def carry_objects(url: str, options: ReadOptions) -> Iterator[tuple[Path, ...]]:
    """Bring the objects that a URL or glob of an object store names here, whole or not at all.

    Who may read them is decided by what the store's library finds in its environment; it also decides how it
    connects. The URL itself holds no credentials, and no message repeats what that library says.

    Raises:
        SecurityError: credentials in the URL, or several URLs chained in one.
        DataError: `NOT_FOUND`.
        StoreError: `FETCH_FAILED`.
        MissingExtraError: the library of that store is not installed.
    """
    scheme, _, place = url.partition("://")
    _check_place(scheme.lower(), place)
    store, pattern = _store(scheme.lower(), url)
    with scratch_folder(options.work.resources.scratch) as folder:
        copy = _Copy(store, folder, options)
        yield copy.all(pattern, url)


def _check_place(scheme: str, place: str) -> None:
    account = place.partition("/")[0]
    if ("@" in account and scheme not in _CONTAINER_BEFORE_HOST) or ":" in account:
        raise SecurityError(
            ErrorCode.FORBIDDEN_URL,
            f"the {scheme} URL holds credentials",
            wanted=f"{scheme}://bucket/path",
            fix="keep them where the store's own tools look: its environment variables or configuration file",
        )
    if "::" in place:
        raise SecurityError(ErrorCode.FORBIDDEN_URL, "the URL chains several URLs", wanted=f"{scheme}://bucket/path")


def _store(scheme: str, url: str) -> tuple[Any, str]:
    """The file system of fsspec and the path in it."""
    fsspec = _fsspec()
    try:
        store = fsspec.filesystem(scheme)
    except ImportError:
        library, extra = _LIBRARIES.get(scheme, (scheme, "data"))
        raise MissingExtraError(library, extra, f"reading {scheme}://") from None
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise _failed(error, f"the store of {scheme}:// cannot be used") from None
    return store, str(store._strip_protocol(url))


def _fsspec() -> ModuleType:
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("fsspec", "data", "reading from object stores") from None
    module: ModuleType = fsspec
    return module


def _failed(error: Exception, came: str) -> StoreError:
    """What a library could not do, without its words: they may hold keys, and name what only the operator may know."""
    return StoreError(
        ErrorCode.FETCH_FAILED,
        f"{came} ({type(error).__name__})",
        fix="check the address, and the credentials that the store's own tools use",
    )


class _Copy:
    """Copies objects to files in one folder, within the limits."""

    def __init__(self, store: Any, folder: Path, options: ReadOptions) -> None:
        self.store = store
        self.folder = folder
        self.work = options.work
        self.limits = options.limits
        self.copied = 0
        self.deadline = time.monotonic() + options.limits.total

    def all(self, pattern: str, url: str) -> tuple[Path, ...]:
        """Copy everything that `pattern` matches; names of files stay, each in a folder of its own."""
        magic = any(character in pattern for character in "*?[")
        names = sorted(self._tried(self.store.glob, pattern)) if magic else [pattern]
        if not names:
            raise DataError(ErrorCode.NOT_FOUND, f"nothing matches the {url.partition(':')[0]} glob")
        if len(names) > _MOST_FILES:
            raise DataError(ErrorCode.UNREADABLE, f"the glob matches {len(names):,} objects", wanted="at most 10,000")
        return tuple(self._one(str(name), self.folder / str(number)) for number, name in enumerate(names))

    def _one(self, name: str, folder: Path) -> Path:
        path = make_folder(folder) / safe_file_name(name)
        size = self._tried(self.store.size, name)
        if size is not None:
            self._check(self.copied + size)
        with replace_file(path) as target:
            before = self.copied
            self._pour(name, target)
            if size is not None and self.copied - before != size:
                raise StoreError(
                    ErrorCode.FETCH_FAILED,
                    f"{path.name} stopped early, after {show_size(self.copied - before)} of {show_size(size)}",
                    fix="try again; nothing of it was kept",
                )
        return path

    def _pour(self, name: str, target: BinaryIO) -> None:
        source = self._tried(self.store.open, name, "rb")
        try:
            while data := self._tried(source.read, _PIECE):
                self.copied += len(data)
                self._check(self.copied)
                target.write(data)
                self.work.report(self.copied, unit="bytes", note="fetching")
        finally:
            source.close()

    def _check(self, size: int) -> None:
        self.work.check()
        if size > self.limits.size:
            raise StoreError(
                ErrorCode.FETCH_FAILED,
                f"the objects are larger than {show_size(self.limits.size)}",
                fix="allow more with max_download= or --max-download, or read a part of them",
            )
        if time.monotonic() > self.deadline:
            raise StoreError(ErrorCode.FETCH_FAILED, f"the objects took longer than {self.limits.total:g} s")

    def _tried(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except FileNotFoundError:
            raise DataError(ErrorCode.NOT_FOUND, "there is no such object", fix="check bucket and path") from None
        except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
            raise _failed(error, "the store does not give the objects") from None
