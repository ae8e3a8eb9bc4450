"""Manifests of Kubernetes, and a serving runtime of KServe."""

from __future__ import annotations

from typing import Any

import yaml

from lepton.serving.deploying.asked import SECRETS, Asked, health_check
from lepton.serving.deploying.container import SECRETS_FOLDER, USER, container_words, token_path
from lepton.version import __version__

__all__ = ["kserve_runtime", "kubernetes_manifests"]

_NAME = "lepton"
_LABELS = {"app.kubernetes.io/name": _NAME}
_SECRET, _CLAIM = "lepton-secrets", "lepton-state"
_MEBIBYTE = 2**20


def kubernetes_manifests(asked: Asked, image: str) -> str:
    """A deployment and a service, and a claim where the server keeps state; the image is that of the container file.

    Args:
        asked: the command.
        image: name of the image.

    Raises:
        UsageError: as of `container_words`.
    """
    keeps = "state" in asked.options
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(asked, image, _NAME, container_words(asked))],
        "volumes": _volumes(asked),
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME, "labels": _LABELS},
        "spec": {
            "replicas": 1,
            # Two servers may not keep one state.
            "strategy": {"type": "Recreate" if keeps else "RollingUpdate"},
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "labels": _LABELS},
        "spec": {
            "selector": _LABELS,
            "ports": [{"name": p["name"], "port": p["containerPort"], "targetPort": p["name"]} for p in _ports(asked)],
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": _CLAIM, "labels": _LABELS},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return _about(asked) + "".join(_yaml(each) for each in ([claim] if keeps else []) + [deployment, service])


def kserve_runtime(asked: Asked, image: str) -> str:
    """A ClusterServingRuntime: KServe puts the models of an InferenceService into `/mnt/models`.

    Args:
        asked: the command; its models are what others name later, so only its options count.
        image: name of an image that holds Lepton.

    Raises:
        UsageError: as of `container_words`.
    """
    words = container_words(asked, "/mnt/models")
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": _NAME, "labels": _LABELS},
        "spec": {
            "supportedModelFormats": [{"name": _NAME, "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2", *(["grpc-v2"] if asked.grpc_port else [])],
            "multiModel": False,
            "containers": [_container(asked, image, "kserve-container", words)],
            "volumes": _volumes(asked),
        },
    }
    about = (
        "# An InferenceService names the format `lepton` and, as its storage, a folder with NAME.lepton in it.\n"
        "# NAME is the model's name in requests: call it as the InferenceService is called.\n"
    )
    return _about(asked) + about + _yaml(runtime)


class _Dumper(yaml.SafeDumper):
    """Writes what stands in two places twice, as people would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1000)


def _about(asked: Asked) -> str:
    files = [f"--from-file={option}={' '.join(str(asked.options[option]).split())}" for option in _secrets(asked)]
    first = f"# Made by lepton {__version__}.\n"
    return first + (f"# kubectl create secret generic {_SECRET} {' '.join(files)}\n" if files else "")


def _secrets(asked: Asked) -> list[str]:
    return [option for option in asked.options if option in SECRETS]


def _ports(asked: Asked) -> list[dict[str, Any]]:
    ports = {"http": asked.port, "grpc": asked.grpc_port}
    return [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items() if port]


def _container(asked: Asked, image: str, name: str, words: list[str]) -> dict[str, Any]:
    memory = f"{-(-asked.memory // _MEBIBYTE)}Mi"
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - of the container
    if _secrets(asked):
        mounts.append({"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True})
    if "state" in asked.options:
        mounts.append({"name": "state", "mountPath": "/var/lib/lepton"})
    return {
        "name": name,
        "image": image,
        "command": ["lepton", "serve"],
        "args": words,
        "env": [{"name": "LEPTON_CACHE", "value": "/tmp/lepton"}],  # noqa: S108 - of the container
        "ports": _ports(asked),
        "startupProbe": {
            **_probe(asked, "/v2/health/ready"),
            "periodSeconds": 2,
            "timeoutSeconds": 6,
            "failureThreshold": 60,
        },
        "readinessProbe": {**_probe(asked, "/v2/health/ready"), "periodSeconds": 5, "timeoutSeconds": 6},
        "livenessProbe": {**_probe(asked, "/v2/health/live"), "periodSeconds": 10, "timeoutSeconds": 6},
        "resources": {
            "requests": {"cpu": str(asked.options.get("processes", 1)), "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _probe(asked: Asked, path: str) -> dict[str, Any]:
    """By HTTP; by a command that shows the token where one is wanted; by the port where neither can be."""
    if not asked.can_be_asked:
        return {"tcpSocket": {"port": "http"}}
    token = token_path(asked)
    if token is None:
        return {"httpGet": {"path": path, "port": "http", "scheme": "HTTPS" if asked.has_tls else "HTTP"}}
    return {"exec": {"command": health_check(asked, path, token)}}


def _volumes(asked: Asked) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    if _secrets(asked):
        volumes.append({"name": "secrets", "secret": {"secretName": _SECRET, "defaultMode": 0o440}})
    if "state" in asked.options:
        volumes.append({"name": "state", "persistentVolumeClaim": {"claimName": _CLAIM}})
    return volumes
