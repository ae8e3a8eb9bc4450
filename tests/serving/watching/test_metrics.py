from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lepton.core import ErrorCode, ServingError
from lepton.serving import Server
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response, error_response
from lepton.serving.watching.exposition import Family, exposition
from lepton.serving.watching.metrics import Metrics, kind_of, merged, metrics_text
from tests.serving.wire import post, request

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(body: bytes) -> Samples:
    """Every sample by its name and labels, as the official parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def served(name: str = "price", version: str = "1") -> ServedModel:
    return ServedModel(name, Path("price.lepton"), version)


def counted(model: ServedModel | None = None, *, status: int = 200, code: str = "", rows: int = 1) -> Metrics:
    metrics = Metrics()
    asked = Request("POST", "/v2/models/price/infer", num_rows=rows)
    metrics.record(asked, Response(status, b"", code=code), 0.003, model, "infer")
    return metrics


class TestExposition:
    def test_labels_are_escaped(self) -> None:
        family = Family("lepton_things", "gauge", "Things.")
        family.add(1.5, model='a"b\\c\nd', version="ü")
        assert of(read(exposition([family])), "lepton_things", model='a"b\\c\nd', version="ü") == 1.5

    def test_a_family_without_values_is_left_out(self) -> None:
        assert exposition([Family("lepton_things", "gauge", "Things.")]) == b""

    def test_buckets_of_a_histogram_include_those_below(self) -> None:
        family = Family("lepton_time", "histogram", "Time.")
        family.add_histogram((0.1, 1.0), [2, 3, 1], 4.5, model="a")
        samples = read(exposition([family]))
        assert [of(samples, "lepton_time_bucket", model="a", le=le) for le in ("0.1", "1.0", "+Inf")] == [2, 5, 6]
        assert of(samples, "lepton_time_count", model="a") == 6
        assert of(samples, "lepton_time_sum", model="a") == 4.5


class TestCounts:
    def test_requests_errors_rows_and_time_of_a_model(self) -> None:
        model = served()
        metrics = counted(model, rows=3)
        metrics.record(Request("POST", "/"), Response(503, b"", code="overloaded"), 0.5, model, "infer")
        samples = read(metrics_text(metrics.snapshot([model], {("price", "1"): 7})))
        own = {"model": "price", "version": "1"}
        assert of(samples, "lepton_requests_total", **own, route="infer", status="200") == 1
        assert of(samples, "lepton_requests_total", **own, route="infer", status="503") == 1
        assert of(samples, "lepton_errors_total", **own, code="overloaded") == 1
        assert of(samples, "lepton_rows_total", **own) == 3
        assert of(samples, "lepton_request_seconds_bucket", **own, le="0.0025") == 0
        assert of(samples, "lepton_request_seconds_bucket", **own, le="0.005") == 1
        assert of(samples, "lepton_request_seconds_count", **own) == 2
        assert of(samples, "lepton_queue_length", **own) == 7
        assert of(samples, "lepton_model_state", **own, state="loading") == 1

    def test_runs_come_from_threads_by_a_queue(self) -> None:
        model = served()
        model.runs.extend([(1, 0.25), (32, 0.5)])
        samples = read(metrics_text(counted(model).snapshot([model], {})))
        assert of(samples, "lepton_model_seconds_total", model="price", version="1") == 0.75
        assert of(samples, "lepton_batch_rows_bucket", model="price", version="1", le="1") == 1
        assert of(samples, "lepton_batch_rows_bucket", model="price", version="1", le="32") == 2
        assert of(samples, "lepton_batch_rows_sum", model="price", version="1") == 33
        assert not model.runs

    def test_what_was_counted_of_a_version_that_is_gone_stays(self) -> None:
        samples = read(metrics_text(counted(served()).snapshot([], {})))
        assert of(samples, "lepton_rows_total", model="price", version="1") == 1

    def test_versions_beyond_a_bound_share_their_labels(self) -> None:
        metrics = Metrics()
        for number in range(1, 600):
            metrics.record(Request("POST", "/"), Response(200, b""), 0.1, served("price", str(number)), "infer")
        counts = metrics.snapshot([], {})["counts"]
        assert len(counts) == 501
        assert counts[-1][:2] == ["other", "other"]
        assert sum(counts[-1][2]["latency"]) == 99
        assert sum(sum(each["latency"]) for _, _, each in counts) == 599

    @pytest.mark.parametrize(
        ("pattern", "kind"),
        [
            ("/v2/models/{model}/versions/{version}/infer", "infer"),
            ("/v2/models/{model}/versions/{version}/ready", "health"),
            ("/v2/services/{service}/{method}", "service"),
            ("/v2/repository/index", "repository"),
            ("", "other"),
        ],
    )
    def test_routes_are_of_few_kinds(self, pattern: str, kind: str) -> None:
        assert kind_of(pattern) == kind


class TestSums:
    def test_a_sum_over_processes_counts_each(self) -> None:
        first, second = served(), served()
        parts = [
            counted(first, rows=2).snapshot([first], {("price", "1"): 1}, [["price", "rooms", 0.5]]),
            counted(second, status=503, code="overloaded").snapshot([second], {("price", "1"): 2}),
        ]
        whole = merged(parts)
        samples = read(metrics_text(whole))
        own = {"model": "price", "version": "1"}
        assert of(samples, "lepton_rows_total", **own) == 3
        assert of(samples, "lepton_requests_total", **own, route="infer", status="200") == 1
        assert of(samples, "lepton_requests_total", **own, route="infer", status="503") == 1
        assert of(samples, "lepton_request_seconds_count", **own) == 2
        assert of(samples, "lepton_queue_length", **own) == 3
        assert of(samples, "lepton_processes") == 2
        assert of(samples, "lepton_memory_bytes") == sum(part["memory"] for part in parts)
        assert of(samples, "lepton_drift_psi", model="price", column="rooms") == 0.5

    def test_a_sum_of_one_is_itself(self) -> None:
        model = served()
        part = counted(model).snapshot([model], {})
        assert metrics_text(merged([part]), 1e10) == metrics_text(part, 1e10)


class TestServer:
    def metrics(self, server: Server) -> Samples:
        answer = request((server.host, server.port), "GET", "/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return read(answer.body)

    def test_requests_are_counted_by_model_route_and_status(self, server: Server) -> None:
        address, before = (server.host, server.port), self.metrics(server)

        def grown(name: str, **labels: str) -> float:
            key = name, frozenset(labels.items())
            return after[key] - before.get(key, 0.0)

        rows: list[dict[str, Any]] = [{"rooms": 1.0, "town": "Basel", "garden": True}] * 3
        assert post(address, "/v2/models/sold/rows", rows).status == 200
        assert post(address, "/v2/models/sold/rows", [{"rooms": 1.0}]).status == 422
        assert post(address, "/v2/models/nobody/rows", rows).status == 404
        after = self.metrics(server)
        own = {"model": "sold", "version": "1"}
        assert grown("lepton_requests_total", **own, route="rows", status="200") == 1
        assert grown("lepton_requests_total", **own, route="rows", status="422") == 1
        assert grown("lepton_errors_total", **own, code="missing-columns") == 1
        assert grown("lepton_rows_total", **own) == 3
        assert grown("lepton_batch_rows_count", **own) == 1
        assert grown("lepton_model_seconds_total", **own) > 0
        assert grown("lepton_errors_total", code="unknown-model") == 1
        assert grown("lepton_requests_total", route="rows", status="404") == 1
        assert after["lepton_memory_bytes", frozenset()] > 10e6
        assert after["lepton_model_open", frozenset(own.items())] == 1

    def test_names_that_callers_make_up_are_no_labels(self, server: Server) -> None:
        post((server.host, server.port), "/v2/models/made-up/rows", [])
        body = request((server.host, server.port), "GET", "/metrics").body
        assert b"made-up" not in body

    def test_it_needs_the_token_that_all_else_needs(self, bundles: dict[str, Any]) -> None:
        with Server({"price": bundles["price"]}, port=0, token="t" * 32) as guarded:
            address = (guarded.host, guarded.port)
            assert request(address, "GET", "/metrics").status == 401
            headers = {"Authorization": "Bearer " + "t" * 32}
            assert request(address, "GET", "/metrics", headers=headers).status == 200


def test_an_error_has_its_code() -> None:
    assert error_response(ServingError(ErrorCode.OVERLOADED, "full")).code == "overloaded"


def test_services_of_several_processes_are_summed() -> None:
    def process(state: str) -> dict[str, Any]:
        metrics = Metrics()
        metrics.record_call("shop", "rank", Response(200, b""), 0.003)
        metrics.record_call("shop", "rank", Response(503, b"", code="service-died"), 0.003)
        return metrics.snapshot([], {}, services=[["shop", state, 2, 1, 3, [["count", "done", 4]]]])

    samples = read(metrics_text(merged([process("ready"), process("ready"), process("failed")])))
    rank = {"service": "shop", "method": "rank"}
    assert of(samples, "lepton_service_requests_total", **rank, status="503") == 3
    assert of(samples, "lepton_service_errors_total", **rank, code="service-died") == 3
    assert of(samples, "lepton_service_seconds_count", **rank) == 6
    assert of(samples, "lepton_service_state", service="shop", state="ready") == 2
    assert of(samples, "lepton_service_state", service="shop", state="failed") == 1
    assert of(samples, "lepton_service_queue_length", service="shop") == 6
    assert of(samples, "lepton_service_running", service="shop") == 3
    assert of(samples, "lepton_service_restarts_total", service="shop") == 9
    assert of(samples, "lepton_service_tasks_total", service="shop", method="count", state="done") == 12
