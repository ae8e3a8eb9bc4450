"""Archives: zip and tar, unpacked into a folder, within bounds, and never beside it."""

from __future__ import annotations

import re
import stat as mode_bits
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from lepton.core import DataError, ErrorCode, LeptonError, Work, printable, show_size
from lepton.store.files import make_folder, open_read, write_scratch
from lepton.store.unpack import check_ratio, unpacked

__all__ = ["ARCHIVE_NAME", "MAX_MEMBERS", "UnpackedRecord", "unpack_archive"]

ARCHIVE_NAME = re.compile(r"(?s:.+)\.(?:zip|tar|tgz|tbz2?|txz|tar\.(?:gz|bz2|xz|zst|zstd))\Z", re.IGNORECASE)
"""Names of archives."""

MAX_MEMBERS = 2_000_000
_MAX_NAME_BYTES = 255
_MAX_DEPTH = 64
_MAX_HEADER = 2**20
_PIECE = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class UnpackedRecord:
    """What was unpacked.

    Attributes:
        files: how many.
        size: their bytes.
        left_out: links, devices and the like, which are never made.
    """

    files: int
    size: int
    left_out: int


def unpack_archive(path: Path, folder: Path, limit: int, work: Work) -> UnpackedRecord:
    """Unpack the files of a zip or tar archive below an empty folder.

    Args:
        path: the archive; a tar may be packed by gzip, bzip2, xz or zstd.
        folder: where to.
        limit: most bytes of all files together.
        work: stops it, and hears of its progress.

    Raises:
        DataError: `UNREADABLE` for a damaged or encrypted archive, a bomb, names that lead out of the folder, names
            that stand twice, too many files or too many bytes.
        StoreError: the disk is full or failed.
        MissingExtraError: zstd without pyarrow.
    """
    unpacking = _Unpacking(path.name, folder, limit, work)
    try:
        with open_read(path) as file:
            if zipfile.is_zipfile(file):
                unpacking.unpack_zip(file)
            else:
                file.seek(0)
                with unpacked(file, unpacking.what) as stream:
                    unpacking.unpack_tar(stream)
    except LeptonError:
        raise
    except _DAMAGE as error:
        said = printable(str(error).partition("\n")[0], 120)
        raise unpacking.refused(f"is damaged, or no archive: {said}", "fetch or pack it again") from None
    return UnpackedRecord(len(unpacking.names), unpacking.size, unpacking.left_out)


class _Unpacking:
    """One archive on its way."""

    def __init__(self, name: str, folder: Path, limit: int, work: Work) -> None:
        self.what = printable(name, 80)
        self._folder, self._limit, self._work = folder, limit, work
        self._made: set[str] = set()
        self.names: set[str] = set()
        self.size = 0
        self.left_out = 0

    def unpack_zip(self, file: BinaryIO) -> None:
        with zipfile.ZipFile(file) as archive:
            packed = 0
            for member in archive.infolist():
                kind = mode_bits.S_IFMT(member.external_attr >> 16)
                if member.is_dir():
                    continue
                if kind not in (0, mode_bits.S_IFREG):
                    self.left_out += 1
                    continue
                if member.flag_bits & 1 or member.compress_type not in _METHODS:
                    raise self.refused("is encrypted, or packed in a way that is not known", "unpack it yourself first")
                packed += member.compress_size
                check_ratio(packed, self.size + member.file_size, self.what)
                with archive.open(member) as content:
                    self._take(member.filename, member.file_size, content)

    def unpack_tar(self, stream: BinaryIO) -> None:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None:
                    self.left_out += 1
                    continue
                self._take(member.name, member.size, content)
                archive.members = []  # type: ignore[attr-defined]  # else it remembers every one

    def _take(self, name: str, size: int, content: IO[bytes]) -> None:
        self._work.check()
        parts = self._parts(name)
        place = "/".join(parts)
        if place in self.names:
            raise self.refused(f"holds '{printable(name, 80)}' twice", "pack it again")
        self.names.add(place)
        self.size += size
        if len(self.names) > MAX_MEMBERS:
            raise self.refused(f"holds more than {MAX_MEMBERS:,} files", "unpack it yourself first")
        if self.size > self._limit:
            said = f"unpacks to more than {show_size(self._limit)}"
            raise self.refused(said, "allow more with max_download= or --max-download")
        above = "/".join(parts[:-1])
        if above not in self._made:
            make_folder(self._folder.joinpath(*parts[:-1]))
            self._made.add(above)
        write_scratch(self._folder.joinpath(*parts), self._pieces(content, size, name))
        self._work.report(len(self.names), None, "files", note="unpacking")

    def _pieces(self, content: IO[bytes], size: int, name: str) -> Iterator[bytes]:
        """The bytes of a member: as many as it says."""
        left = size
        while left:
            try:
                piece = content.read(min(left, _PIECE))
            except _DAMAGE as error:
                said = printable(str(error).partition("\n")[0], 120)
                raise self.refused(f"is damaged at '{printable(name, 80)}': {said}", "fetch it again") from None
            if not piece:
                raise self.refused(f"ends within '{printable(name, 80)}'", "fetch or pack it again")
            left -= len(piece)
            yield piece

    def _parts(self, name: str) -> list[str]:
        """The folders and the name of a member, if it lies below the folder."""
        plain = name.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        if plain.startswith("/") or ".." in parts or _DRIVE.match(plain) or not parts:
            raise self.refused(f"holds the name '{printable(name, 80)}', which leads out of it", "do not use it")
        longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
        if longest > _MAX_NAME_BYTES or len(parts) > _MAX_DEPTH or "\0" in name:
            raise self.refused(f"holds the name '{printable(name, 80)}', which no disk takes", "pack it again")
        return parts

    def refused(self, said: str, fix: str) -> DataError:
        return DataError(ErrorCode.UNREADABLE, f"{self.what} {said}", wanted="a zip or tar of plain files", fix=fix)


class _Member(tarfile.TarInfo):
    """A member whose headers are small: tarfile reads extended ones into memory, whatever size they claim."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if not self.isreg() and self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]
