"""An approval says who answers for one model; what was changed since, or is of another model, does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lepton.bundle import add_report, read_bundle
from lepton.bundle.approval import approve_bundle, verify_approval
from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.security import PrivateKey, TrustedKey, TrustList
from tests.bundle.small import small_manifest, write_small

ANNE, BERT = (PrivateKey(Ed25519PrivateKey.from_private_bytes(seed * 8)) for seed in (b"anne", b"bert"))
TRUSTED = TrustList([TrustedKey(ANNE.public("Anne"))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_small(tmp_path / "houses.lepton")
    return tmp_path / "houses.lepton"


def refused(path: Path) -> ErrorCode:
    with pytest.raises(SecurityError) as caught:
        verify_approval(path, TRUSTED)
    return caught.value.code


def test_an_approval_is_kept_and_the_model_stays(path: Path):
    before = read_bundle(path).model_id
    assert approve_bundle(path, "Anne Chen", role="head of credit", note="small loans", key=ANNE) == before
    found = read_bundle(path)
    assert found.model_id == before
    report = found.reports["approval"]
    assert (report["by"], report["role"], report["note"]) == ("Anne Chen", "head of credit", "small loans")
    assert verify_approval(path, TRUSTED) == "Anne"


def test_what_nobody_trusted_signed_does_not_hold(path: Path):
    assert refused(path) is ErrorCode.UNTRUSTED
    approve_bundle(path, "Anne Chen")
    assert refused(path) is ErrorCode.UNTRUSTED
    approve_bundle(path, "Anne Chen", key=BERT)
    assert refused(path) is ErrorCode.UNTRUSTED


@pytest.mark.parametrize("changed", [{"by": "Mallory"}, {"note": "anything"}, {"role": "nobody"}])
def test_changed_words_do_not_hold(path: Path, changed: dict[str, str]):
    approve_bundle(path, "Anne Chen", key=ANNE)
    report = dict(read_bundle(path).reports["approval"]) | changed
    add_report(path, "approval", report)
    assert refused(path) is ErrorCode.BAD_SIGNATURE


def test_the_approval_of_another_model_does_not_hold(path: Path, tmp_path: Path):
    approve_bundle(path, "Anne Chen", key=ANNE)
    report = dict(read_bundle(path).reports["approval"])
    other = tmp_path / "other.lepton"
    write_small(other, manifest=small_manifest(name="other"))
    report.pop("model_id")
    add_report(other, "approval", report)
    assert refused(other) is ErrorCode.BAD_SIGNATURE


@pytest.mark.parametrize("by", ["", "a\nb", "x" * 200, "\u202egreen"])
def test_names_that_cannot_be_shown_are_refused(path: Path, by: str):
    with pytest.raises(UsageError):
        approve_bundle(path, by)
    assert "approval" not in read_bundle(path).reports


def test_long_notes_are_refused_and_hidden_characters_shown(path: Path):
    with pytest.raises(UsageError):
        approve_bundle(path, "Anne", note="x" * 2_001)
    approve_bundle(path, "Anne", note="fine\x1b[31m")
    assert "\x1b" not in read_bundle(path).reports["approval"]["note"]
