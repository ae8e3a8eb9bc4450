"""Services of KServe, and the folders of their storage."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from lepton.bundle import open_model
from lepton.core import BundleError
from lepton.optimization.export import export, kserve
from tests.bundle.bundles import ROWS


def test_two_services_and_what_they_serve(binary, tmp_path):
    made = export(binary, "kserve", tmp_path / "made", rows=ROWS)
    own = yaml.safe_load((tmp_path / "made" / "lepton.yaml").read_text())
    assert (own["apiVersion"], own["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert own["metadata"] == {"name": "expensive"}
    model = own["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "lepton", "version": "1"}
    assert (model["protocolVersion"], model["storageUri"]) == ("v2", "pvc://models/expensive/lepton")
    theirs = yaml.safe_load((tmp_path / "made" / "triton.yaml").read_text())
    assert theirs["spec"]["predictor"]["model"]["runtime"] == "kserve-tritonserver"
    assert open_model(tmp_path / "made" / "lepton" / "expensive.lepton").model_id == binary.model_id
    assert (tmp_path / "made" / "triton" / "expensive" / "config.pbtxt").is_file()
    assert made.report["notes"] == ["Triton calls the model 'expensive'"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("Häuser 2026", "h-user-2026"), ("7 towns", "x-7-towns"), ("a" * 90, "a" * 48), ("__", "column")],
)
def test_a_service_is_called_as_dns_allows(name, wanted):
    assert kserve.service_name(SimpleNamespace(manifest=SimpleNamespace(name=name))) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"kind": "Service"}, {"metadata": {"name": "Not DNS"}}, {"spec": {}}])
def test_what_kserve_would_refuse_is_found(change):
    with pytest.raises(BundleError, match="does not fit KServe"):
        kserve._check_service(kserve._service("a", "lepton", "lepton") | change)
