"""Bundles as files: write, read, add a report, unpack. What is opened was checked whole; no code from it ever runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lepton.bundle.archive import Archive, ArchiveIndex, open_archive, write_archive
from lepton.bundle.documents import MAX_DOCUMENT, dump_document, parse_document
from lepton.bundle.graph import GraphSummary, summarize_graph
from lepton.bundle.interface import check_interface
from lepton.bundle.manifest import GRAPH, MANIFEST, REPORTS, Manifest, MemberRecord, model_id_of
from lepton.core import BundleError, DataError, ErrorCode, StoreError, UsageError, printable
from lepton.store import make_folder, replace_file, scratch_folder

__all__ = [
    "CHECKS",
    "MAX_GRAPH",
    "SIGNATURES",
    "Bundle",
    "add_report",
    "extract_bundle",
    "inspect_archive",
    "put_report",
    "read_bundle",
    "read_with_graph",
    "write_bundle",
]

MAX_GRAPH = 2_000_000_000
"""Most bytes of `model.onnx` in format 1."""

SIGNATURES = "signature-"
"""How names of reports begin that `bundle.signing` alone writes."""

CHECKS = ("archive", "manifest", "members", "graph", "interface", "reports")
"""What opening a bundle checks, in order."""

PathLike = str | os.PathLike[str]
Passed = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was checked when it was opened; members are read when asked for, and checked again.

    Attributes:
        path: the file.
        manifest: its manifest.
        model_id: identity of the model: everything but the reports.
        reports: name → report, as `add_report` was given them, with `model_id`.
        summary: what the graph walker saw.
    """

    path: Path
    manifest: Manifest
    model_id: str
    reports: Mapping[str, dict[str, Any]]
    summary: GraphSummary
    _index: ArchiveIndex = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all members, sorted."""
        return tuple(self._index.entries)

    @property
    def graph(self) -> bytes:
        """The member `model.onnx`, read from the file."""
        return self.member(GRAPH)

    def member(self, name: str) -> bytes:
        """The data of the member `name`, the same bytes that were checked when the bundle was opened.

        Raises:
            UsageError: there is no such member.
            DataError: `CHANGED_WHILE_READ`, if the file holds another model now.
        """
        if name not in self._index.entries:
            raise UsageError(
                ErrorCode.USAGE,
                f"the bundle has no member '{printable(name)}'",
                wanted="one of " + ", ".join(self.names[:20]),
            )
        with open_archive(self.path, known=self._index) as archive:
            data, found = b"", None
            if name in archive.names:
                data = archive.read_unchecked(name)
                found = MemberRecord(len(data), archive.sha256_of(name, data))
        known = self.manifest.members.get(name)
        if found is None or (known is not None and found != known):
            raise DataError(
                ErrorCode.CHANGED_WHILE_READ,
                f"'{printable(self.path.name)}' holds another model than when it was opened: its {name} differs",
                fix="open it again",
            )
        return data


# --- writing -----------------------------------------------------------------------------------------------------


def write_bundle(
    path: PathLike,
    *,
    manifest: Manifest,
    graph: bytes,
    assets: Mapping[str, bytes] | None = None,
    baseline: Mapping[str, bytes] | None = None,
    training: Mapping[str, bytes] | None = None,
    reports: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Write a bundle as a whole: it appears complete, or an earlier file at `path` stays as it was.

    Args:
        path: where to; a file there is replaced.
        manifest: everything but `members`, which is filled in here.
        graph: `model.onnx`.
        assets: name without folder → data.
        baseline: as `assets`.
        training: as `assets`.
        reports: name without folder and `.json` → report; see `add_report`.

    Returns:
        The `model_id`: the same for the same arguments but `reports`.

    Raises:
        UsageError: the manifest, a name or a report cannot be written, or all is too large.
        BundleError: `GRAPH_REFUSED`, if the graph would not be opened again.
    """
    members = {GRAPH: graph}
    for folder, contents in (("assets", assets), ("baseline", baseline), ("training", training)):
        members |= {f"{folder}/{name}": data for name, data in (contents or {}).items()}
    manifest = manifest.with_members(members)
    members[MANIFEST] = manifest.to_json()
    if len(graph) > MAX_GRAPH:
        raise UsageError(ErrorCode.USAGE, f"the graph has {len(graph)} bytes", wanted=f"at most {MAX_GRAPH}")
    check_interface(manifest, summarize_graph(graph))
    model_id = model_id_of({name: MemberRecord.of(data) for name, data in members.items()})
    written = {
        f"{REPORTS}{_free_name(name)}.json": _dump_report(name, report, model_id)
        for name, report in (reports or {}).items()
    }
    _check_reports_size(sum(map(len, written.values())))
    with replace_file(path) as file:
        write_archive(file, {name: [data] for name, data in (members | written).items()})
    return model_id


