"""`lepton data convert`: images, sounds and texts changed file by file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lepton.cli.options import Injected, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError
from lepton.data.media.convert import FileSteps

__all__ = ["convert"]

_SIZE = re.compile(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?")


def convert(
    source: str,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    resize: str | None = None,
    how: Literal["crop", "fit", "stretch"] = "crop",
    crop: str | None = None,
    mono: bool = False,
    rate: int | None = None,
    trim_silence: bool = False,
    normalise: bool = False,
    lower: bool = False,
    column: str | None = None,
    on_error: Literal["fail", "drop"] = "fail",
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Images resized and cropped, sounds resampled and trimmed, texts normalised: into a new folder.

    Args:
        source: a folder or archive of images, sounds or texts, or a table that names them (--kind COLUMN=image).
        output: folder to make, as a whole or not at all.
        resize: size of images in pixels, as 64 or 64x48.
        how: crop fills the size and cuts what stands over, fit makes the whole fit in, stretch distorts.
        crop: size of the middle of images to keep, as 64 or 64x48.
        mono: make one channel of the sounds.
        rate: samples a second that the sounds shall have.
        trim_silence: cut the silence at both ends of the sounds.
        normalise: bring texts into one form: NFC, line ends, spaces.
        lower: and into lower case.
        column: of the files, if a table has several.
        on_error: whether a file that cannot be changed stops it or is left out.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    steps = FileSteps()
    if resize is not None:
        steps = steps.resize(*_size("--resize", resize), how=how)
    if crop is not None:
        steps = steps.crop(*_size("--crop", crop))
    if mono:
        steps = steps.mono()
    if rate is not None:
        steps = steps.resample(rate)
    if trim_silence:
        steps = steps.trim_silence()
    if normalise or lower:
        steps = steps.normalise(lower=lower)
    with context.work(workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        found = steps.save(table, output, column=column, on_error=on_error, work=work)
    notes = tuple(f"left out {path}: {why}" for path, why in list(found.dropped.items())[:20])
    text = f"{found.files:,} files written: {output}"
    text += f"\n{len(found.dropped):,} files left out" if found.dropped else ""
    text += f"\nLabels: {found.labels}" if found.labels else ""
    labels = None if found.labels is None else str(found.labels)
    data = {"output": str(output), "files": found.files, "dropped": found.dropped, "labels": labels}
    follow = f"lepton data check {output}" + (f" --labels {labels}" if labels else "")
    return Result(data=data, text=text, notes=notes, next=(follow,))


def _size(option: str, text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(ErrorCode.USAGE, f"got {option} {text!r}", wanted="pixels, as 64 or 64x48")
    return int(found[1]), int(found[2] or found[1])
