"""The archive: a zip whose bytes are a pure function of its members, written and read in one form only.

Members are stored, sorted by name, dated 1980-01-01 and aligned to 64 bytes. The reader does not interpret what a
zip may say in many ways: it takes names, sizes and checksums from the directory, makes the headers that the writer
would have made, and refuses a file that differs in one byte (decision 0020; `docs/reference/bundle-format.md`).
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from lepton.core import BundleError, ErrorCode, UsageError, printable
from lepton.store import FileStamp, open_read, stamp

__all__ = ["MAX_MEMBERS", "Archive", "ArchiveIndex", "check_member_name", "open_archive", "write_archive"]

MAX_MEMBERS = 10_000
"""Most members of a bundle."""

_MAX_FILE = 2**32 - 1  # offsets of a plain zip have 32 bits; format 1 has no zip64
_CHUNK = 1 << 18
_PIECE = 1 << 16  # of data in memory: what is summed is in the cache still when it is hashed
_ALIGNMENT = 64
_PADDING_ID = 0xD935  # the extra field of Android's zipalign: the alignment, then zeros
_VERSION = 10  # stored members need version 1.0 of the zip format, made on "FAT": no modes, no owners
_DATE = 0x21  # 1980-01-01, the first day that a zip can say

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_EXTRA = struct.Struct("<3H")
_LOCAL_FIELDS = "signature,version,flags,method,time,date,checksum,stored size,size,name length,extra length"
_CENTRAL_FIELDS = (
    "signature,maker,version,flags,method,time,date,checksum,stored size,size,name length,extra length,"
    "comment length,disk,internal attributes,external attributes,offset"
)

# One segment: no name that Windows keeps for a device, no dot at the end. At most one folder, and only known ones.
_SEGMENT = r"(?!(?:aux|con|nul|prn|com[0-9]|lpt[0-9])(?:\.|$))[a-z0-9][a-z0-9._-]{0,99}(?<!\.)"
_MEMBER = re.compile(
    rf"manifest\.json|model\.onnx|(?:assets|baseline|training)/{_SEGMENT}|reports/(?!.*\..*\.){_SEGMENT}(?<=\.json)"
)
_MAX_NAME = 110
_NAME_RULE = (
    "manifest.json, model.onnx, or one name in assets/, baseline/ or training/, or reports/NAME.json; "
    "of a-z, 0-9, '.', '_' and '-', at most 100 characters"
)


def check_member_name(name: str) -> str:
    """Return `name` if a member may be called so, or raise `UsageError`; every such name is safe as a path."""
    if not _MEMBER.fullmatch(name):
        raise UsageError(ErrorCode.BAD_NAME, f"a member cannot be called '{printable(name)}'", wanted=_NAME_RULE)
    return name


class _Entry(NamedTuple):
    """Where the data of a member lies."""

    offset: int
    size: int
    checksum: int


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What the directory of one file says, and the stamp that the file had."""

    stamp: FileStamp
    entries: Mapping[str, _Entry]


class Archive:
    """An open archive whose form was checked; the data of a member is checked when it is read."""

    def __init__(self, file: BinaryIO, index: ArchiveIndex) -> None:
        self.index = index
        self._file = file
        self._entries = index.entries

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, sorted."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Bytes of the member `name`."""
        return self._entries[name].size

    def chunks(self, name: str, most: int = _CHUNK) -> Iterator[bytes]:
        """The data of the member `name`, at most `most` bytes at a time.

        Raises:
            BundleError: after the last chunk, if the checksum differs; earlier, if the file was cut meanwhile.
        """
        checksum = 0
        for chunk in self._chunks(name, most):
            checksum = zlib.crc32(chunk, checksum)
            yield chunk
        self._compare(name, checksum)

    def _chunks(self, name: str, most: int) -> Iterator[bytes]:
        offset, left, _ = self._entries[name]
        while left:
            self._file.seek(offset)
            chunk = self._file.read(min(left, most))
            if not chunk:
                raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"the file ends {left} bytes before its member {name} does")
            offset += len(chunk)
            left -= len(chunk)
            yield chunk

    def _compare(self, name: str, checksum: int) -> None:
        if checksum != (wanted := self._entries[name].checksum):
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED,
                f"the data of the member {name} has the checksum {checksum:08x}",
                wanted=f"{wanted:08x}, as its header says",
                fix="get the file again; it was damaged on its way",
            )

    def read(self, name: str, limit: int = _MAX_FILE) -> bytes:
        """The data of the member `name`; `BundleError` if it has more than `limit` bytes or is damaged."""
        data = self.read_unchecked(name, limit)
        self._compare(name, zlib.crc32(data))
        return data

    def read_unchecked(self, name: str, limit: int = _MAX_FILE) -> bytes:
        """`read` for who calls `sha256_of` with what it gives; the checksum is not looked at."""
        if (size := self.size(name)) > limit:
            raise BundleError(ErrorCode.BUNDLE_UNSAFE, f"{name} has {size} bytes", wanted=f"at most {limit}")
        return b"".join(self._chunks(name, max(size, 1)))  # in one piece, which needs no second copy

    def sha256_of(self, name: str, data: bytes) -> str:
        """Hash of `data`, in hexadecimal, in one pass with its checksum.

        Raises:
            BundleError: the checksum is not that of the member `name`.
        """
        digest, checksum, view = sha256(), 0, memoryview(data)
        for start in range(0, len(data), _PIECE):
            piece = view[start : start + _PIECE]
            checksum = zlib.crc32(piece, checksum)
            digest.update(piece)
        self._compare(name, checksum)
        return digest.hexdigest()

    def sha256(self, name: str) -> str:
        """Hash of the data of the member `name`, in hexadecimal, read without keeping it."""
        digest = sha256()
        for chunk in self.chunks(name):
            digest.update(chunk)
        return digest.hexdigest()


