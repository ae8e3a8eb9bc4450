"""A trust list says who is trusted and until when; one line that cannot be read spoils it all."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, SecurityError
from lepton.security import PrivateKey, TrustedKey, TrustList, read_trusted
from lepton.store import scratch_folder, write_text

# Fixed keys: they stand in the names of tests, which must be the same in every process.
ANNE, BERT = (
    PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)).public(name)
    for number, name in ((1, "Anne"), (2, "Bert of Ærø"))
)


def listed(path: Path, text: str) -> TrustList:
    write_text(path, text)
    return read_trusted(path)


def with_option(option: str) -> str:
    algorithm, key, name = ANNE.to_text().split(" ", 2)
    return f"{algorithm} {key} {option} {name}"


def test_a_list_is_lines_of_public_keys(tmp_path):
    trust = listed(tmp_path / "t", f"# people\n\n{ANNE.to_text()}\r\n  {BERT.to_text()}\t\n   # end")
    assert len(trust) == 2
    assert trust.find(ANNE.key_id) == TrustedKey(ANNE)
    assert trust.find(BERT.key_id) == TrustedKey(BERT)
    assert trust.find("0" * 16) is None


def test_a_key_is_trusted_until_the_end_of_its_last_day(tmp_path):
    found = listed(tmp_path / "t", with_option("until=2026-11-21")).find(ANNE.key_id)
    assert found == TrustedKey(ANNE, date(2026, 11, 21))
    assert found.trusted_on(date(2026, 11, 21))
    assert not found.trusted_on(date(2026, 11, 22))
    assert TrustedKey(ANNE).trusted_on(date.max)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no key"),
        ("# nobody\n\n", "names no key"),
        ("anne", "line 1"),
        (f"{ANNE.to_text()}\n\n# x\nlepton-ed25519 AAAA Bert", "line 4"),
        (f"{ANNE.to_text()}\n{ANNE.raw.hex()}", "line 2"),
        (f"{ANNE.to_text()}\n{ANNE.to_text()}", "stands twice"),
        (f"{ANNE.to_text()}\n{with_option('until=2030-01-01')}", "stands twice"),
        (with_option("until=soon"), "trusted until=soon"),
        (with_option("until="), "trusted until="),
        (with_option("until=2026-02-30"), "until=YYYY-MM-DD"),
        (with_option("Until=2026-01-01"), "without '='"),
        (with_option("expires=2026-01-01"), "without '='"),
        (ANNE.to_text().removesuffix("Anne") + "until=2030-01-01", "not a public key"),
        (f"\ufeff{ANNE.to_text()}", "line 1"),
        (f"{ANNE.to_text()}\0", "control"),
        (f"{ANNE.to_text()}\u2028{BERT.to_text()}", "line 1"),
    ],
)
def test_a_line_that_cannot_be_read_spoils_the_list(tmp_path, text, message):
    with pytest.raises(SecurityError) as caught:
        listed(tmp_path / "trusted.keys", text)
    assert caught.value.code == ErrorCode.BAD_KEY
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_files_that_are_no_list(tmp_path):
    with pytest.raises(DataError):
        read_trusted(tmp_path / "none")
    with pytest.raises(SecurityError, match="more than 1000000 bytes"):
        listed(tmp_path / "t", "#" * 1_000_001)
    (tmp_path / "t").write_bytes(b"# \xe6")
    with pytest.raises(SecurityError, match="UTF-8"):
        read_trusted(tmp_path / "t")
    write_text(tmp_path / "t", ANNE.to_text())
    (tmp_path / "t").chmod(0o646)
    with pytest.raises(SecurityError, match="everybody can change"):
        read_trusted(tmp_path / "t")


@given(st.text(max_size=60))
def test_any_text_is_refused(text):
    with scratch_folder() as folder, pytest.raises(SecurityError) as caught:
        listed(folder / "t", f"{ANNE.to_text()}\n-{text}")
    assert caught.value.code == ErrorCode.BAD_KEY
