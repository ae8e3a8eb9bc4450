"""Where the time of a model goes: encoding, and the graph by operator and by node, beside what the machine could do."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, Resources, UsageError, Work, printable
from lepton.optimization.accelerate.operators import bytes_of, flops_of, shapes_of
from lepton.optimization.accelerate.peaks import Peaks, measure_peaks
from lepton.optimization.accelerate.rows import first_rows, rows_to_measure, take_rows
from lepton.report import Facts, Page, Points, Table, bars, plain_table, show_number
from lepton.store import open_read, scratch_folder

__all__ = ["NodeTime", "OperatorTime", "Profile", "measure_profile", "profile", "show_seconds"]

_CALLS = 300
_LEAST_CALLS = 5
_SECONDS = 2.0  # for the calls of the profile
_SHOWN = 12
_MOST_BATCH = 65_536
_MOST_EVENTS = 400_000
_CACHED = 1 << 23  # bytes of weights that stay in the caches until the next call
_DISPATCH_NODE = 2e-6  # seconds: a node that takes less is mostly the calling of it
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node of the graph that onnxruntime has made of the model's.

    Attributes:
        name: of the node.
        operator: what it does.
        seconds: median over the calls.
        share: of the time of all nodes.
        shape: of its first output.
        flops: floating point operations of a call, or None where shapes do not tell.
        num_bytes: activations that it reads and writes in a call.
        parameter_bytes: weights that it reads.
    """

    name: str
    operator: str
    seconds: float
    share: float
    shape: tuple[int, ...]
    flops: float | None
    num_bytes: float
    parameter_bytes: float


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """All nodes of one operator together.

    Attributes:
        operator: its name.
        nodes: how many.
        seconds: of a call, all of them.
        share: of the time of all nodes.
        flops: of those whose shapes tell.
        num_bytes: that they read and write, weights included.
        least_seconds: what arithmetic or memory alone would take at this machine's peaks.
    """

    operator: str
    nodes: int
    seconds: float
    share: float
    flops: float
    num_bytes: float
    least_seconds: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of one call goes; made by `Model.profile`.

    Attributes:
        model: its name.
        batch: rows of the call.
        encoding_seconds: from rows to tensors; None where the data came as tensors, or were made.
        call_seconds: of the graph, called from Python.
        node_seconds: of all nodes, as the profiler tells them: it takes a little time itself.
        operators: by time, longest first.
        nodes: by time, longest first.
        peaks: what the machine can do on one thread.
    """

    model: str
    batch: int
    encoding_seconds: float | None
    call_seconds: float
    node_seconds: float
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]
    peaks: Peaks

    @property
    def least_seconds(self) -> float:
        """The roofline: what arithmetic or memory alone would take, on one thread."""
        return sum(each.least_seconds for each in self.operators)

    @property
    def bottleneck(self) -> str:
        """What holds the model back, `encoding`, `dispatch`, `arithmetic`, `memory` or `operators`."""
        if (self.encoding_seconds or 0.0) > self.call_seconds:
            return "encoding"
        small = sum(each.seconds for each in self.nodes if each.seconds < _DISPATCH_NODE)
        outside = max(self.call_seconds - self.node_seconds, 0.0)
        if outside + small > 0.5 * self.call_seconds:
            return "dispatch"
        if self.least_seconds > 0.4 * self.call_seconds:
            flops = sum(each.flops for each in self.operators) / self.peaks.flops
            return "arithmetic" if flops > 0.5 * self.least_seconds else "memory"
        return "operators"

    def words(self) -> tuple[str, ...]:
        """What that means, and what helps."""
        share = min(self.least_seconds / self.call_seconds, 1.0)
        first = f"The machine's peaks alone would take {share:.0%} of the time on one thread."
        top = self.operators[0].operator if self.operators else "no node"
        said = {
            "encoding": "Most of the time goes into turning rows into tensors: send tensors, or several rows at once.",
            "dispatch": "Most of the time is the calling of small nodes: lepton accelerate, or more rows in a call.",
            "arithmetic": "Arithmetic decides: more threads, or lepton compress.",
            "memory": "Memory decides: fewer or narrower weights (lepton compress), or more rows in a call.",
            "operators": f"Single operators are far from the peaks, {top} first.",
        }
        return first, said[self.bottleneck]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "batch": self.batch,
            "encoding_seconds": self.encoding_seconds,
            "call_seconds": self.call_seconds,
            "node_seconds": self.node_seconds,
            "least_seconds": self.least_seconds,
            "bottleneck": self.bottleneck,
            "operators": [asdict(each) for each in self.operators],
            "nodes": [{**asdict(each), "shape": list(each.shape)} for each in self.nodes],
            "peaks": asdict(self.peaks),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        rows = "one row" if self.batch == 1 else f"{self.batch:,} rows"
        encoding = "" if self.encoding_seconds is None else f", encoding {show_seconds(self.encoding_seconds)}"
        head = f"{self.model}: {rows} in {show_seconds(self.call_seconds)}{encoding}"
        table = plain_table(("operator", "nodes", "time", "share", "GFLOP/s"), self._operator_rows()[:_SHOWN])
        return "\n".join([head, "", table, "", *self.words()])

    def page(self) -> Page:
        """A page with pictures."""
        page = Page(
            f"Where the time of {self.model} goes", subtitle="one row" if self.batch == 1 else f"{self.batch} rows"
        )
        facts = {"the graph": show_seconds(self.call_seconds), "nodes alone": show_seconds(self.node_seconds)}
        if self.encoding_seconds is not None:
            facts["encoding"] = show_seconds(self.encoding_seconds)
        facts["at the machine's peaks"] = show_seconds(self.least_seconds)
        page.section("In short", Facts(facts), Points(self.words()))
        shown = self.operators[:_SHOWN]
        if shown:
            names = [each.operator for each in shown]
            page.section(
                "By operator",
                bars(names, np.array([e.seconds * 1e6 for e in shown]), title="Time of a call", x_label="microseconds"),
                bars(
                    names,
                    np.array([e.least_seconds / e.seconds if e.seconds else 0.0 for e in shown]),
                    title="Share of the roofline that is reached",
                    x_label="time at the machine's peaks / time taken",
                ),
                Table(("operator", "nodes", "time", "share", "GFLOP/s"), self._operator_rows()),
            )
        page.section("By node", Table(("node", "operator", "time", "share", "shape"), self._node_rows()))
        peaks = self.peaks
        page.section(
            "The machine",
            Facts({
                "arithmetic, one thread": f"{peaks.flops / 1e9:,.0f} GFLOP/s",
                f"arithmetic, {peaks.threads} threads": f"{peaks.flops_all / 1e9:,.0f} GFLOP/s",
                "memory, one thread": f"{peaks.bandwidth / 1e9:,.1f} GB/s",
            }),
        )  # fmt: skip
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _operator_rows(self) -> list[tuple[str, int, str, str, str]]:
        return [
            (
                each.operator,
                each.nodes,
                show_seconds(each.seconds),
                f"{each.share:.1%}",
                show_number(each.flops / each.seconds / 1e9, 3) if each.flops and each.seconds else "–",
            )
            for each in self.operators
        ]

    def _node_rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (each.name, each.operator, show_seconds(each.seconds), f"{each.share:.1%}", str(list(each.shape)))
            for each in self.nodes[:50]
        ]


def profile(predictor: Predictor, rows: Any = None, *, batch: int = 1, work: Work) -> Profile:
    """Where the time of a call of `batch` rows goes.

    Args:
        predictor: the model.
        rows: in any container that it takes; None makes some, whose encoding is not timed.
        batch: rows of a call.
        work: cancel, resources and seed.

    Raises:
        UsageError: a batch that cannot be, or no rows.
    """
    if not 1 <= batch <= _MOST_BATCH:
        raise UsageError(ErrorCode.USAGE, f"got batch={batch}", wanted=f"1 to {_MOST_BATCH}")
    made = rows_to_measure(predictor, batch, work.seed_for("rows"), rows)
    encode = None if rows is None else partial(predictor.tensors, first_rows(rows, batch))
    feeds = take_rows(made, batch)
    return measure_profile(predictor, feeds, encode=encode, resources=work.resources, work=work)


def measure_profile(
    predictor: Predictor,
    tensors: Mapping[str, NDArray[Any]],
    *,
    encode: Callable[[], object] | None = None,
    resources: Resources,
    work: Work,
    clock: Clock = time.perf_counter,
) -> Profile:
    """Run a model for a while and see where the time goes.

    Args:
        predictor: the model, with the settings that it runs with.
        tensors: of the rows of one call.
        encode: turns the rows of a call into tensors, once; None where they came so.
        resources: cores that the profile may use.
        work: its cancel is looked at between the parts.
        clock: tells seconds.
    """
    call_seconds, calls = _timed(lambda: predictor.run(tensors), clock)
    encoding = None if encode is None else _timed(encode, clock)[0]
    _check_cancel(work)
    events = _events(predictor, tensors, calls, resources)
    _check_cancel(work)
    nodes = _nodes(events)
    peaks = measure_peaks(resources)
    return Profile(
        printable(predictor.manifest.name),
        len(next(iter(tensors.values()))),
        encoding,
        call_seconds,
        sum(each.seconds for each in nodes),
        _operators(nodes, peaks),
        nodes,
        peaks,
    )


def _check_cancel(work: Work) -> None:
    if work.cancel.is_set():  # a profile takes little time, and none is worth less than one that ends late
        work.check()


def show_seconds(seconds: float) -> str:
    """A short time, with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{show_number(seconds / size, 3)} {unit}"
    return f"{show_number(seconds * 1e9, 3)} ns"


