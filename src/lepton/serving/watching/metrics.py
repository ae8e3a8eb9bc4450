"""What a server counts: plain numbers that one thread, the loop's, adds to, and that are summed over processes."""

from __future__ import annotations

import os
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.watching.exposition import CONTENT_TYPE, Family, exposition
from lepton.serving.watching.service_metrics import service_families

__all__ = ["Metrics", "kind_of", "merged", "metrics_answer", "metrics_text"]

LATENCY_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROW_BOUNDS = tuple(2**power for power in range(11))
_MAX_MODELS = 500
"""Versions with labels of their own; what models come after these in the life of a process is counted together."""
_REST = ("other", "other")
_NO_MODEL = ("", "")
_KINDS = {
    "/": "metadata",
    "/v2": "metadata",
    "/openapi.json": "metadata",
    "/metrics": "metrics",
    "/v2/traffic": "metadata",
    "/v2/models/{model}": "metadata",
    "/v2/models/{model}/try": "page",
    "/v2/models/{model}/infer": "infer",
    "/v2/models/{model}/rows": "rows",
    "/v2/models/{model}/feedback": "feedback",
    "/v2/models/{model}/feedback/{column}": "feedback",
    "/v2/models/{model}/drift": "drift",
    "/v2/models/{model}/drift/page": "page",
}


def kind_of(pattern: str) -> str:
    """What a route is for, in one of a few words."""
    pattern = pattern.replace("/versions/{version}", "")
    if pattern.endswith(("/ready", "/live")):
        return "health"
    if pattern.startswith(("/v2/services", "/v2/tasks")):
        return "service"
    return _KINDS.get(pattern, "repository" if pattern.startswith("/v2/repository") else "other")


class Counts:
    """What is counted of one version of a model."""

    __slots__ = ("errors", "latency", "requests", "rows", "run_rows", "run_seconds", "runs", "seconds")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = {}
        self.errors: dict[str, int] = {}
        self.latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self.seconds = 0.0
        self.rows = 0
        self.runs = [0] * (len(ROW_BOUNDS) + 1)
        self.run_rows = 0
        self.run_seconds = 0.0

    def add(self, kind: str, response: Response, seconds: float) -> None:
        """Count an answer."""
        key = (kind, response.status)
        self.requests[key] = self.requests.get(key, 0) + 1
        if response.code:
            self.errors[response.code] = self.errors.get(response.code, 0) + 1
        self.latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def to_dict(self) -> dict[str, Any]:
        """In JSON, as `merged` and `metrics_text` take it."""
        out: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return out | {"requests": [[kind, status, count] for (kind, status), count in self.requests.items()]}


