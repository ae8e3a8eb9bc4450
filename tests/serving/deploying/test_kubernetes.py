"""The manifests hold what a cluster wants of a careful server: probes, limits, no root, nothing to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lepton.core import UsageError
from lepton.serving.deploying import Asked, kserve_runtime, kubernetes_manifests

TOKEN = {"token_file": Path("token")}


def documents(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_a_deployment_and_its_service():
    asked = Asked(("models/a.lepton",), {**TOKEN, "grpc_port": 9000, "processes": 2, "max_memory": "1GiB"}, 8080)
    found = documents(kubernetes_manifests(asked, "shop:1"))
    assert set(found) == {"Deployment", "Service"}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert found["Deployment"]["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["image"] == "shop:1"
    assert container["command"] + container["args"][:1] == ["lepton", "serve", "/models/a.lepton"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == {"requests": {"cpu": "2", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}}
    assert [port["containerPort"] for port in container["ports"]] == [8080, 9000]
    for probe, path in (("livenessProbe", "live"), ("readinessProbe", "ready"), ("startupProbe", "ready")):
        command = container[probe]["exec"]["command"]
        assert f"/v2/health/{path}" in command[2]
        assert "/run/lepton/token_file" in command[2]
        compile(command[2], "probe", "exec")
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"tmp": "/tmp", "secrets": "/run/lepton"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounted)
    assert [port["port"] for port in found["Service"]["spec"]["ports"]] == [8080, 9000]
    assert found["Service"]["spec"]["selector"] == found["Deployment"]["spec"]["selector"]["matchLabels"]


def test_state_is_claimed_and_kept_by_one_server():
    found = documents(kubernetes_manifests(Asked(("a.lepton",), {**TOKEN, "state": Path("here")}, 8080), "lepton"))
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    claim = found["PersistentVolumeClaim"]["metadata"]["name"]
    volumes = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "state", "persistentVolumeClaim": {"claimName": claim}} in volumes


@pytest.mark.parametrize(
    ("options", "probe"),
    [
        ({"insecure_no_token": True}, {"httpGet": {"path": "/v2/health/live", "port": "http", "scheme": "HTTP"}}),
        (
            {"insecure_no_token": True, "tls_cert": Path("c"), "tls_key": Path("k")},
            {"httpGet": {"path": "/v2/health/live", "port": "http", "scheme": "HTTPS"}},
        ),
        ({"tls_client_ca": Path("ca"), "tls_cert": Path("c")}, {"tcpSocket": {"port": "http"}}),
        ({"token_limits": Path("limits.yaml")}, {"tcpSocket": {"port": "http"}}),
    ],
)
def test_probes_ask_as_far_as_they_can(options, probe):
    found = documents(kubernetes_manifests(Asked(("a.lepton",), options, 8080), "lepton"))
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"].items() >= probe.items()


def test_a_runtime_of_kserve():
    asked = Asked(("a.lepton", "b.lepton"), {**TOKEN, "grpc_port": 9000}, 8080)
    (runtime,) = documents(kserve_runtime(asked, "shop:1")).values()
    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ClusterServingRuntime")
    spec = runtime["spec"]
    assert spec["protocolVersions"] == ["v2", "grpc-v2"]
    assert spec["supportedModelFormats"] == [{"name": "lepton", "version": "1", "autoSelect": True}]
    (container,) = spec["containers"]
    assert container["name"] == "kserve-container"
    assert container["args"][0] == "/mnt/models"
    assert "a.lepton" not in str(container)
    (runtime,) = documents(kserve_runtime(Asked(("a.lepton",), TOKEN, 8080), "shop:1")).values()
    assert runtime["spec"]["protocolVersions"] == ["v2"]


def test_what_needs_a_token_is_refused():
    for made in (kubernetes_manifests, kserve_runtime):
        with pytest.raises(UsageError, match="would log it"):
            made(Asked(("a.lepton",), {}, 8080), "lepton")