def add_report(path: PathLike, name: str, report: Mapping[str, Any]) -> None:
    """Add a report to the bundle at `path`, or replace the one of that name; the model stays as it is.

    Args:
        path: the bundle; a new file takes its place.
        name: without folder and `.json`: a-z, 0-9, `_` and `-`; names that begin with `signature-` are kept.
        report: JSON-ready, with `time` (ISO 8601 with zone) and `machine`; `model_id` is added.

    Raises:
        UsageError: the name or the report cannot be written.
        BundleError: the bundle is not in order.
    """
    put_report(path, _free_name(name), report)


def put_report(path: PathLike, name: str, report: Mapping[str, Any]) -> None:
    """`add_report` for names of every kind."""
    member = f"{REPORTS}{name}.json"
    with replace_file(path) as file, open_archive(path) as archive:
        bundle = inspect_archive(archive, Path(path), lambda check, note: None)
        data = _dump_report(name, report, bundle.model_id)
        kept = [other for other in archive.names if other != member]
        _check_reports_size(len(data) + sum(archive.size(other) for other in kept if other.startswith(REPORTS)))
        chunks: dict[str, Iterable[bytes]] = {other: archive.chunks(other) for other in kept}
        write_archive(file, chunks | {member: [data]})
        archive.index.stamp.check(path)  # else a report that another process added meanwhile would be lost


def _free_name(name: str) -> str:
    if name.startswith(SIGNATURES):
        raise UsageError(
            ErrorCode.BAD_NAME, f"the report '{printable(name)}' would be a signature", fix="lepton bundle sign"
        )
    return name


def _dump_report(name: str, report: Mapping[str, Any], model_id: str) -> bytes:
    what = f"report {printable(name)!r}"
    if report.get("model_id", model_id) != model_id:
        raise UsageError(
            ErrorCode.USAGE, f"the {what} speaks of the model {report['model_id']!r}", wanted=f"{model_id}, or nothing"
        )
    if problem := _report_problem(report):
        raise UsageError(ErrorCode.USAGE, f"the {what} {problem}", wanted="its time, in ISO 8601, and its machine")
    return dump_document({**report, "model_id": model_id}, what)


def _report_problem(report: Mapping[str, Any]) -> str:
    try:
        zone = datetime.fromisoformat(report["time"]).tzinfo
    except (KeyError, TypeError, ValueError):
        zone = None
    if zone is None:
        return f"has the time {printable(repr(report.get('time')))}"
    if not isinstance(report.get("machine"), str | Mapping) or not report["machine"]:
        return f"has the machine {printable(repr(report.get('machine')))}"
    return ""


def _check_reports_size(size: int) -> None:
    if size > MAX_DOCUMENT:
        raise UsageError(
            ErrorCode.USAGE, f"the reports would have {size} bytes", wanted=f"at most {MAX_DOCUMENT} in all"
        )


# --- reading -----------------------------------------------------------------------------------------------------


def read_bundle(path: PathLike) -> Bundle:
    """Open the bundle at `path` after checking all of it: form, hashes, graph, reports.

    Raises:
        BundleError: what it holds is damaged, unsafe or of another format.
        DataError: there is no such file, or it is not a regular file.
    """
    return read_with_graph(path)[0]


def read_with_graph(path: PathLike) -> tuple[Bundle, bytes]:
    """`read_bundle`, and the graph that was checked, for who runs it at once: large ones take long to read."""
    with open_archive(path) as archive:
        return _inspect(archive, Path(path), lambda check, note: None)


def inspect_archive(archive: Archive, path: Path, passed: Passed) -> Bundle:
    """Run every check of `CHECKS` on an open archive.

    Args:
        archive: the archive; its form was checked by opening it.
        path: where it is.
        passed: called with the name of each check that passed and what was seen.

    Raises:
        BundleError: at the first check that fails.
    """
    return _inspect(archive, path, passed)[0]


