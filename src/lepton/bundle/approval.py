"""Who answers for the use of a model: an approval is a report of the model file, signed where there is a key."""

from __future__ import annotations

import os
import platform
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from lepton.bundle.documents import dump_document
from lepton.bundle.files import Bundle, add_report, read_bundle
from lepton.core import ErrorCode, SecurityError, UsageError, check_label, printable
from lepton.security import PrivateKey, TrustList, check_statement, sign_statement, verify_statement

__all__ = ["APPROVAL", "approve_bundle", "verify_approval"]

APPROVAL = "approval"
"""Name of the report in the model file."""

PURPOSE = "lepton-approval/1"
"""What a signature of an approval is for; bound into it, so that one of anything else never holds here."""

_FIELDS = frozenset({"model_id", "time", "sha256"})
_MOST_NOTE = 2_000


def approve_bundle(
    path: str | os.PathLike[str], by: str, *, role: str = "", note: str = "", key: PrivateKey | None = None
) -> str:
    """Write down who approved the model at `path`, in place of an earlier approval; the model stays as it is.

    Args:
        path: the model file; it is checked first.
        by: name of the person or board.
        role: what they are, such as "head of credit".
        note: for what use, and under which conditions.
        key: signs the approval, with the identity of the model in it.

    Returns:
        The `model_id` that was approved.

    Raises:
        UsageError: a name that cannot be shown, or a note of more than 2,000 characters.
        BundleError: the bundle is not in order; nothing is written.
    """
    if len(note) > _MOST_NOTE:
        raise UsageError(ErrorCode.USAGE, f"the note has {len(note):,} characters", wanted=f"at most {_MOST_NOTE:,}")
    bundle = read_bundle(path)
    report: dict[str, Any] = {
        "model_id": bundle.model_id,
        "by": check_label(by, "name of who approves"),
        "role": check_label(role, "role") if role else "",
        "note": printable(unicodedata.normalize("NFC", note), _MOST_NOTE),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    if key is not None:
        fields = {"model_id": bundle.model_id, "time": report["time"], "sha256": _digest(report)}
        report["signature"] = sign_statement(PURPOSE, fields, key)
    add_report(path, APPROVAL, report)
    return bundle.model_id


def verify_approval(bundle: str | os.PathLike[str] | Bundle, trusted: TrustList) -> str:
    """Make sure that the approval in a bundle was signed by somebody trusted.

    Returns:
        The name of the key that signed, or its id where it has none.

    Raises:
        SecurityError: `UNTRUSTED`, if nobody approved the model, signed that or is trusted; `BAD_SIGNATURE`, if the
            signature does not hold for this model and these words.
        BundleError: the bundle is not in order.
    """
    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    report = dict(opened.reports.get(APPROVAL, {}))
    statement = report.pop("signature", None)
    if not isinstance(statement, Mapping):
        why = "nobody signed its approval" if report else "nobody approved it"
        raise _untrusted(opened, why)
    check_statement(statement, PURPOSE, _FIELDS)
    found = trusted.find(statement["key_id"])
    if found is None or not found.trusted_on(datetime.now(UTC).date()):
        raise _untrusted(opened, f"its approval was signed by the key {statement['key_id']}, which is not trusted")
    if statement["model_id"] != opened.model_id or statement["sha256"] != _digest(report):
        raise SecurityError(
            ErrorCode.BAD_SIGNATURE,
            f"the approval of '{printable(opened.path.name)}' is not what was signed",
            wanted="the words as they were signed, of this very model",
        )
    verify_statement(statement, found.key)
    return found.key.name or found.key.key_id


def _digest(report: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes of an approval without its signature."""
    return sha256(dump_document(dict(report), "approval")).hexdigest()


def _untrusted(bundle: Bundle, why: str) -> SecurityError:
    return SecurityError(
        ErrorCode.UNTRUSTED,
        f"the model '{printable(bundle.path.name)}': {why}",
        wanted="an approval that somebody trusted signed",
        fix="lepton bundle approve MODEL --by NAME --key KEY",
        details={"model_id": bundle.model_id},
    )