class Metrics:
    """Counts the requests of one process; `record` and `snapshot` are for the thread of the loop alone.

    Threads that run models add to nothing here: they append to `ServedModel.runs`, which the loop takes from.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}
        self._calls: dict[tuple[str, str], Counts] = {}  # of methods of services
        self._started = time.time()

    def record(
        self, request: Request, response: Response, seconds: float, served: ServedModel | None, kind: str
    ) -> None:
        """Count an answer.

        Args:
            request: that was answered.
            response: what was sent.
            seconds: from the read request to the sent answer.
            served: the model that it was about, of those that the server has; None where there is none.
            kind: of the route; one of a few words.
        """
        counts = self._of(served)
        counts.add(kind, response, seconds)
        counts.rows += request.num_rows
        if served is not None and served.runs:
            _take_runs(served, counts)

    def record_call(self, service: str, method: str, response: Response, seconds: float) -> None:
        """Count the answer of a method, of those that a service has."""
        counts = self._calls.get((service, method))
        if counts is None:
            counts = self._calls[service, method] = Counts()
        counts.add("", response, seconds)

    def snapshot(
        self,
        models: Iterable[ServedModel],
        waiting: Mapping[tuple[str, str], int],
        drift: Sequence[Any] = (),
        services: Sequence[Any] = (),
    ) -> dict[str, Any]:
        """All counts in JSON.

        Args:
            models: every version that the server holds.
            waiting: requests in the queue of each, by name and version.
            drift: model, column and score of each column that is watched.
            services: of each its name, state, calls that wait, calls that run, restarts, and its tasks that ended, as
                a list of method, state and number.
        """
        states = []
        for served in models:
            _take_runs(served, self._of(served))
            key = (served.name, served.version)
            states.append([*key, str(served.state), int(served.is_open), waiting.get(key, 0)])
        return {
            "counts": [[*key, counts.to_dict()] for key, counts in self._counts.items()],
            "models": states,
            "drift": list(drift),
            "calls": [[*key, counts.to_dict()] for key, counts in self._calls.items()],
            "services": list(services),
            "memory": memory_of_process(),
            "started": self._started,
            "processes": 1,
        }

    def _of(self, served: ServedModel | None) -> Counts:
        if served is None:
            return self._named(_NO_MODEL)
        if served.counts is None:
            key = (served.name, served.version)
            served.counts = self._named(key if key in self._counts or len(self._counts) < _MAX_MODELS else _REST)
        counts: Counts = served.counts
        return counts

    def _named(self, key: tuple[str, str]) -> Counts:
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counts()
        return counts


def _take_runs(served: ServedModel, counts: Counts) -> None:
    """Count the runs that threads have noted; a deque may be added to meanwhile."""
    while served.runs:
        rows, seconds = served.runs.popleft()
        counts.runs[bisect_left(ROW_BOUNDS, rows)] += 1
        counts.run_rows += rows
        counts.run_seconds += seconds


def memory_of_process() -> int:
    """Bytes of memory that this process holds; at its highest where the system does not tell what it is now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def merged(snapshots: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of several processes' snapshots; scores, which each process has of all, are taken once."""
    snapshots = list(snapshots)
    models: dict[tuple[str, str, str], list[int]] = {}
    drift: dict[tuple[str, str], float] = {}
    out: dict[str, Any] = {"memory": 0, "processes": 0, "started": None}
    for snapshot in snapshots:
        for name, version, state, is_open, waiting in snapshot["models"]:
            one = models.setdefault((name, version, state), [0, 0])
            one[0] += is_open
            one[1] += waiting
        drift |= {(model, column): score for model, column, score in snapshot["drift"]}
        out["memory"] += snapshot["memory"]
        out["processes"] += snapshot["processes"]
        out["started"] = min(out["started"] or snapshot["started"], snapshot["started"])
    for what in ("counts", "calls"):
        out[what] = _summed(entry for snapshot in snapshots for entry in snapshot[what])
    out["services"] = [entry for snapshot in snapshots for entry in snapshot["services"]]
    out["models"] = [[*key, *value] for key, value in models.items()]
    out["drift"] = [[*key, value] for key, value in drift.items()]
    return out


def _summed(entries: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Counts of several processes, under their two names, one of each."""
    counts: dict[tuple[str, str], dict[str, Any]] = {}
    for name, part, more in entries:
        known = counts.get((name, part))
        counts[name, part] = dict(more) if known is None else _sum(known, more)
    return [[*key, value] for key, value in counts.items()]


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    requests = {(kind, status): count for kind, status, count in first["requests"]}
    for kind, status, count in second["requests"]:
        requests[kind, status] = requests.get((kind, status), 0) + count
    errors = dict(first["errors"])
    for code, count in second["errors"].items():
        errors[code] = errors.get(code, 0) + count
    return {
        "requests": [[*key, count] for key, count in requests.items()],
        "errors": errors,
        **{name: [a + b for a, b in zip(first[name], second[name], strict=True)] for name in ("latency", "runs")},
        **{name: first[name] + second[name] for name in ("seconds", "rows", "run_rows", "run_seconds")},
    }


def metrics_text(snapshot: Mapping[str, Any], now: float | None = None) -> bytes:
    """A snapshot, or a sum of several, in the format that Prometheus reads.

    Args:
        snapshot: of `Metrics.snapshot` or `merged`.
        now: seconds since 1970; default: the time.
    """
    requests = Family("lepton_requests_total", "counter", "Requests that were answered, by what they were for.")
    errors = Family("lepton_errors_total", "counter", "Requests that were refused or failed, by code of the catalogue.")
    rows = Family("lepton_rows_total", "counter", "Rows that models were asked for.")
    latency = Family("lepton_request_seconds", "histogram", "Time from the read request to the sent answer.")
    runs = Family("lepton_batch_rows", "histogram", "Rows that a model was run with at once.")
    busy = Family("lepton_model_seconds_total", "counter", "Time in which models ran.")
    for name, version, counts in snapshot["counts"]:
        labels = {"model": name, "version": version} if name else {}
        for kind, status, count in counts["requests"]:
            requests.add(count, **labels, route=kind, status=str(status))
        for code, count in counts["errors"].items():
            errors.add(count, **labels, code=code)
        latency.add_histogram(LATENCY_BOUNDS, counts["latency"], counts["seconds"], **labels)
        if name:
            rows.add(counts["rows"], **labels)
            runs.add_histogram(ROW_BOUNDS, counts["runs"], counts["run_rows"], **labels)
            busy.add(counts["run_seconds"], **labels)
    ready = Family("lepton_model_state", "gauge", "1 for the state that a version of a model is in.")
    opened = Family("lepton_model_open", "gauge", "Processes that hold a version of a model in memory.")
    waiting = Family("lepton_queue_length", "gauge", "Requests that wait for a model.")
    for name, version, state, is_open, queued in snapshot["models"]:
        ready.add(1, model=name, version=version, state=state)
        opened.add(is_open, model=name, version=version)
        waiting.add(queued, model=name, version=version)
    drift = Family("lepton_drift_psi", "gauge", "Population stability index of a column against the training data.")
    for model, column, score in snapshot["drift"]:
        drift.add(score, model=model, column=column)
    memory = Family("lepton_memory_bytes", "gauge", "Memory that the processes of the server hold.")
    memory.add(snapshot["memory"])
    uptime = Family("lepton_uptime_seconds", "gauge", "Time since the server started.")
    uptime.add(max(0.0, (time.time() if now is None else now) - snapshot["started"]))
    processes = Family("lepton_processes", "gauge", "Processes that answer requests.")
    processes.add(snapshot["processes"])
    models = (requests, errors, rows, latency, runs, busy, ready, opened, waiting, drift)
    return exposition((*models, *service_families(snapshot, LATENCY_BOUNDS), memory, uptime, processes))


def metrics_answer(snapshot: Mapping[str, Any]) -> Response:
    """A snapshot as a response; see `metrics_text`."""
    return Response(200, metrics_text(snapshot), CONTENT_TYPE)