def _inspect(archive: Archive, path: Path, passed: Passed) -> tuple[Bundle, bytes]:
    passed("archive", f"{len(archive.names)} members")
    _need_member(archive, MANIFEST)
    manifest_data = archive.read(MANIFEST, MAX_DOCUMENT)
    manifest = Manifest.from_json(manifest_data)
    _need_member(archive, GRAPH)
    passed("manifest", f"format {manifest.format}, {manifest.task}")
    graph = _check_members(archive, manifest)
    model_id = model_id_of({**manifest.members, MANIFEST: MemberRecord.of(manifest_data)})
    passed("members", f"{len(manifest.members)} as the manifest says, model {model_id[:12]}")
    summary = summarize_graph(graph)
    passed("graph", f"{summary.num_nodes} nodes, IR {summary.ir_version}, {_show_opsets(summary)}")
    check_interface(manifest, summary)
    passed("interface", f"{len(manifest.inputs)} columns in, {len(manifest.outputs)} outputs")
    reports = _read_reports(archive, model_id)
    passed("reports", ", ".join(reports) or "none")
    return Bundle(path, manifest, model_id, reports, summary, archive.index), graph


def _need_member(archive: Archive, name: str) -> None:
    if name not in archive.names:
        raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"the bundle has no {name}")


def _show_opsets(summary: GraphSummary) -> str:
    return ", ".join(f"{domain} {version}" for domain, version in summary.opsets.items())


def _check_members(archive: Archive, manifest: Manifest) -> bytes:
    """Check the hash of every member that the manifest lists; returns the graph, so that it is read once."""
    present = {name for name in archive.names if name != MANIFEST and not name.startswith(REPORTS)}
    if present != manifest.members.keys():
        missing, unlisted = sorted(manifest.members.keys() - present), sorted(present - manifest.members.keys())
        raise BundleError(
            ErrorCode.BUNDLE_DAMAGED,
            f"the manifest lists {missing[:5]}, which are not there, and lacks {unlisted[:5]}, which are",
            wanted="every member listed, and no other",
        )
    graph = b""
    for name, record in manifest.members.items():
        if name == GRAPH:
            graph = archive.read_unchecked(GRAPH, MAX_GRAPH)
            found = MemberRecord(len(graph), archive.sha256_of(GRAPH, graph))
        else:
            found = MemberRecord(archive.size(name), archive.sha256(name))
        if found != record:
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED,
                f"{name} has {found.size} bytes and the sha256 {found.sha256}",
                wanted=f"{record.size} bytes and {record.sha256}, as the manifest says",
                fix="get the file again; somebody changed it",
            )
    return graph


def _read_reports(archive: Archive, model_id: str) -> dict[str, dict[str, Any]]:
    members = [name for name in archive.names if name.startswith(REPORTS)]
    if (size := sum(map(archive.size, members))) > MAX_DOCUMENT:
        raise BundleError(
            ErrorCode.BUNDLE_UNSAFE, f"the reports have {size} bytes", wanted=f"at most {MAX_DOCUMENT} in all"
        )
    reports = {}
    for member in members:
        report = parse_document(archive.read(member), member)
        if problem := _report_problem(report):
            raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"{member} {problem}", wanted="its time and its machine")
        if report.get("model_id") != model_id:
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED,
                f"{member} speaks of the model {printable(repr(report.get('model_id')))}",
                wanted=model_id,
                fix="add the reports of this model only",
            )
        reports[member.removeprefix(REPORTS).removesuffix(".json")] = report
    return reports


# --- unpacking ---------------------------------------------------------------------------------------------------


def extract_bundle(path: PathLike, folder: PathLike) -> tuple[str, ...]:
    """Unpack the bundle at `path` into `folder`, which must not exist; it appears whole or not at all.

    Returns:
        Names of the files in it, with `/`.

    Raises:
        BundleError: the bundle is not in order.
        UsageError: there is something called `folder` already.
        StoreError: the disk refuses.
    """
    target = Path(folder)
    if os.path.lexists(target):
        raise UsageError(
            ErrorCode.USAGE, f"'{printable(target.name)}' exists already", fix="name a folder that is not there yet"
        )
    with open_archive(path) as archive, scratch_folder(target.parent) as scratch:
        inspect_archive(archive, Path(path), lambda check, note: None)
        for name in archive.names:
            place = scratch / "bundle" / name
            make_folder(place.parent)
            with replace_file(place) as file:
                file.writelines(archive.chunks(name))
        try:
            (scratch / "bundle").rename(target)
        except OSError as error:  # somebody made it meanwhile, or took its folder away
            raise StoreError(
                ErrorCode.STORE_FAILED, f"'{printable(target.name)}' could not be made: {error.strerror}"
            ) from None
        return archive.names
