"""Files that run `lepton serve` by systemd, in a container, on Kubernetes and in KServe; no secret is in them."""

from lepton.serving.deploying.asked import Asked
from lepton.serving.deploying.container import container_file
from lepton.serving.deploying.kubernetes import kserve_runtime, kubernetes_manifests
from lepton.serving.deploying.systemd import systemd_unit

__all__ = ["Asked", "container_file", "kserve_runtime", "kubernetes_manifests", "systemd_unit"]
