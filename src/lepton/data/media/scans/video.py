"""Videos: their frames at a stated rate, as pictures in a folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lepton.compute import Handle, LocalEngine
from lepton.core import (
    ErrorCode,
    Interrupted,
    Kind,
    MissingExtraError,
    Resources,
    Role,
    Work,
    WorkerError,
    printable,
)
from lepton.data.decisions import DecisionRecord
from lepton.data.media.images import MAX_PIXELS, fault
from lepton.data.media.scans.options import FrameOptions
from lepton.data.media.scans.reader import FramePicture, FrameReader, fact, no_room
from lepton.data.media.scans.video_child import VideoFrames
from lepton.data.media.signatures import HEAD, VIDEO_FORMATS, format_of_bytes
from lepton.store.files import open_read

__all__ = ["VideoReader"]

_MEMORY = 3 * 2**30
_LOOK_SECONDS = 0.2  # between looks at whether the work is to stop
_WHOLE = 0.98  # of the frames that a header claims; containers round them


class VideoReader(FrameReader):
    """Frames of videos, as JPEG; a context manager, for the process that decodes them.

    Args:
        options: rate and most frames.
        work: its threads; stops it.
    """

    records = (
        fact("video", Kind.IDENTIFIER, "string", role=Role.GROUP),
        fact("frame", Kind.NUMBER, "int64"),
        fact("time", Kind.NUMBER, "float64", "s"),
    )

    def __init__(self, options: FrameOptions, work: Work) -> None:
        if importlib.util.find_spec("cv2") is None:
            raise MissingExtraError("opencv-python-headless", "media", "reading videos")
        self._options, self._work = options, work
        self._engine = LocalEngine(workers=1)
        self._files = self._taken = self._decoded = 0
        self._short: list[str] = []
        self._cut: list[str] = []

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def pictures(self, path: Path, name: str, start: Path, room: int) -> list[FramePicture]:
        """See `FrameReader.pictures`."""
        with open_read(path) as file:
            head = file.read(HEAD)
        found_format = format_of_bytes(head)
        if found_format not in VIDEO_FORMATS:
            raise fault("refused" if head else "empty", "it begins as no video that is read")
        found = self._frames(path, start, room)
        if found["full"] == "size":
            raise no_room(room)
        shown, frames = printable(name, 60), found["frames"]
        if found["full"] == "frames":
            self._cut.append(f"'{shown}' after {frames[-1][1]:,.1f} s")
        elif found["decoded"] < _WHOLE * found["claimed"] - 1:
            self._short.append(f"'{shown}': {found['decoded']:,} of {found['claimed']:,} frames")
        self._files += 1
        self._taken += len(frames)
        self._decoded += found["decoded"]
        return [
            FramePicture(
                f".{place:06}.jpg",
                {
                    "video": name,
                    "frame": number,
                    "time": seconds,
                    "format": found_format,
                    "width": width,
                    "height": height,
                    "bytes": size,
                },
            )
            for place, (number, seconds, width, height, size) in enumerate(frames, 1)
        ]

    def _frames(self, path: Path, start: Path, room: int) -> VideoFrames:
        memory = min(self._work.resources.memory or _MEMORY, _MEMORY)
        resources = Resources(cpus=self._work.resources.cpus, memory=memory, scratch=self._work.resources.scratch)
        args = {
            "path": str(path.absolute()),
            "start": str(start),
            "rate": self._options.rate,
            "most_frames": self._options.most_frames,
            "most_bytes": room,
            "most_pixels": MAX_PIXELS,
        }
        entry_point = "lepton.data.media.scans.video_child:write_frames"
        job = self._engine.submit(entry_point, args, resources, within=self._work.remaining)
        try:
            return self._result(job)
        except WorkerError as error:
            what = "too large" if error.code is ErrorCode.OUT_OF_MEMORY else "damaged"
            raise fault(what, "its decoder stopped") from None

    def _result(self, job: Handle) -> VideoFrames:
        while True:
            try:
                found: VideoFrames = job.result(_LOOK_SECONDS)
            except TimeoutError:
                self._check(job)
            else:
                return found

    def _check(self, job: Handle) -> None:
        try:
            self._work.check()
        except Interrupted:
            job.kill()
            raise

    def decisions(self) -> list[DecisionRecord]:
        """See `FrameReader.decisions`."""
        why = f"{self._taken:,} of {self._decoded:,} frames of {self._files:,} videos"
        made = [DecisionRecord("path", "frames", f"{self._options.rate:g} a second", why, "media={'rate': 5}")]
        if self._cut:
            most = f"{self._options.most_frames:,} frames"
            made.append(DecisionRecord("path", "cut", most, _examples(self._cut), "media={'most_frames': ...}"))
        if self._short:
            made.append(DecisionRecord("path", "truncated", "frames up to there", _examples(self._short)))
        return made


def _examples(found: list[str]) -> str:
    return f"{len(found):,} videos, such as {found[0]}"
