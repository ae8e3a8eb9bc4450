"""The frames of a video, decoded in a process of its own: a decoder that fails on a hostile file ends nothing else."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any, TypedDict

from lepton.core import DataError, ErrorCode, MissingExtraError, Work
from lepton.store import write_scratch

__all__ = ["VideoFrames", "write_frames"]

_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm"
_QUALITY = 95
_USUAL_RATE = 25.0


class VideoFrames(TypedDict):
    """What was written.

    Attributes:
        frames: place in the video from 1, seconds from its start, width, height, and bytes of each picture.
        decoded: frames that could be decoded.
        claimed: frames that its header claims, 0 where it says nothing.
        full: why it was not followed to its end, or "".
    """

    frames: list[tuple[int, float, int, int, int]]
    decoded: int
    claimed: int
    full: str


def write_frames(
    path: str, start: str, rate: float, most_frames: int, most_bytes: int, most_pixels: int, work: Work
) -> VideoFrames:
    """Write frames of a video as JPEG files `START.000001.jpg`, ...

    Args:
        path: the video; it was seen to begin as one.
        start: folder and first part of the names.
        rate: frames a second; the first at or after each multiple of its inverse is taken.
        most_frames: where to stop.
        most_bytes: where to stop, of all pictures.
        most_pixels: of a frame.
        work: stops it.

    Raises:
        DataError: `UNREADABLE`: nothing can be decoded, or a frame is too large.
        MissingExtraError: OpenCV is not installed.
    """
    cv2 = _decoder(work.resources.cpus)
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    try:
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not video.isOpened() or not _is_size(width * height):
            raise _fault("damaged", "it is cut before its index, or its codec is not there")
        if width * height > most_pixels:
            raise _fault("too large", f"{width:,.0f} x {height:,.0f} pixels, where {most_pixels:,} are read at most")
        claimed = video.get(cv2.CAP_PROP_FRAME_COUNT)
        found = VideoFrames(frames=[], decoded=0, claimed=int(claimed) if _is_size(claimed) else 0, full="")
        size = 0
        for number, seconds in _taken(cv2, video, rate, found, work):
            kept, picture = video.retrieve()
            if not kept or picture.shape[0] * picture.shape[1] > most_pixels:
                continue
            written, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            size += len(data)
            if not written or size > most_bytes or len(found["frames"]) >= most_frames:
                found["full"] = "size" if size > most_bytes else "frames"
                break
            write_scratch(f"{start}.{len(found['frames']) + 1:06}.jpg", [data.tobytes()])
            found["frames"].append((number, seconds, picture.shape[1], picture.shape[0], len(data)))
    finally:
        video.release()
    if not found["frames"] and not found["full"]:
        raise _fault("damaged", "none of its frames can be decoded")
    return found


def _taken(cv2: Any, video: Any, rate: float, found: VideoFrames, work: Work) -> Iterator[tuple[int, float]]:
    """Place and time of the frames to take, each when it has come; counts those that pass."""
    said = video.get(cv2.CAP_PROP_FPS)
    usual = said if 0 < said <= 1_000 else _USUAL_RATE
    last, due = -1.0, 0.0
    for number in itertools.count(1):
        work.check()
        if not video.grab():
            return
        found["decoded"] = number
        seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1_000
        if not math.isfinite(seconds) or not last < seconds < last + 3_600:  # clocks of damaged files stand or leap
            seconds = last + 1 / usual if last >= 0 else 0.0
        last = seconds
        if seconds >= due - 1e-6:
            due = (math.floor(seconds * rate + 1e-6) + 1) / rate
            yield number, seconds


def _decoder(threads: int) -> Any:
    """OpenCV, silent, which opens local files of few formats only: a playlist could name any address."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = (
        f"threads;{threads}|protocol_whitelist;file|format_whitelist;{_DEMUXERS}"
    )
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python-headless", "media", "reading videos") from None
    cv2.setNumThreads(threads)
    return cv2


def _is_size(value: float) -> bool:
    return math.isfinite(value) and 0 < value < 2**53


def _fault(what: str, words: str) -> DataError:
    return DataError(ErrorCode.UNREADABLE, f"{what}: {words}", details={"fault": what})
