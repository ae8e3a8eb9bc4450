"""Files: the one place that opens for writing, and what every reader of a file asks first.

A file is replaced as a whole or not at all: written under a hidden name in the same folder, synced, renamed over
the target, and the folder synced (decision 0010). Readers open regular files only.
"""

from __future__ import annotations

import difflib
import errno
import glob
import itertools
import os
import re
import secrets
import shutil
import stat as mode_bits
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from lepton.core import DataError, ErrorCode, LeptonError, StoreError, UsageError, printable, show_size

__all__ = [
    "FileStamp",
    "expand",
    "hash_file",
    "make_folder",
    "new_folder",
    "open_read",
    "publish",
    "remove_leftovers",
    "replace_file",
    "replace_path",
    "scratch_folder",
    "stamp",
    "write_bytes",
    "write_new",
    "write_scratch",
    "write_text",
]

PathLike = str | os.PathLike[str]

_TEMPORARY = ".lepton-part-"
_LEFTOVER_AGE = 24 * 3600.0
_FILE_MODE = 0o644
_PRIVATE_MODE = 0o600
_FOLDER_MODE = 0o755
_BLOCK = 8 * 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BROKEN = frozenset({errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})  # some network file systems cannot sync a folder
_RUST_ERROR = re.compile(r"\(os error ([0-9]{1,5})\)")  # how Polars spells an errno, in an error of any class


def _flags(*names: str) -> int:
    """The named flags of `os.open`, as far as this system has them (Windows lacks most)."""
    return sum(getattr(os, f"O_{name}", 0) for name in names)


_SHORT_WRITE = re.compile(r"[0-9]+ requested and [0-9]+ written")  # how numpy says that a disk filled while it wrote
_URL = re.compile(r"(https?|ftps?|sftp|file|data|s3|gs|gcs|az|abfss?):/", re.IGNORECASE)
_READ_FLAGS = _flags("RDONLY", "CLOEXEC", "BINARY", "NOCTTY", "NONBLOCK")  # a FIFO without a writer must not block
_CREATE_FLAGS = _flags("WRONLY", "CREAT", "EXCL", "NOFOLLOW", "CLOEXEC", "BINARY")
_SYNC_FLAGS = _flags("RDWR" if os.name == "nt" else "RDONLY", "NOFOLLOW", "CLOEXEC")  # Windows syncs writers only
_FOLDER_FLAGS = _flags("RDONLY", "DIRECTORY", "CLOEXEC")


# --- writing -----------------------------------------------------------------------------------------------------


