"""A signature vouches for exactly one model, by exactly one key, and for nothing that somebody changed since."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from lepton.bundle import add_report, check_bundle, read_bundle, sign_bundle, verify_bundle, write_bundle
from lepton.bundle.archive import open_archive, write_archive
from lepton.bundle.check import SIGNATURE_CHECK
from lepton.bundle.files import CHECKS
from lepton.bundle.signing import PURPOSE
from lepton.core import BundleError, DataError, ErrorCode, LeptonError, SecurityError, UsageError
from lepton.security import PrivateKey, PublicKey, TrustedKey, TrustList, sign_statement, write_key_pair
from lepton.store import scratch_folder
from tests.bundle.small import REPORT, small_graph, small_manifest, write_small

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sign-a-model.md"
ANNE, BERT = (PrivateKey(Ed25519PrivateKey.from_private_bytes(seed * 8)) for seed in (b"anne", b"bert"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_small(tmp_path / "houses.lepton")
    return tmp_path / "houses.lepton"


def members_of(path: Path) -> dict[str, bytes]:
    with open_archive(path) as archive:
        return {name: archive.read(name) for name in archive.names}


def pack(path: Path, members: dict[str, bytes]) -> None:
    with path.open("wb") as file:
        write_archive(file, {name: [data] for name, data in members.items()})


def report_name(key: PrivateKey) -> str:
    return f"reports/signature-{key.key_id}.json"


def refused(path: Path, trusted: PublicKey | TrustList) -> SecurityError:
    """Verifying and checking both refuse `path`, with the same one clear message."""
    with pytest.raises(SecurityError) as caught:
        verify_bundle(path, trusted)
    report = check_bundle(path, trusted)
    assert not report.passed
    assert report.checks[-1].verdict == "failed"
    assert report.error is not None
    assert str(report.error) == str(caught.value)
    assert str(path.parent) not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert caught.value.exit_code == 4
    return caught.value


def test_what_was_signed_is_verified(path):
    before = read_bundle(path)
    assert sign_bundle(path, ANNE) == before.model_id
    after = read_bundle(path)
    assert after.model_id == before.model_id
    assert set(after.names) == {*before.names, report_name(ANNE)}
    for bundle in (path, str(path), after):
        report = verify_bundle(bundle, ANNE.public("Anne"))
        assert report.model_id == before.model_id
        assert report.signers == ("Anne",)
    assert verify_bundle(path, ANNE.public()).signers == (ANNE.key_id,)
    assert json.loads(json.dumps(report.to_dict()))["signatures"][0]["verdict"] == "holds"
    assert abs(datetime.fromisoformat(report.signatures[0].time) - datetime.now(UTC)) < timedelta(minutes=5)


def test_several_keys_sign_and_one_signs_again(path):
    sign_bundle(path, ANNE)
    sign_bundle(path, BERT)
    sign_bundle(path, ANNE)
    assert [name for name in read_bundle(path).reports if name != "metrics"] == sorted(
        f"signature-{key.key_id}" for key in (ANNE, BERT)
    )
    for key in (ANNE, BERT):
        report = verify_bundle(path, key.public("x"))
        assert {r.key_id: r.verdict for r in report.signatures} == {
            ANNE.key_id: "holds" if key is ANNE else "unknown",
            BERT.key_id: "holds" if key is BERT else "unknown",
        }
    both = TrustList([TrustedKey(ANNE.public("Anne")), TrustedKey(BERT.public("Bert"))])
    assert set(verify_bundle(path, both).signers) == {"Anne", "Bert"}


def test_other_reports_leave_the_signature_as_it_is(path):
    sign_bundle(path, ANNE)
    signature = members_of(path)[report_name(ANNE)]
    add_report(path, "speed", REPORT)
    add_report(path, "metrics", REPORT | {"rmse": 0.5})
    assert members_of(path)[report_name(ANNE)] == signature
    verify_bundle(path, ANNE.public())


def test_no_signature_and_no_trusted_one(path):
    assert refused(path, ANNE.public()).code == ErrorCode.UNTRUSTED
    assert "'houses.lepton' is not signed" in str(refused(path, TrustList([])))
    sign_bundle(path, BERT)
    error = refused(path, ANNE.public())
    assert error.code == ErrorCode.UNTRUSTED
    assert f"{BERT.key_id} (unknown)" in str(error)
    assert error.details["model_id"] == read_bundle(path).model_id
    assert error.details["signatures"][0]["key_id"] == BERT.key_id


@pytest.mark.parametrize(("days", "verdict"), [(-1, "expired"), (0, "holds"), (1, "holds")])
def test_a_key_whose_time_is_over(path, days, verdict):
    sign_bundle(path, ANNE)
    until = datetime.now(UTC).date() + timedelta(days=days)
    trust = TrustList([TrustedKey(ANNE.public("Anne"), until), TrustedKey(BERT.public("Bert"))])
    if verdict == "holds":
        assert verify_bundle(path, trust).signers == ("Anne",)
    else:
        error = refused(path, trust)
        assert error.code == ErrorCode.UNTRUSTED
        assert "Anne (expired)" in str(error)
        assert "one of 2 trusted keys" in error.wanted


def test_a_signature_of_another_model_does_not_hold(path, tmp_path):
    other = tmp_path / "other.lepton"
    write_small(other, assets={})
    sign_bundle(other, ANNE)
    copied = members_of(other)[report_name(ANNE)]
    pack(path, members_of(path) | {report_name(ANNE): copied})
    with pytest.raises(BundleError, match="speaks of the model"):
        verify_bundle(path, ANNE.public())
    assert check_bundle(path, ANNE.public()).checks[-1].verdict == "not reached"
    ours, theirs = write_small(path), read_bundle(other).model_id
    pack(path, members_of(path) | {report_name(ANNE): copied.replace(theirs.encode(), ours.encode())})
    assert refused(path, ANNE.public()).code == ErrorCode.BAD_SIGNATURE


def test_the_signature_of_one_key_under_the_name_of_another(path):
    sign_bundle(path, BERT)
    members = members_of(path)
    signature = members.pop(report_name(BERT))
    pack(path, members | {report_name(ANNE): signature})
    error = refused(path, ANNE.public())
    assert error.code == ErrorCode.BAD_SIGNATURE
    assert f"it names the key {BERT.key_id}" in str(error)
    pack(path, members | {report_name(ANNE): signature.replace(BERT.key_id.encode(), ANNE.key_id.encode())})
    assert refused(path, ANNE.public()).code == ErrorCode.BAD_SIGNATURE


def test_a_statement_that_the_key_made_for_another_purpose(path):
    model_id = read_bundle(path).model_id
    fields = {"model_id": model_id, "time": "2026-11-21T08:00:00+00:00", "machine": "x"}
    signed = sign_statement("another/1", fields, ANNE)
    for statement in (signed, signed | {"purpose": PURPOSE}):
        pack(path, members_of(path) | {report_name(ANNE): json.dumps(statement).encode()})
        assert refused(path, ANNE.public()).code == ErrorCode.BAD_SIGNATURE
    pack(path, members_of(path) | {report_name(ANNE): json.dumps(sign_statement(PURPOSE, fields, ANNE)).encode()})
    verify_bundle(path, ANNE.public())  # the form of the report does not matter, what it says does


def test_a_trusted_key_beside_a_forged_one_does_not_help(path):
    sign_bundle(path, ANNE)
    sign_bundle(path, BERT)
    members = members_of(path)
    statement = json.loads(members[report_name(BERT)])
    statement["time"] = "2020-01-01T00:00:00+00:00"
    pack(path, members | {report_name(BERT): json.dumps(statement).encode()})
    both = TrustList([TrustedKey(ANNE.public()), TrustedKey(BERT.public())])
    assert refused(path, both).code == ErrorCode.BAD_SIGNATURE
    verify_bundle(path, ANNE.public())  # who does not know Bert does not ask what is said in his name


@pytest.mark.parametrize(
    "change",
    [
        {"signature": None},
        {"signature": "A" * 86},
        {"signature": []},
        {"key_id": "f" * 16},
        {"purpose": "lepton-bundle-signature/2"},
        {"machine": {"cpus": 2}},
        {"comment": "approved"},
        {"time": "2026-11-21T08:00:00+00:00\u202e"},
    ],
)
def test_malformed_signatures(path, change):
    sign_bundle(path, ANNE)
    members = members_of(path)
    statement = json.loads(members[report_name(ANNE)]) | change
    pack(path, members | {report_name(ANNE): json.dumps(statement).encode()})
    try:
        code = refused(path, ANNE.public()).code
    except BundleError as error:  # what no report may be
        code = error.code
    assert code in {ErrorCode.BAD_SIGNATURE, ErrorCode.BUNDLE_DAMAGED}


@given(st.data())
def test_no_change_of_the_file_leaves_a_signature_that_holds(data):
    with scratch_folder() as folder:
        path = folder / "houses.lepton"
        write_small(path)
        sign_bundle(path, ANNE)
        good = path.read_bytes()
        bit = data.draw(st.integers(0, 8 * len(good) - 1))
        raw = bytearray(good)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data.draw(st.sampled_from([bytes(raw), good[: bit // 8]])))
        with pytest.raises((BundleError, SecurityError)):
            verify_bundle(path, ANNE.public())
        assert not check_bundle(path, ANNE.public()).passed


@given(st.data())
def test_no_change_of_a_member_leaves_a_signature_that_holds(data):
    """The same for somebody who packs the file again, as it should be, around what was changed."""
    with scratch_folder() as folder:
        path = folder / "houses.lepton"
        write_small(path)
        sign_bundle(path, ANNE)
        members = members_of(path)
        name = data.draw(st.sampled_from([name for name in members if name != "reports/metrics.json"]))
        raw = bytearray(members[name])
        bit = data.draw(st.integers(0, 8 * len(raw) - 1))
        raw[bit // 8] ^= 1 << bit % 8
        pack(path, members | {name: bytes(raw)})
        with pytest.raises((BundleError, SecurityError)):
            verify_bundle(path, ANNE.public())


@pytest.mark.parametrize(
    "changes", [{"assets": {}}, {"training": {"kind": b"linear"}}, {"baseline": {"0.json": b"{ }"}}]
)
def test_a_bundle_that_was_written_again_is_not_signed(path, changes):
    sign_bundle(path, ANNE)
    signature = members_of(path)[report_name(ANNE)]
    model_id = write_small(path, **changes)
    assert refused(path, ANNE.public()).code == ErrorCode.UNTRUSTED
    statement = json.loads(signature) | {"model_id": model_id}
    pack(path, members_of(path) | {report_name(ANNE): json.dumps(statement).encode()})
    assert refused(path, ANNE.public()).code == ErrorCode.BAD_SIGNATURE


def test_only_signing_writes_signatures(path):
    before = path.read_bytes()
    with pytest.raises(UsageError, match="would be a signature"):
        add_report(path, "signature-x", REPORT)
    with pytest.raises(UsageError, match="would be a signature"):
        write_bundle(path, manifest=small_manifest(), graph=small_graph(), reports={"signature-x": REPORT})
    assert path.read_bytes() == before


def test_a_bundle_that_is_not_in_order_is_not_signed(path, tmp_path):
    raw = path.read_bytes()[:-1]
    path.write_bytes(raw)
    with pytest.raises(BundleError):
        sign_bundle(path, ANNE)
    assert path.read_bytes() == raw
    with pytest.raises(DataError):
        sign_bundle(tmp_path / "none.lepton", ANNE)


def test_a_model_that_took_its_place_meanwhile_is_not_signed(path, monkeypatch):
    """The key has signed one model when another comes: its signature is not put there."""
    from lepton.bundle import signing

    def read_then_replaced(source):
        bundle = read_bundle(source)
        write_small(path, assets={})
        return bundle

    monkeypatch.setattr(signing, "read_bundle", read_then_replaced)
    with pytest.raises(LeptonError, match="speaks of the model"):
        sign_bundle(path, ANNE)
    assert list(read_bundle(path).reports) == ["metrics"]


def test_the_check_has_one_row_more(path):
    sign_bundle(path, ANNE)
    report = check_bundle(path, ANNE.public("Anne"))
    assert report.passed
    assert [row.name for row in report.checks] == [*CHECKS, SIGNATURE_CHECK]
    assert report.checks[-1].note == "by Anne"
    refusal = check_bundle(path, BERT.public())
    assert [row.verdict for row in refusal.checks] == ["passed"] * len(CHECKS) + ["failed"]
    assert refusal.model_id == report.model_id


def test_a_stranger_with_one_library_verifies(path):
    """The program of the page needs no Lepton; it refuses what Lepton refuses."""
    write_key_pair(ANNE, path.parent / "my.key", "Anne")
    sign_bundle(path, ANNE)
    [program] = re.findall(r"```python\n(# Without Lepton.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert "lepton." not in program.replace("houses.lepton", "")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", program]
        return subprocess.run(command, cwd=path.parent, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    assert read_bundle(path).model_id in done.stdout
    members = members_of(path)
    for name in ("model.onnx", "manifest.json", "assets/vocabulary.json"):
        pack(path, members | {name: members[name] + b" "})
        assert run().returncode != 0
    statement = members[report_name(ANNE)]
    for changed in (statement.replace(b"T", b" ", 1), statement.replace(PURPOSE.encode(), b"another/1")):
        pack(path, members | {report_name(ANNE): changed})
        assert run().returncode != 0
