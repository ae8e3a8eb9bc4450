"""What is counted of services, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lepton.serving.watching.exposition import Family

__all__ = ["service_families"]


def service_families(snapshot: Mapping[str, Any], bounds: Sequence[float]) -> tuple[Family, ...]:
    """The families of services.

    Args:
        snapshot: of `Metrics.snapshot` or `merged`.
        bounds: of the histogram of times.
    """
    requests = Family("lepton_service_requests_total", "counter", "Calls of methods that were answered.")
    errors = Family("lepton_service_errors_total", "counter", "Calls of methods that failed, by code of the catalogue.")
    latency = Family("lepton_service_seconds", "histogram", "Time from the read call to its answer, or its last item.")
    for service, method, counts in snapshot["calls"]:
        labels = {"service": service, "method": method}
        for _, status, count in counts["requests"]:
            requests.add(count, **labels, status=str(status))
        for code, count in counts["errors"].items():
            errors.add(count, **labels, code=code)
        latency.add_histogram(bounds, counts["latency"], counts["seconds"], **labels)
    states: Counter[tuple[str, str]] = Counter()
    numbers: dict[str, Counter[str]] = {"waiting": Counter(), "running": Counter(), "restarts": Counter()}
    ended: Counter[tuple[str, str, str]] = Counter()
    for name, state, waiting, running, restarts, tasks in snapshot["services"]:
        states[name, state] += 1
        for what, number in zip(numbers, (waiting, running, restarts), strict=True):
            numbers[what][name] += number
        for method, how, number in tasks:
            ended[name, method, how] += number
    state_of = Family("lepton_service_state", "gauge", "Processes of a service in a state.")
    for (name, state), number in states.items():
        state_of.add(number, service=name, state=state)
    waits = Family("lepton_service_queue_length", "gauge", "Calls that wait for a service.")
    runs = Family("lepton_service_running", "gauge", "Calls that a service is at, streams among them.")
    again = Family("lepton_service_restarts_total", "counter", "Processes of a service that were started again.")
    for family, what in ((waits, "waiting"), (runs, "running"), (again, "restarts")):
        for name, number in numbers[what].items():
            family.add(number, service=name)
    done = Family("lepton_service_tasks_total", "counter", "Tasks that have ended, by how.")
    for (name, method, how), number in ended.items():
        done.add(number, service=name, method=method, state=how)
    return requests, errors, latency, state_of, waits, runs, again, done