@contextmanager
def replace_path(path: PathLike) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; at exit its file takes the place of `path`, as a whole.

    The temporary file exists already, is empty and has the suffix of `path`; a library may write it by name. On
    any error, Ctrl-C included, it is removed and the earlier file stays as it was. A new file is readable as the
    umask allows; one that replaces another is not readable by more people than that was; none can be written by
    group or others.

    Args:
        path: the file to make or replace. Its folder must exist.

    Raises:
        DataError: `path` is a folder, a link, a device or the like, or its folder does not exist.
        StoreError: `STORE_FULL` where space ran out; `STORE_FAILED` for any other refusal of the disk.
    """
    target = _checked(path)
    mode = _target_mode(target)
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}{target.suffix[:32]}")
    try:
        os.close(os.open(temporary, _CREATE_FLAGS, mode))
    except OSError as error:
        raise _store_error(error.errno, target, 0) from None
    try:
        yield temporary
        _commit(temporary, target, mode)
    except LeptonError:
        raise
    except Exception as error:
        number = _storage_errno(error, temporary)
        if number is None:
            raise
        raise _store_error(number, target, _size(temporary)) from None
    finally:
        with suppress(OSError):  # gone when it was renamed
            temporary.unlink()


@contextmanager
def replace_file(path: PathLike) -> Iterator[BinaryIO]:
    """Give a binary file whose content replaces `path` at exit, as a whole; see `replace_path`.

    >>> with scratch_folder() as folder:
    ...     with replace_file(folder / "a.txt") as file:
    ...         _ = file.write(b"new")
    ...     (folder / "a.txt").read_bytes()
    b'new'
    """
    with replace_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(path: PathLike, data: bytes | bytearray | memoryview) -> None:
    """Make or replace the file `path` with `data`; see `replace_path`."""
    with replace_file(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    """Make or replace the file `path` with `text` in UTF-8, line ends as they are; see `replace_path`."""
    write_bytes(path, text.encode("utf-8"))


def write_new(path: PathLike, data: bytes, *, private: bool = False) -> None:
    """Make the file `path`, which must not be there yet, with `data`.

    It is written in place, so that no copy of a secret can be left under another name; where writing fails, the file
    is removed again. A kill in the middle leaves a part of it, under its own name and permissions.

    Args:
        path: the file to make. Its folder must exist.
        data: what it shall hold.
        private: readable by this user only, whatever the umask says.

    Raises:
        UsageError: there is a file of that name.
        DataError: there is a folder, link or the like of that name, or the folder for it does not exist.
        StoreError: `STORE_FULL` where space ran out; `STORE_FAILED` for any other refusal of the disk.
    """
    target = _checked(path)
    try:
        handle = os.open(target, _CREATE_FLAGS, _PRIVATE_MODE if private else _FILE_MODE)
    except FileExistsError:
        raise UsageError(
            ErrorCode.USAGE,
            f"{_shown(target)} exists already and is not overwritten",
            fix="name a file that is not there yet",
        ) from None
    except OSError as error:
        raise _store_error(error.errno, target, 0) from None
    whole = False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        _sync_folder(target.parent)
        whole = True
    except OSError as error:
        raise _store_error(error.errno, target, _size(target)) from None
    finally:
        if not whole:
            target.unlink()


def write_scratch(path: PathLike, pieces: Iterable[bytes]) -> None:
    """Make the file `path` in a folder that `scratch_folder` or `new_folder` gave; it is not synced by itself.

    Raises:
        StoreError: `STORE_FULL` where space ran out; `STORE_FAILED` for a name that is taken, and any other refusal.
    """
    target = _as_path(path)
    try:
        with os.fdopen(os.open(target, _CREATE_FLAGS, _FILE_MODE), "wb") as file:
            for piece in pieces:
                file.write(piece)
    except OSError as error:
        raise _store_error(error.errno, target, _size(target)) from None


def publish(path: PathLike, data: bytes) -> bool:
    """Make the file `path` with `data`, as a whole, unless there is a file of that name: then False.

    Of several who publish one name at a time, exactly one gets True.

    Raises:
        DataError: there is a folder, link or the like of that name, or the folder for it does not exist.
        StoreError: `STORE_FULL` where space ran out; `STORE_FAILED` for any other refusal of the disk.
    """
    target = _checked(path)
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, _CREATE_FLAGS, _FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, target)  # unlike a rename, it refuses a name that is taken
        _sync_folder(target.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise _store_error(error.errno, target, _size(temporary)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return True


def make_folder(path: PathLike) -> Path:
    """Make the folder `path`, and those above it, unless it is there; none can be written by group or others.

    Raises:
        DataError: a part of `path` is there and is not a folder.
        StoreError: the disk refuses.
    """
    folder = _as_path(path)
    missing = list(itertools.takewhile(lambda part: not part.is_dir(), (folder, *folder.parents)))
    for part in reversed(missing):
        try:
            part.mkdir(_FOLDER_MODE)
        except (FileExistsError, NotADirectoryError):
            if not part.is_dir():  # else another process was quicker, which is fine
                raise DataError(ErrorCode.NOT_A_FILE, f"{_shown(part)} is not a folder") from None
        except OSError as error:
            raise _store_error(error.errno, part, 0) from None
    return folder


@contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """Give an empty folder that becomes `path` at exit, with all that is in it, as a whole.

    On any error it is removed. Files are written into it with `write_scratch`; what was written is synced at the end,
    all at once.

    Args:
        path: the folder to make; it is not there yet, or is empty. The folder above it must exist.

    Raises:
        DataError: there is something of that name.
        StoreError: the disk refuses.
    """
    target = _as_path(path)
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        came = f"{_shown(target)} is there already"
        raise DataError(ErrorCode.NOT_A_FILE, came, wanted="a new or an empty folder", fix="name another folder")
    if not target.absolute().parent.is_dir():
        came = f"there is no folder {_shown(target.parent)}"
        raise DataError(ErrorCode.NOT_FOUND, came, fix="make the folder first")
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        temporary.mkdir(_FOLDER_MODE)
        yield temporary
        if hasattr(os, "sync"):
            os.sync()
        temporary.rename(target)
        _sync_folder(target.absolute().parent)
    except OSError as error:
        raise _store_error(error.errno, target, 0) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone when it was renamed


@contextmanager
def scratch_folder(parent: PathLike | None = None) -> Iterator[Path]:
    """Give an empty folder that only this user may enter; it is removed at exit with all that is in it.

    Args:
        parent: where to make it (`Resources.scratch`); the system's folder for temporary files by default.
    """
    place = None if parent is None else _as_path(parent)
    try:
        folder = tempfile.TemporaryDirectory(prefix="lepton-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise _store_error(error.errno, place or Path("the folder for temporary files"), 0) from None
    with folder as name:
        yield Path(name)


def remove_leftovers(folder: PathLike) -> int:
    """Remove what killed writers left in `folder`: temporaries that nobody wrote to for a day. Returns how many."""
    oldest = time.time() - _LEFTOVER_AGE
    removed = 0
    with os.scandir(_as_path(folder)) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                with suppress(OSError):
                    Path(entry.path).unlink()
                    removed += 1
    return removed


def _checked(path: PathLike) -> Path:
    """`path`, if a file may be made or replaced there."""
    target = _as_path(path)
    try:
        found = target.lstat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            shown = _shown(target.parent)
            raise DataError(ErrorCode.NOT_FOUND, f"there is no folder {shown}", fix="make the folder first") from None
        return target
    except NotADirectoryError:
        raise DataError(ErrorCode.NOT_A_FILE, f"{_shown(target.parent)} is not a folder") from None
    except OSError as error:
        raise _store_error(error.errno, target, 0) from None
    if mode_bits.S_ISLNK(found.st_mode):
        # To follow it would write where the name does not say; to replace it would lose the link.
        raise DataError(
            ErrorCode.NOT_A_FILE,
            f"{_shown(target)} is a link, which is neither followed nor replaced",
            fix="name the file that it points to, or remove the link",
        )
    if not mode_bits.S_ISREG(found.st_mode):
        raise DataError(
            ErrorCode.NOT_A_FILE, f"{_shown(target)} is {_node(found.st_mode)}", wanted="the name of a file to write"
        )
    if not os.access(target, os.W_OK):  # a rename would go through where the folder is writable
        raise StoreError(ErrorCode.STORE_FAILED, f"{_shown(target)} is read-only")
    return target


def _target_mode(target: Path) -> int:
    """Permissions of the new file: never more than those of the one it replaces."""
    try:
        return mode_bits.S_IMODE(target.lstat().st_mode) & _FILE_MODE
    except OSError:
        return _FILE_MODE


def _commit(temporary: Path, target: Path, mode: int) -> None:
    """Data to the disk, then the name, then the folder: whatever stops the machine, a whole file stands there."""
    try:
        handle = os.open(temporary, _SYNC_FLAGS)
        try:
            # A library may have put a file of its own there, with permissions of its own.
            temporary.chmod(mode_bits.S_IMODE(temporary.lstat().st_mode) & mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _store_error(error.errno, target, _size(temporary)) from None


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # it has no such call; a rename is durable there with the journal
        return
    handle = os.open(folder, _FOLDER_FLAGS)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def _storage_errno(error: Exception, temporary: Path) -> int | None:
    """The errno if `error` says that writing `temporary` failed; None for everything else, which passes as it is."""
    if found := _RUST_ERROR.search(str(error)):
        number = int(found[1])
        return number if number in _FULL | _BROKEN else None
    if not isinstance(error, OSError):
        return None
    if _SHORT_WRITE.search(str(error)):
        return errno.ENOSPC
    about_it = error.filename is None or os.fspath(error.filename) == os.fspath(temporary)
    return error.errno if error.errno in _FULL or (about_it and error.errno in _BROKEN) else None


def _store_error(number: int | None, target: Path, written: int) -> StoreError:
    if number in _FULL:
        return StoreError(
            ErrorCode.STORE_FULL,
            f"space ran out while {_shown(target)} was written, after {show_size(written)}",
            fix="make room, or write somewhere else",
            details={"written": written},
        )
    reason = os.strerror(number) if number else "unknown reason"
    return StoreError(ErrorCode.STORE_FAILED, f"{_shown(target)} could not be written: {reason}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- reading -----------------------------------------------------------------------------------------------------


def open_read(path: PathLike) -> BinaryIO:
    """Open the regular file `path` for reading.

    Raises:
        DataError: `NOT_FOUND`; `NOT_A_FILE` for a folder, FIFO, device or socket, or a file that may not be read.
        StoreError: `STORE_FAILED` where the disk fails.
    """
    source = _as_path(path)
    try:
        handle = os.open(source, _READ_FLAGS)
    except OSError as error:
        raise _read_error(error, source) from None
    mode = os.fstat(handle).st_mode
    if not mode_bits.S_ISREG(mode):
        os.close(handle)
        raise _not_a_file(source, mode)
    return os.fdopen(handle, "rb")


def hash_file(path: PathLike, *, last: int | None = None) -> str:
    """sha256 of the regular file `path`, or of its `last` bytes, as 64 hexadecimal digits; errors as `open_read`."""
    found = sha256()
    with open_read(path) as file:
        if last is not None:
            file.seek(max(file.seek(0, os.SEEK_END) - last, 0))
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a file was when reading began; `check` tells whether it still is.

    >>> with scratch_folder() as folder:
    ...     write_bytes(folder / "a", b"1")
    ...     before = stamp(folder / "a")
    ...     before.check(folder / "a")
    """

    device: int
    inode: int
    size: int
    modified: int

    def check(self, path: PathLike) -> None:
        """Raise `DataError` `CHANGED_WHILE_READ` if `path` is another file now, or has another content."""
        try:
            now = stamp(path)
        except DataError:
            now = None
        if now != self:
            what = "disappeared" if now is None else "changed"
            raise DataError(
                ErrorCode.CHANGED_WHILE_READ,
                f"{_shown(_as_path(path))} {what} while it was read",
                fix="wait until it is written, or read a copy",
            )