# --- writing -----------------------------------------------------------------------------------------------------


def write_archive(file: BinaryIO, members: Mapping[str, Iterable[bytes | memoryview]]) -> None:
    """Write `members` (name → chunks of data) to `file`, which is empty and can seek.

    Raises:
        UsageError: a name that a member cannot have, too many members, or 4 GiB and more in all.
    """
    if len(members) > MAX_MEMBERS:
        raise UsageError(ErrorCode.USAGE, f"got {len(members)} members", wanted=f"at most {MAX_MEMBERS}")
    offset = 0
    directory = bytearray()
    for name in sorted(members):
        encoded = check_member_name(name).encode("ascii")
        header_size = len(_local_header(encoded, 0, 0, offset))
        file.seek(offset + header_size)
        size = checksum = 0
        for chunk in members[name]:
            file.write(chunk)
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            _check_total(offset + header_size + size)
        file.seek(offset)
        file.write(_local_header(encoded, checksum, size, offset))
        directory += _central_header(encoded, checksum, size, offset)
        offset += header_size + size
    _check_total(offset + len(directory) + _END.size)
    file.seek(offset)
    file.write(directory)
    file.write(_end_record(len(members), len(directory), offset))


def archive_size(sizes: Mapping[str, int]) -> int:
    """Bytes of the file that `write_archive` makes of members with these sizes (name → bytes)."""
    offset = directory_size = 0
    for name in sorted(sizes):
        encoded = name.encode("ascii")
        offset += len(_local_header(encoded, 0, 0, offset)) + sizes[name]
        directory_size += _CENTRAL.size + len(encoded)
    return offset + directory_size + _END.size


def _check_total(size: int) -> None:
    if size > _MAX_FILE:
        raise UsageError(ErrorCode.USAGE, "the bundle would have 4 GiB or more", wanted="less: format 1 has no zip64")


def _local_header(name: bytes, checksum: int, size: int, offset: int) -> bytes:
    padding = -(offset + _LOCAL.size + len(name) + _EXTRA.size) % _ALIGNMENT
    extra = _EXTRA.pack(_PADDING_ID, 2 + padding, _ALIGNMENT) + bytes(padding)
    fixed = _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, checksum, size, size, len(name), len(extra))
    return fixed + name + extra


def _central_header(name: bytes, checksum: int, size: int, offset: int) -> bytes:
    fixed = _CENTRAL.pack(
        b"PK\1\2", _VERSION, _VERSION, 0, 0, 0, _DATE, checksum, size, size, len(name), 0, 0, 0, 0, 0, offset
    )
    return fixed + name


def _end_record(num_members: int, directory_size: int, directory_offset: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, num_members, num_members, directory_size, directory_offset, 0)


# --- reading -----------------------------------------------------------------------------------------------------


@contextmanager
def open_archive(path: str | os.PathLike[str], known: ArchiveIndex | None = None) -> Iterator[Archive]:
    """Open the archive at `path` and check its form; nothing of its members is read.

    Args:
        path: the file.
        known: the index of an earlier opening, taken over if the file has not changed since.

    Raises:
        BundleError: the file is not what `write_archive` writes, in one byte or more.
        DataError: there is no such file, or it is not a regular file.
    """
    before = stamp(path)
    with open_read(path) as file:
        if known is None or known.stamp != before:
            try:
                entries = _read_index(file)
            except BundleError as error:
                raise _about(error, path) from None
            known = ArchiveIndex(before, entries)
        yield Archive(file, known)


