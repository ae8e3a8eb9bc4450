"""The verification as it is kept in a model file."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import add_report, read_bundle
from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.evaluation.verify import check_verified, rules_of, save, verify
from lepton.security import PrivateKey, TrustedKey, TrustList, sign_statement
from tests.evaluation.verify.models import bought, model, outcome

KEY = PrivateKey.generate()
TRUSTED = TrustList([TrustedKey(KEY.public("release"))])


def test_the_report_is_the_result(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    found = outcome(predictor, bought(), {"metric": {"least": 0.0, "metric": "accuracy"}}, "finite_answers")
    path = save(predictor.bundle.path, found)
    kept = read_bundle(path).reports["verification"]
    assert kept == json.loads(json.dumps(found.to_dict()))
    assert read_bundle(path).model_id == predictor.model_id
    assert set(kept) >= {"model_id", "time", "machine", "passed", "data", "rules", "measured"}


def test_it_can_be_kept_in_another_file(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    found = outcome(predictor, None, {"size": {"most": "1MB"}})
    before = predictor.bundle.path.read_bytes()
    other = save(predictor.bundle.path, found, output=tmp_path / "other.lepton", key=KEY)
    assert predictor.bundle.path.read_bytes() == before
    assert check_verified(read_bundle(other), TRUSTED).signer == "release"
    os.link(other, tmp_path / "same.lepton")
    save(other, found, output=tmp_path / "same.lepton")
    assert "signature" not in read_bundle(tmp_path / "same.lepton").reports["verification"]


def test_a_later_result_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    path = predictor.bundle.path
    save(path, outcome(predictor, None, {"size": {"most": "1MB"}}), key=KEY)
    save(path, outcome(predictor, None, {"size": {"most": "1B"}}), key=KEY)
    with pytest.raises(SecurityError, match="did not pass"):
        check_verified(read_bundle(path), TRUSTED)


def test_a_file_that_holds_another_model_now_is_refused(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    found = outcome(predictor, None, {"size": {"most": "1MB"}})
    other = model(tmp_path, 3.0, name="other").bundle.path
    with pytest.raises(UsageError, match="speaks of the model"):
        save(other, found, key=KEY)


def test_a_verification_ends(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    rules = {"lepton": "release-rules/1", "valid_for": "2d", "rules": [{"size": {"most": "1MB"}}]}
    path = save(predictor.bundle.path, verify(predictor, None, rules_of(rules)), key=KEY)
    bundle, now = read_bundle(path), datetime.now(UTC)
    record = check_verified(bundle, TRUSTED)
    assert record.valid_until is not None
    assert record.model_id == predictor.model_id
    assert check_verified(bundle, TRUSTED, now=now + timedelta(days=1)) == record
    with pytest.raises(SecurityError, match="too long ago"):
        check_verified(bundle, TRUSTED, now=now + timedelta(days=3))


def test_a_signature_of_something_else_never_holds(tmp_path: Path) -> None:
    """A key that signs models, or other reports, has not signed this verification."""
    predictor = model(tmp_path)
    path = save(predictor.bundle.path, outcome(predictor, None, {"size": {"most": "1MB"}}), key=KEY)
    report = dict(read_bundle(path).reports["verification"])
    fields = {name: report["signature"][name] for name in ("model_id", "time", "sha256")}
    report["signature"] = sign_statement("lepton-bundle-signature/1", fields, KEY)
    assert refusal(path, report).code is ErrorCode.BAD_SIGNATURE


def refusal(path: Path, report: Any) -> SecurityError:
    add_report(path, "verification", report)
    with pytest.raises(SecurityError) as caught:
        check_verified(read_bundle(path), TRUSTED)
    return caught.value


def test_a_key_of_the_same_id_is_not_enough(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    path = save(predictor.bundle.path, outcome(predictor, None, {"size": {"most": "1MB"}}), key=KEY)
    report = dict(read_bundle(path).reports["verification"])
    fields = {name: report["signature"][name] for name in ("model_id", "time", "sha256")}
    forged = sign_statement("lepton-verification/1", fields, PrivateKey.generate())
    report["signature"] = {**forged, "key_id": KEY.key_id}
    assert refusal(path, report).code is ErrorCode.BAD_SIGNATURE
