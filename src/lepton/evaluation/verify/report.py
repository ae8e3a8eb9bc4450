"""The verification as a report of the model file, and what a server asks of it before it serves the model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from lepton.bundle import Bundle, add_report
from lepton.bundle.documents import dump_document
from lepton.core import ErrorCode, LeptonError, SecurityError, printable
from lepton.evaluation.verify.verify import Verification
from lepton.security import PrivateKey, TrustList, check_statement, sign_statement, verify_statement
from lepton.store import replace_file
from lepton.store.files import open_read

__all__ = ["PURPOSE", "REPORT", "VerifiedRecord", "check_verified", "save"]

REPORT = "verification"
"""Name of the report in the model file."""

PURPOSE = "lepton-verification/1"
"""What a signature of a verification is for; bound into it, so that one of anything else never holds here."""

_FIELDS = frozenset({"model_id", "time", "sha256"})
_HOW = "lepton verify MODEL --data ROWS --rules RULES --key KEY"


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """What a server may rely on.

    Attributes:
        model_id: of the model.
        time: when it was verified, ISO 8601.
        signer: name or id of the trusted key that signed; "" where no signature was asked for.
        valid_until: when it ceases to be good; None for never.
    """

    model_id: str
    time: str
    signer: str
    valid_until: datetime | None


def save(
    path: str | os.PathLike[str],
    verification: Verification,
    *,
    output: str | os.PathLike[str] | None = None,
    key: PrivateKey | None = None,
) -> Path:
    """Keep a verification in the model file, in place of an earlier one; the model stays as it is.

    Args:
        path: the model file.
        verification: what became of the rules.
        output: a file to write in place of the model's own.
        key: signs the report, with the identity of the model in it.

    Returns:
        The file that holds the report.

    Raises:
        UsageError: the file holds another model than was verified.
        BundleError: the file is not in order.
    """
    target = Path(path if output is None else output)
    if output is not None and not _same(Path(path), target):
        with open_read(path) as source, replace_file(target) as file:
            shutil.copyfileobj(source, file)
    report = verification.to_dict()
    if key is not None:
        fields = {"model_id": verification.model_id, "time": verification.time, "sha256": _digest(report)}
        report["signature"] = sign_statement(PURPOSE, fields, key)
    add_report(target, REPORT, report)
    return target


def check_verified(bundle: Bundle, trusted: TrustList | None, *, now: datetime | None = None) -> VerifiedRecord:
    """Make sure that a model was verified, passed, and by whom.

    Args:
        bundle: a model file that is open: what is checked is what was read with the graph.
        trusted: keys, one of which must have signed the report; None takes a report without a signature, which
            everybody can write who can write the file.
        now: the time; by default that of the machine.

    Raises:
        SecurityError: UNTRUSTED, with what is missing; BAD_SIGNATURE, if a signature in the name of a trusted key does
            not hold.
    """
    moment = now or datetime.now(UTC)
    report = bundle.reports.get(REPORT)
    if report is None:
        raise _refused(bundle, "was not verified: it has no report of that")
    if report.get("model_id") != bundle.model_id:
        raise _refused(bundle, "has the verification of another model")
    signer = "" if trusted is None else _signer(bundle, report, trusted, moment)
    rules = report.get("rules")
    whole = isinstance(rules, list) and rules and all(isinstance(each, Mapping) for each in rules)
    if report.get("passed") is not True or not whole or not all(each.get("accepted") is True for each in rules or ()):
        raise _refused(bundle, f"did not pass when it was verified{_broken(rules)}")
    until = _moment(report.get("valid_until"))
    if report.get("valid_until") is not None and (until is None or moment > until):
        shown = printable(str(report.get("valid_until")), 40)
        raise _refused(bundle, f"was verified too long ago: that was good until {shown}")
    return VerifiedRecord(bundle.model_id, str(report.get("time")), signer, until)


def _signer(bundle: Bundle, report: Mapping[str, Any], trusted: TrustList, moment: datetime) -> str:
    statement = report.get("signature")
    if statement is None:
        raise _refused(bundle, "was verified, but nobody signed that")
    try:
        if not isinstance(statement, Mapping):
            raise SecurityError(ErrorCode.BAD_SIGNATURE, "its signature is no statement")
        check_statement(statement, PURPOSE, _FIELDS)
    except SecurityError as error:
        raise _bad(bundle, error) from None
    found = trusted.find(statement["key_id"])
    if found is None:
        raise _refused(bundle, f"was verified by the key {statement['key_id']}, which is not trusted")
    if not found.trusted_on(moment.date()):
        raise _refused(bundle, f"was verified by the key {found.key}, which is no longer trusted")
    rest = {name: value for name, value in report.items() if name != "signature"}
    try:
        for name, here in (("model_id", bundle.model_id), ("sha256", _digest(rest))):
            if statement[name] != here:
                came = f"it was signed with the {name} {statement[name][:12]}, and has {here[:12]}"
                raise SecurityError(ErrorCode.BAD_SIGNATURE, came, wanted="the report as it was signed")
        verify_statement(statement, found.key)
    except SecurityError as error:
        raise _bad(bundle, error) from None
    return found.key.name or found.key.key_id


def _digest(report: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes of a report without its signature."""
    return sha256(dump_document(dict(report), "report of the verification")).hexdigest()


def _bad(bundle: Bundle, error: LeptonError) -> SecurityError:
    came = f"the verification of '{printable(bundle.path.name)}': {error.came}"
    fix = "verify the model again; do not use this file"
    details = {"model_id": bundle.model_id}
    return SecurityError(ErrorCode.BAD_SIGNATURE, came, wanted=error.wanted, fix=fix, details=details)


def _refused(bundle: Bundle, why: str) -> SecurityError:
    return SecurityError(
        ErrorCode.UNTRUSTED,
        f"the model '{printable(bundle.path.name)}' {why}",
        wanted="a model that passed its rules, verified by somebody trusted",
        fix=_HOW,
        details={"model_id": bundle.model_id},
    )


def _broken(rules: Any) -> str:
    told = [each for each in rules if isinstance(each, Mapping)] if isinstance(rules, list) else []
    names = [f"{each.get('rule')} ({each.get('verdict')})" for each in told if each.get("accepted") is not True]
    return f": {printable(', '.join(names[:5]), 200)}" if names else ""


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
