"""What KServe needs: services as YAML, and the folders that their storage holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lepton.core import BundleError, ErrorCode, Work
from lepton.optimization.export.base import Checked, Exporter, Options, Subject
from lepton.optimization.export.triton import check_repository, repository_name, write_repository
from lepton.store import make_folder, open_read, write_scratch

__all__ = ["KServeExporter"]

_LONGEST = 50  # of a name: KServe puts words behind it, and a label of DNS has 63
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_BLOCK = 1 << 20
_ABOUT = """\
# {what}
# Put the folder {folder}/ where storageUri says (a claim, or s3://, gs://, https://), then: kubectl apply -f {file}
"""


class KServeExporter(Exporter):
    """KServe: `lepton.yaml` for Lepton's own runtime, `triton.yaml` for the one that KServe has for ONNX."""

    name: ClassVar[str] = "kserve"
    tolerance: ClassVar[float] = 1e-6

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        name = service_name(subject)
        make_folder(folder / "lepton")
        make_folder(folder / "triton")
        with open_read(subject.predictor.bundle.path) as bundle:
            write_scratch(folder / "lepton" / f"{name}.lepton", iter(lambda: bundle.read(_BLOCK), b""))
        write_repository(subject, folder / "triton")
        own = "The model file served by Lepton; its runtime is made by: lepton serve --print kserve"
        theirs = "The graph served by Triton, the runtime that KServe has for ONNX"
        for runtime, what, form in (("lepton", own, "lepton"), ("triton", theirs, "triton")):
            about = _ABOUT.format(what=what, folder=runtime, file=f"{runtime}.yaml")
            service = yaml.safe_dump(_service(name, runtime, form), sort_keys=False)
            write_scratch(folder / f"{runtime}.yaml", [(about + service).encode()])

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """Hold both services against what KServe asks of them, and run the graph with onnxruntime."""
        for runtime in ("lepton", "triton"):
            _check_service(yaml.safe_load((folder / f"{runtime}.yaml").read_text("utf-8")))
        checked = check_repository(subject, folder / "triton")
        model = repository_name(subject)
        return Checked(checked.runtime, checked.answers, checked.seconds, (f"Triton calls the model {model!r}",))


def service_name(subject: Subject) -> str:
    """The model's name as a label of DNS."""
    name = repository_name(subject).lower().replace("_", "-")[:_LONGEST].strip("-")
    return name if _LABEL.fullmatch(name) else f"model-{name}".strip("-")


def _service(name: str, runtime: str, form: str) -> dict[str, Any]:
    model: dict[str, Any] = {
        "modelFormat": {"name": form, "version": "1"} if form == "lepton" else {"name": form, "version": "2"},
        "protocolVersion": "v2",
        "storageUri": f"pvc://models/{name}/{runtime}",
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
    }
    if form == "triton":
        model["runtime"] = "kserve-tritonserver"
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name if runtime == "lepton" else f"{name}-triton"},
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
    }


def _check_service(service: dict[str, Any]) -> None:
    """What the schema of an InferenceService of v1beta1 asks for, as far as this one uses it."""
    model = service.get("spec", {}).get("predictor", {}).get("model", {})
    faults = [
        what
        for what, holds in {
            "apiVersion": service.get("apiVersion") == "serving.kserve.io/v1beta1",
            "kind": service.get("kind") == "InferenceService",
            "metadata.name": bool(_LABEL.fullmatch(str(service.get("metadata", {}).get("name")))),
            "modelFormat.name": isinstance(model.get("modelFormat", {}).get("name"), str),
            "modelFormat.version": isinstance(model.get("modelFormat", {}).get("version"), str),
            "protocolVersion": model.get("protocolVersion") in ("v1", "v2", "grpc-v2"),
            "storageUri": re.match(r"(pvc|s3|gs|https)://", str(model.get("storageUri"))) is not None,
            "known fields": {*model} <= {"modelFormat", "protocolVersion", "storageUri", "resources", "runtime"},
        }.items()
        if not holds
    ]
    if faults:
        raise BundleError(ErrorCode.CHECK_FAILED, "the service does not fit KServe: " + ", ".join(faults))
