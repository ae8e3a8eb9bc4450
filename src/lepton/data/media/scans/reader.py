"""The contract of what turns one file into pictures, and the reader of scans."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Work, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.media.images import encode_image, fault, pillow
from lepton.data.media.scans.dicom import read_dicom
from lepton.data.media.scans.nifti import read_nifti
from lepton.data.media.scans.options import FrameOptions
from lepton.data.media.signatures import HEAD, format_of_bytes
from lepton.store.files import open_read, write_scratch

__all__ = ["FramePicture", "FrameReader", "ScanReader", "fact", "no_room"]

MAX_SCAN = 2**30
"""Bytes: larger scans are not opened."""


@dataclass(frozen=True, slots=True)
class FramePicture:
    """A picture that was written.

    Attributes:
        suffix: what its name has behind `start`.
        facts: column → value.
    """

    suffix: str
    facts: Mapping[str, Any]


class FrameReader(ABC):
    """Turns files into pictures, one file after the other; counts what `decisions` tells of all of them.

    Attributes:
        records: columns that it fills.
    """

    records: tuple[ColumnRecord, ...]

    @abstractmethod
    def pictures(self, path: Path, name: str, start: Path, room: int) -> Sequence[FramePicture]:
        """Write the pictures of one file.

        Args:
            path: of the file.
            name: what tables call it.
            start: folder and first part of the names of the pictures.
            room: bytes that they may take together.

        Raises:
            DataError: `UNREADABLE`, with `details["fault"]`; with `"no room"` the whole reading stops.
        """

    @abstractmethod
    def decisions(self) -> Sequence[DecisionRecord]:
        """What was decided of all files so far."""


def fact(name: str, kind: Kind, dtype: str, unit: str = "", role: Role = Role.IGNORED) -> ColumnRecord:
    """A column that says something of a picture; a model does not learn from it unless asked."""
    return ColumnRecord(name, kind, dtype, unit=unit, role=role)


def no_room(room: int) -> DataError:
    """The refusal of more pictures than fit."""
    came = f"too large: the pictures need more than the {show_size(room)} that are left for them"
    fix = "max_download='20GB', or fewer files at a time"
    return DataError(ErrorCode.UNREADABLE, came, fix=fix, details={"fault": "no room"})


_RECORDS = (
    fact("scan", Kind.IDENTIFIER, "string"),
    fact("study", Kind.IDENTIFIER, "string", role=Role.GROUP),
    fact("modality", Kind.CATEGORY, "string"),
    fact("volume", Kind.NUMBER, "int64"),
    fact("slice", Kind.NUMBER, "int64"),
    fact("position", Kind.NUMBER, "float64", "mm"),
    fact("row_spacing", Kind.NUMBER, "float64", "mm"),
    fact("column_spacing", Kind.NUMBER, "float64", "mm"),
    fact("thickness", Kind.NUMBER, "float64", "mm"),
    fact("window_center", Kind.NUMBER, "float64"),
    fact("window_width", Kind.NUMBER, "float64"),
    fact("burned_in", Kind.CATEGORY, "string"),
)
_IDS = (
    fact("study_id", Kind.IDENTIFIER, "string"),
    fact("series_id", Kind.IDENTIFIER, "string"),
)
_ID_LENGTH = 16


class ScanReader(FrameReader):
    """Slices of DICOM and NIfTI files, as PNG.

    Args:
        options: of windows and axes.
        work: stops it.
    """

    def __init__(self, options: FrameOptions, work: Work) -> None:
        self._options, self._work = options, work
        self.records = _RECORDS if options.ids is None else (*_RECORDS, *_IDS)
        self._image = pillow()
        self._studies: dict[str, int] = {}
        self._windowed: Counter[str] = Counter()
        self._burned_in: Counter[str | None] = Counter()
        self._formats: Counter[str] = Counter()
        self._holes = 0

    def pictures(self, path: Path, name: str, start: Path, room: int) -> list[FramePicture]:
        """See `FrameReader.pictures`."""
        with open_read(path) as file:
            data = file.read(MAX_SCAN + 1)
        if len(data) > MAX_SCAN:
            raise fault("too large", f"it has more than {show_size(MAX_SCAN)}")
        is_nifti = (
            data.startswith(b"\x1f\x8b") or format_of_bytes(data[:HEAD]) == "nifti" or name.lower().endswith(".nii")
        )
        scan = (read_nifti if is_nifti else read_dicom)(data, self._options)
        study = self._studies.get(scan.study) or len(self._studies) + 1
        common = {"scan": name, "study": str(study), **self._ids(scan.study, scan.series)}
        found: list[FramePicture] = []
        left = room
        for number, frame in enumerate(scan.frames, 1):
            self._work.check()
            picture = encode_image(self._image.fromarray(frame.pixels), "png")
            left -= len(picture)
            if left < 0:
                raise no_room(room)
            suffix = f".{number:06}.png"
            write_scratch(f"{start}{suffix}", [picture])
            height, width = frame.pixels.shape[:2]
            sizes = {"width": width, "height": height, "bytes": len(picture)}
            found.append(FramePicture(suffix, {**common, **frame.facts, **sizes}))
        self._studies.setdefault(scan.study or f"\0{name}", study)
        self._count(found, scan.windowed, scan.holes)
        return found

    def _ids(self, *uids: str) -> dict[str, str | None]:
        """The ids of study and series under the caller's key, if there is one."""
        if self._options.ids is None:
            return {}
        key = self._options.ids.encode()
        found = [hmac.new(key, uid.encode(), sha256).hexdigest()[:_ID_LENGTH] if uid else None for uid in uids]
        return dict(zip((record.name for record in _IDS), found, strict=True))

    def _count(self, found: Sequence[FramePicture], windowed: str, holes: bool) -> None:
        self._windowed[windowed] += 1
        self._holes += holes
        for picture in found:
            self._formats[picture.facts["format"]] += 1
            if picture.facts["format"] == "dicom":
                self._burned_in[picture.facts["burned_in"]] += 1

    def decisions(self) -> list[DecisionRecord]:
        """See `FrameReader.decisions`."""
        windows = sorted(self._windowed.items(), key=lambda item: (-item[1], item[0]))
        why = "; ".join(f"{count:,} files {how}" for how, count in windows)
        asked = "media={'window': (centre, width)}"
        made = [DecisionRecord("path", "pixels", "8 bits", why, asked)]
        if self._formats["nifti"]:
            why = f"{self._formats['nifti']:,} slices of NIfTI volumes, in the patient's axes"
            made.append(DecisionRecord("path", "axis", self._options.axis, why, "media={'axis': 'coronal'}"))
        if self._holes:
            why = f"{self._holes:,} files hold voxels that are no numbers"
            made.append(DecisionRecord("path", "holes", "black", why))
        said = "names, numbers, dates, free text and private tags are not read; names of files and folders stay"
        made.append(DecisionRecord(None, "header", "technical values alone", said))
        if self._formats["dicom"]:
            yes, no, unsaid = self._burned_in["yes"], self._burned_in["no"], self._burned_in[None]
            why = f"headers say yes for {yes:,} pictures, no for {no:,}, nothing for {unsaid:,}: look before sharing"
            made.append(DecisionRecord("burned_in", "burned-in text", "left in the picture", why))
        return made