def stamp(path: PathLike) -> FileStamp:
    """The stamp of the file `path`; `DataError` `NOT_FOUND` if there is none."""
    source = _as_path(path)
    try:
        found = source.stat()
    except OSError as error:
        raise _read_error(error, source) from None
    return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def expand(source: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    """Every file that `source` means: a path, a glob (`**` too), or several of them in the order given.

    What a glob finds is sorted by name; folders and hidden files are left out. A path that exists is that file,
    whatever characters it holds. A file that is meant twice is given once.

    Raises:
        DataError: `NOT_FOUND` where a path or glob means nothing; `NOT_A_FILE` for a folder, device or the like.
    """
    sources: Iterable[PathLike] = [source] if isinstance(source, str | os.PathLike) else source
    found = [path for one in sources for path in _expand_one(_as_path(one))]
    if not found:
        raise DataError(ErrorCode.NOT_FOUND, "got no path at all", wanted="a path, a glob or several of them")
    return tuple(dict.fromkeys(found))


def _expand_one(path: Path) -> list[Path]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not glob.has_magic(os.fspath(path)):
            raise _read_error(error, path) from None
    else:
        if not mode_bits.S_ISREG(mode):
            raise _not_a_file(path, mode)
        return [path]
    names = glob.iglob(os.fspath(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(candidate for candidate in map(Path, names) if candidate.is_file())
    if not found:
        raise DataError(ErrorCode.NOT_FOUND, f"no file matches {_shown(path)}")
    return found


def _read_error(error: OSError, path: Path) -> DataError | StoreError:
    shown = _shown(path)
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ENAMETOOLONG | errno.ELOOP:
            return DataError(ErrorCode.NOT_FOUND, f"there is no file {shown}", fix=_similar(path))
        case errno.EACCES | errno.EPERM:
            return DataError(ErrorCode.NOT_A_FILE, f"{shown} may not be read by this user")
        case errno.ENXIO | errno.ENODEV | errno.EOPNOTSUPP:  # a socket, or a device without its driver
            return DataError(ErrorCode.NOT_A_FILE, f"{shown} is not a regular file", wanted="a file")
    return StoreError(ErrorCode.STORE_FAILED, f"{shown} could not be read: {error.strerror}")


def _similar(path: Path) -> str:
    """The closest name in the folder, as a question; "" without one."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, 1000)]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {printable(close[0])!r}?" if close else ""


def _not_a_file(path: Path, mode: int) -> DataError:
    fix = f"use a glob such as '{_plain(path)}/*.csv' for the files in it" if mode_bits.S_ISDIR(mode) else ""
    return DataError(ErrorCode.NOT_A_FILE, f"{_shown(path)} is {_node(mode)}", wanted="a file", fix=fix)


def _node(mode: int) -> str:
    for is_kind, name in (
        (mode_bits.S_ISDIR, "a folder"),
        (mode_bits.S_ISFIFO, "a FIFO"),
        (mode_bits.S_ISSOCK, "a socket"),
    ):
        if is_kind(mode):
            return name
    return "a device"


# --- names -------------------------------------------------------------------------------------------------------


def _as_path(path: PathLike) -> Path:
    """`path` as a `Path`, if the system could take it."""
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise UsageError(ErrorCode.USAGE, f"got a path of type {type(path).__name__}", wanted="text or a Path")
    try:
        usable = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise UsageError(ErrorCode.BAD_NAME, f"got the path {_shown(text)}", wanted="a path without NUL, not empty")
    if url := _URL.match(text):  # not repeated: it may hold a password
        raise DataError(
            ErrorCode.NOT_A_FILE,
            f"got a URL with the scheme {url[1]!r}",
            wanted="a file",
            fix="fetch it to a file first",
        )
    return Path(text)


def _plain(path: Path | str) -> str:
    """A relative path as it was given, of an absolute one the name: messages do not tell how a machine is laid out."""
    return printable(os.path.basename(path) if os.path.isabs(path) else os.fspath(path))  # noqa: PTH117, PTH119 - text


def _shown(path: Path | str) -> str:
    return f"'{_plain(path)}'"
