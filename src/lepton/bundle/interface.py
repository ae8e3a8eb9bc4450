"""Whether a graph takes and gives what its manifest says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton.bundle.documents import parse_document
from lepton.bundle.encoding import NUMBER_KINDS, STRING_KINDS
from lepton.bundle.graph import GraphSummary, ValueRecord
from lepton.bundle.manifest import Manifest
from lepton.bundle.tensor_records import describe_tensors
from lepton.bundle.wire import refuse
from lepton.core import ColumnRecord, Role, printable

__all__ = ["INPUTS_KEY", "check_interface", "describe_inputs", "series_columns"]

INPUTS_KEY = "lepton.inputs"
"""Key of `metadata_props` that tells a stranger how to feed the graph."""


def check_interface(manifest: Manifest, graph: GraphSummary) -> None:
    """Compare inputs, outputs, inner points and `lepton.inputs` of a graph with the manifest.

    Raises:
        BundleError: `GRAPH_REFUSED`, with what differs.
    """
    columns = manifest.inputs
    if manifest.task == "forecast":
        _check_series(manifest, graph)
        return
    if manifest.tensors:
        records = (
            ValueRecord(t.name, t.dtype, tuple("" if s is None else s for s in t.shape)) for t in manifest.tensors
        )
        _check(manifest, graph, tuple(records), describe_tensors(manifest.tensors, columns, manifest.codecs))
        return
    num_numbers = sum(column.kind in NUMBER_KINDS for column in columns)
    tensors = (("numbers", "double", num_numbers), ("strings", "string", len(columns) - num_numbers))
    wanted = tuple(ValueRecord(name, dtype, ("N", width)) for name, dtype, width in tensors if width)
    _check(manifest, graph, wanted, describe_inputs(columns, manifest.codecs))


def _check_series(manifest: Manifest, graph: GraphSummary) -> None:
    """The same for a forecaster, whose graph says itself how many steps of history it takes."""
    roles = [column.role for column in manifest.inputs]
    if roles.count(Role.TIME) != 1 or roles.count(Role.TARGET) != 1 or roles.count(Role.GROUP) > 1:
        refuse(
            "the inputs of a forecaster have the roles " + ", ".join(roles), "one time, one target, at most one group"
        )
    columns = series_columns(manifest.inputs)
    shape = graph.inputs[0].shape if graph.inputs else None
    length = shape[1] if shape is not None and len(shape) == 3 else 0
    if not isinstance(length, int) or length < 1:
        refuse(f"the graph's inputs are {_show(graph.inputs)}", f"series double[N, L, {len(columns)}] with a fixed L")
    described = [{"name": c.name, "kind": str(c.kind), "unit": c.unit, "time_zone": c.time_zone} for c in columns]
    wanted = (ValueRecord("series", "double", ("N", length, len(columns))),)
    _check(manifest, graph, wanted, {"series": described})


def series_columns(columns: Sequence[ColumnRecord]) -> tuple[ColumnRecord, ...]:
    """The columns of a forecaster's `series`, in their order: time, target, covariates."""
    of_role = {role: [c for c in columns if c.role is role] for role in (Role.TIME, Role.TARGET, Role.FEATURE)}
    return tuple(column for role in of_role.values() for column in role)


def _check(manifest: Manifest, graph: GraphSummary, wanted: tuple[ValueRecord, ...], inputs: Mapping[str, Any]) -> None:
    _compare("inputs", wanted, graph.inputs)
    _compare("outputs", tuple(ValueRecord(o.name, o.dtype, o.shape) for o in manifest.outputs), graph.outputs)
    for point, value in manifest.inner.items():
        if value not in graph.values:
            refuse(f"the graph has no value '{printable(value)}', the inner point {point}", "values of the graph")
    described = parse_document(graph.metadata.get(INPUTS_KEY, "").encode(), f"{INPUTS_KEY} of the graph")
    if described != inputs:
        refuse(f"{INPUTS_KEY} in the graph's metadata differs from the manifest's inputs", "the same columns")


def describe_inputs(
    columns: Sequence[ColumnRecord], codecs: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What stands under `INPUTS_KEY`, as a JSON object: the columns of `numbers` and of `strings`, in their order.

    A column with one of the `codecs` (column name → codec) says so, and one whose texts are tidied first.
    """
    codecs = codecs or {}
    numbers = [
        {"name": c.name, "kind": str(c.kind), "unit": c.unit, "time_zone": c.time_zone}
        for c in columns
        if c.kind in NUMBER_KINDS
    ]
    strings = [
        {"name": c.name, "kind": str(c.kind)}
        | ({"tidying": list(c.tidying)} if c.tidying else {})
        | ({"codec": codecs[c.name]} if c.name in codecs else {})
        for c in columns
        if c.kind in STRING_KINDS
    ]
    return {"numbers": numbers, "strings": strings}


def _compare(what: str, wanted: tuple[ValueRecord, ...], found: tuple[ValueRecord, ...]) -> None:
    if list(map(_comparable, wanted)) != list(map(_comparable, found)):
        refuse(f"the graph's {what} are {_show(found)}", f"{_show(wanted)}, as the manifest says")


def _comparable(value: ValueRecord) -> tuple[Any, ...]:
    """A value whose open sizes compare equal, whatever they are called."""
    shape = None if value.shape is None else tuple(size if isinstance(size, int) else None for size in value.shape)
    return value.name, value.dtype, shape


def _show(values: tuple[ValueRecord, ...]) -> str:
    shown = [f"{v.name} {v.dtype}{'' if v.shape is None else list(v.shape)}" for v in values[:10]]
    return printable(", ".join(shown)) or "none"
