"""Signatures of a bundle: who vouches for exactly this model. Each is a report, so the model stays as it is."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lepton.bundle.files import SIGNATURES, Bundle, put_report, read_bundle
from lepton.core import ErrorCode, SecurityError, printable
from lepton.security import (
    PrivateKey,
    PublicKey,
    TrustedKey,
    TrustList,
    check_statement,
    sign_statement,
    verify_statement,
)

__all__ = ["SignatureRecord", "SignatureReport", "sign_bundle", "verify_bundle"]

PURPOSE = "lepton-bundle-signature/1"
"""What a signature of a bundle is for; bound into it, so that one of anything else never holds here."""

_FIELDS = frozenset({"model_id", "time", "machine"})

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One signature in a bundle.

    Attributes:
        key_id: of the key that it names.
        name: that the key is trusted under; "" where it is not known.
        time: when it was made, ISO 8601, as the signer says.
        verdict: `holds`; `expired` or `unknown` for keys that are not trusted, whose signatures are not looked at.
    """

    key_id: str
    name: str
    time: str
    verdict: str


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What was verified: at least one signature by a trusted key holds.

    Attributes:
        model_id: of the model that they vouch for.
        signatures: all that the bundle has, by key id.
    """

    model_id: str
    signatures: tuple[SignatureRecord, ...]

    @property
    def signers(self) -> tuple[str, ...]:
        """Names, or ids where there is no name, of the trusted keys whose signatures hold."""
        return tuple(record.name or record.key_id for record in self.signatures if record.verdict == "holds")

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        rows = [{"key_id": r.key_id, "name": r.name, "time": r.time, "verdict": r.verdict} for r in self.signatures]
        return {"model_id": self.model_id, "signatures": rows}


def sign_bundle(path: PathLike, key: PrivateKey) -> str:
    """Check the bundle at `path` and add the signature of `key`, in place of an earlier one by the same key.

    Returns:
        The `model_id` that was signed.

    Raises:
        BundleError: the bundle is not in order; it is not signed.
        DataError: `CHANGED_WHILE_READ`, if another process wrote the file meanwhile.
    """
    bundle = read_bundle(path)
    fields = {
        "model_id": bundle.model_id,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    put_report(path, f"{SIGNATURES}{key.key_id}", sign_statement(PURPOSE, fields, key))
    return bundle.model_id


def verify_bundle(bundle: PathLike | Bundle, trusted: PublicKey | TrustList) -> SignatureReport:
    """Make sure that a trusted key signed a bundle.

    Args:
        bundle: a path, or a bundle that is open: then what was verified is what its `member` gives later.
        trusted: the key that must have signed, or a list of which at least one key must have.

    Raises:
        SecurityError: `UNTRUSTED`, if none of the keys did; `BAD_SIGNATURE`, if a signature in the name of one of them
            does not hold, or any is malformed.
        BundleError: the bundle is not in order.
    """
    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    trust = TrustList([TrustedKey(trusted)]) if isinstance(trusted, PublicKey) else trusted
    today = datetime.now(UTC).date()
    records = []
    for key_id, statement in _statements(opened).items():
        found = trust.find(key_id)
        if found is None:
            verdict = "unknown"
        elif not found.trusted_on(today):
            verdict = "expired"
        else:
            # The model's own id, not the one that the report tells: a signature of another model must not hold.
            verify_statement({**statement, "model_id": opened.model_id}, found.key)
            verdict = "holds"
        records.append(SignatureRecord(key_id, found.key.name if found else "", statement["time"], verdict))
    report = SignatureReport(opened.model_id, tuple(records))
    if not report.signers:
        raise _untrusted(opened, report, len(trust))
    return report


def _statements(bundle: Bundle) -> dict[str, dict[str, str]]:
    """The signatures by key id, each of the right form; whether they hold is another question."""
    found = {}
    for name, report in bundle.reports.items():
        if not name.startswith(SIGNATURES):
            continue
        try:
            check_statement(report, PURPOSE, _FIELDS)
            if name != f"{SIGNATURES}{report['key_id']}":
                raise SecurityError(ErrorCode.BAD_SIGNATURE, f"it names the key {report['key_id']}")
        except SecurityError as error:
            raise SecurityError(
                ErrorCode.BAD_SIGNATURE,
                f"reports/{name}.json: {error.came}",
                wanted=error.wanted,
                fix="get the file again from its author; do not use this one",
            ) from None
        found[report["key_id"]] = report
    return found


def _untrusted(bundle: Bundle, report: SignatureReport, num_keys: int) -> SecurityError:
    shown = f"'{printable(bundle.path.name)}'"
    if report.signatures:
        signed = ", ".join(f"{r.name or r.key_id} ({r.verdict})" for r in report.signatures[:5])
        came = f"{shown} is signed, but by no trusted key: {signed}"
    else:
        came = f"{shown} is not signed"
    wanted = "a signature by the given key" if num_keys == 1 else f"a signature by one of {num_keys} trusted keys"
    return SecurityError(
        ErrorCode.UNTRUSTED,
        came,
        wanted=wanted,
        fix="ask its author to sign it (lepton bundle sign), or trust the author's key if you know that it is theirs",
        details={"model_id": bundle.model_id, "signatures": report.to_dict()["signatures"]},
    )