def _about(error: BundleError, path: str | os.PathLike[str]) -> BundleError:
    came = f"'{printable(Path(path).name)}' is not a bundle as Lepton writes it: {error.came}"
    return BundleError(error.code, came, wanted=error.wanted, fix=error.fix)


def _read_index(file: BinaryIO) -> dict[str, _Entry]:
    size = file.seek(0, os.SEEK_END)
    directory, directory_offset, num_members = _read_directory(file, size)
    entries: dict[str, _Entry] = {}
    position = offset = 0
    previous = b""
    for _ in range(num_members):
        fixed = directory[position : position + _CENTRAL.size]
        if len(fixed) < _CENTRAL.size:
            _damaged("its directory ends within an entry")
        fields = _CENTRAL.unpack(fixed)
        checksum, length, name_length = fields[7], fields[9], fields[10]
        name = directory[position + _CENTRAL.size : position + _CENTRAL.size + name_length]
        shown = _checked_name(name, previous)
        expected = _central_header(name, checksum, length, offset)
        _compare(_CENTRAL, _CENTRAL_FIELDS, expected, directory[position : position + len(expected)], shown)
        local = _local_header(name, checksum, length, offset)
        data = offset + len(local)
        if data + length > directory_offset:
            _unsafe(f"its member {shown} claims {length} bytes, more than the file holds")
        file.seek(offset)
        _compare(_LOCAL, _LOCAL_FIELDS, local, file.read(len(local)), shown)
        entries[shown] = _Entry(data, length, checksum)
        position += len(expected)
        offset = data + length
        previous = name
    if position != len(directory):
        _unsafe(f"{len(directory) - position} bytes follow the last entry of its directory")
    if offset != directory_offset:
        _unsafe(f"{directory_offset - offset} bytes lie between its last member and its directory")
    return entries


def _read_directory(file: BinaryIO, size: int) -> tuple[bytes, int, int]:
    """The directory, its offset and the number of members, from an end record at the very end."""
    file.seek(max(size - _END.size, 0))
    record = file.read(_END.size)
    if len(record) < _END.size or not record.startswith(b"PK\5\6"):
        file.seek(0)
        start = file.read(8).hex(" ") or "nothing"
        _damaged(
            f"its {size} bytes do not end with the end record of a zip (they begin with {start})",
            fix="it is another kind of file, was cut short, or something was added to it: get it again",
        )
    _, _, _, _, num_members, directory_size, directory_offset, _ = _END.unpack(record)
    if record != _end_record(num_members, directory_size, directory_offset):
        _unsafe("its end record speaks of several disks, of a comment or of different numbers of members")
    if num_members > MAX_MEMBERS:
        _unsafe(f"it holds {num_members} members", wanted=f"at most {MAX_MEMBERS}")
    if directory_offset + directory_size + _END.size != size:
        _unsafe(f"its directory of {directory_size} bytes at {directory_offset} does not reach to its end record")
    if directory_size > num_members * (_CENTRAL.size + _MAX_NAME):
        _unsafe(f"its directory has {directory_size} bytes for {num_members} members")
    file.seek(directory_offset)
    return file.read(directory_size), directory_offset, num_members


def _checked_name(name: bytes, previous: bytes) -> str:
    shown = printable(name.decode("ascii", "backslashreplace"))
    if not name.isascii() or not _MEMBER.fullmatch(name.decode("ascii")):
        _unsafe(f"it has a member called '{shown}'", wanted=_NAME_RULE)
    if name == previous:
        _unsafe(f"it has two members called {shown}")
    if name < previous:
        _unsafe(f"its member {shown} stands after {previous.decode('ascii')}", wanted="members sorted by name")
    return shown


def _compare(layout: struct.Struct, fields: str, expected: bytes, found: bytes, shown: str) -> None:
    """Refuse a header that differs from the one the writer makes, and say in what."""
    if found == expected:
        return
    if len(found) >= layout.size:
        pairs = zip(fields.split(","), layout.unpack_from(expected), layout.unpack_from(found), strict=True)
        for field, wanted, came in pairs:
            if wanted != came:
                _unsafe(f"the {field} of its member {shown} is {came!r}", wanted=f"{wanted!r}")
    _unsafe(f"the name or the padding of its member {shown} differs between its two headers")


def _damaged(came: str, fix: str = "get the file again; it was damaged on its way") -> NoReturn:
    raise BundleError(ErrorCode.BUNDLE_DAMAGED, came, fix=fix)


def _unsafe(came: str, wanted: str = "") -> NoReturn:
    raise BundleError(
        ErrorCode.BUNDLE_UNSAFE,
        came,
        wanted=wanted,
        fix="use the file that Lepton wrote, not one that was packed again",
    )