def _timed(call: Callable[[], object], clock: Clock) -> tuple[float, int]:
    """Median seconds of a call, and how many calls fit into the time of a profile."""
    call()
    times: list[float] = []
    began = clock()
    while len(times) < _LEAST_CALLS or (len(times) < _CALLS and clock() - began < _SECONDS):
        begin = clock()
        call()
        times.append(clock() - begin)
    return statistics.median(times), len(times)


def _events(
    predictor: Predictor, tensors: Mapping[str, NDArray[Any]], calls: int, resources: Resources
) -> list[Mapping[str, Any]]:
    """What onnxruntime's profiler writes of some calls; its file is gone afterwards."""
    most = max(_LEAST_CALLS, _MOST_EVENTS // (3 * max(predictor.bundle.summary.num_nodes, 1)))
    with scratch_folder(resources.scratch) as folder:
        options = predictor.settings.session_options(resources)
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = onnxruntime.InferenceSession(
            predictor.bundle.graph, options, providers=predictor.settings.providers()
        )
        feeds = {each.name: tensors[each.name] for each in session.get_inputs()}
        for _ in range(min(calls, most)):
            session.run(None, feeds)
        with open_read(session.end_profiling()) as file:
            found = json.load(file)
    return [event for event in found if isinstance(event, Mapping)]


def _nodes(events: Iterable[Mapping[str, Any]]) -> tuple[NodeTime, ...]:
    times: dict[str, list[float]] = defaultdict(list)
    arguments: dict[str, Mapping[str, Any]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith("_kernel_time") and isinstance(event.get("args"), Mapping):
            name = name.removesuffix("_kernel_time")
            times[name].append(float(event.get("dur", 0)) * 1e-6)
            arguments[name] = event["args"]
    # The profiler counts whole microseconds, so the mean of quick nodes says more than their median; the slowest
    # tenth, in which something else ran, is left out.
    means = {name: _trimmed(each) for name, each in times.items()}
    whole = sum(means.values()) or 1.0
    nodes = []
    for name, seconds in means.items():
        told = arguments[name]
        operator = printable(str(told.get("op_name", "")))
        inputs, outputs = shapes_of(told.get("input_type_shape")), shapes_of(told.get("output_type_shape"))
        shape = outputs[0][1] if outputs else ()
        flops = flops_of(operator, inputs, outputs)
        moved, weights = bytes_of(told, "activation_size", "output_size"), bytes_of(told, "parameter_size")
        share = seconds / whole
        nodes.append(NodeTime(printable(name), operator, seconds, share, shape, flops, moved, weights))
    return tuple(sorted(nodes, key=lambda node: (-node.seconds, node.name)))


def _trimmed(times: Sequence[float]) -> float:
    kept = sorted(times)[: max(1, len(times) - len(times) // 10)]
    return statistics.fmean(kept)


def _operators(nodes: Sequence[NodeTime], peaks: Peaks) -> tuple[OperatorTime, ...]:
    # What one node writes the next one finds in the caches; weights stay there from call to call if they are few.
    cached = sum(each.parameter_bytes for each in nodes) < _CACHED
    weights = peaks.cache_bandwidth if cached else peaks.bandwidth

    def least(node: NodeTime) -> float:
        moving = node.num_bytes / peaks.cache_bandwidth + node.parameter_bytes / weights
        return max((node.flops or 0.0) / peaks.flops, moving)

    groups: dict[str, list[NodeTime]] = defaultdict(list)
    for node in nodes:
        groups[node.operator].append(node)
    made = [
        OperatorTime(
            operator,
            len(group),
            sum(each.seconds for each in group),
            sum(each.share for each in group),
            sum(each.flops or 0.0 for each in group),
            sum(each.num_bytes + each.parameter_bytes for each in group),
            sum(map(least, group)),
        )
        for operator, group in groups.items()
    ]
    return tuple(sorted(made, key=lambda each: (-each.seconds, each.operator)))
