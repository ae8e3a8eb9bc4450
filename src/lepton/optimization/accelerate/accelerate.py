"""Finding the quickest settings of a model file, and writing them into its reports."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton.bundle import add_report, machine, read_bundle
from lepton.bundle.settings import REPORT
from lepton.core import Work
from lepton.optimization.accelerate.result import Acceleration
from lepton.optimization.accelerate.search import find_settings
from lepton.store import open_read, replace_file

__all__ = ["accelerate"]

_MOST_MACHINES = 100


def accelerate(
    path: Path,
    rows: Any = None,
    *,
    batch: Sequence[int] = (1,),
    python: str | Path | None = None,
    output: Path | None = None,
    work: Work,
) -> Acceleration:
    """Measure a model file with other settings, and write those that win for this type of machine into its reports.

    Nothing is written where nothing wins, but that settings which won here once are taken out again.

    Args:
        path: the model file.
        rows: as of `find_settings`.
        batch: likewise.
        python: likewise.
        output: file to write in place of `path`, which then stays as it is.
        work: time, cancel, resources and seed.

    Raises:
        UsageError: a batch that cannot be.
        Interrupted: it was asked to stop; nothing is written.
    """
    bundle = read_bundle(path)
    found = find_settings(bundle, rows, batch=batch, python=python, work=work)
    if output is not None and output.absolute() != path.absolute():
        with replace_file(output) as copied, open_read(path) as source:
            shutil.copyfileobj(source, copied)
        path = output
    known = read_bundle(path).reports.get(REPORT, {}).get("machines")
    records = [each for each in known if isinstance(each, dict)] if isinstance(known, list) else []
    others = [each for each in records if each.get("machine") != found.machine]
    if found.won or len(others) < len(records):
        kept = [*([_record(found)] if found.won else []), *others][:_MOST_MACHINES]
        add_report(
            path,
            REPORT,
            {"time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "machines": kept},
        )
    return found


def _record(found: Acceleration) -> dict[str, Any]:
    return {
        "machine": dict(found.machine),
        "settings": found.settings.to_dict(),
        "batch": list(found.batch),
        "gain": None if found.gain is None else asdict(found.gain),
        "plain": dict(found.plain),
    }
