"""Finding the quickest settings of a model file, and writing them into its reports."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton.bundle import Bundle, Predictor, add_report, machine, open_model, read_bundle
from lepton.bundle.settings import REPORT, RuntimeSettings
from lepton.core import MissingExtraError, Work
from lepton.optimization.accelerate.result import Acceleration
from lepton.optimization.accelerate.rewrite import rewrite
from lepton.optimization.accelerate.search import find_settings
from lepton.optimization.lean.base import Draft
from lepton.store import open_read, replace_file, scratch_folder

__all__ = ["accelerate", "measured"]

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
        output: file to write in place of `path`, which then stays as it is. Its graph may be another one with the same
            answers, where that is clearly quicker; reports on the former graph are then left out.
        work: time, cancel, resources and seed.

    Raises:
        UsageError: a batch that cannot be.
        Interrupted: it was asked to stop; nothing is written.
    """
    bundle = read_bundle(path)
    if output is None or output.absolute() == path.absolute():
        found = find_settings(bundle, rows, batch=batch, python=python, work=work)
        _keep(path, found)
        return found
    with scratch_folder(work.resources.scratch) as folder:
        rewritten = _rewritten(bundle, folder / "rewritten.lepton")
        found = find_settings(bundle, rows, rewritten=rewritten, batch=batch, python=python, work=work)
        if found.rewrites and rewritten is not None:
            path = rewritten[0].path
        with replace_file(output) as copied, open_read(path) as source:
            shutil.copyfileobj(source, copied)
    _keep(output, found)
    return found


def measured(predictor: Predictor, *, work: Work) -> Predictor:
    """A model opened anew with what is quickest here, unless its file knows that of this type of machine already.

    Args:
        predictor: as it was opened.
        work: time, cancel and resources; nothing is written.
    """
    if predictor.settings != RuntimeSettings():
        return predictor
    found = find_settings(predictor.bundle, work=work)
    return open_model(predictor.bundle, resources=work.resources, settings=found.settings) if found.won else predictor


def _rewritten(bundle: Bundle, path: Path) -> tuple[Bundle, tuple[str, ...]] | None:
    """The model with another graph that gives the same answers, if there is one and onnx is installed."""
    try:
        graph, changes = rewrite(bundle.graph, tuple(bundle.manifest.inner.values()))
    except MissingExtraError:
        return None
    if not changes:
        return None
    replace(Draft.of(bundle), graph=graph).write(path)
    return read_bundle(path), changes


def _keep(path: Path, found: Acceleration) -> None:
    """Write what won for this type of machine into the reports, in the place of what won before."""
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


def _record(found: Acceleration) -> dict[str, Any]:
    return {
        "machine": dict(found.machine),
        "settings": found.settings.to_dict(),
        "batch": list(found.batch),
        "gain": None if found.gain is None else asdict(found.gain),
        "plain": dict(found.plain),
    }
