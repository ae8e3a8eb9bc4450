"""Checking a bundle for people: every check with its verdict, where opening only says the first that fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.bundle.archive import open_archive
from lepton.bundle.files import CHECKS, inspect_archive
from lepton.core import BundleError, LeptonError, SecurityError
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.bundle import signing
    from lepton.security import PublicKey, TrustList
else:
    signing = LazyModule("lepton.bundle.signing")  # cryptography is for those who ask for signatures

__all__ = ["SIGNATURE_CHECK", "CheckRecord", "CheckReport", "check_bundle"]

SIGNATURE_CHECK = "signature"
"""The check that comes after those of `CHECKS`, where somebody is to be trusted."""


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One check.

    Attributes:
        name: one of `CHECKS`, or `SIGNATURE_CHECK`.
        verdict: `passed`, `failed`, or `not reached`, because an earlier one failed.
        note: what was seen.
    """

    name: str
    verdict: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The verdicts on one bundle.

    Attributes:
        checks: one row per entry of `CHECKS`, in order, and one for the signature if it was asked for.
        model_id: identity of the model, or None if the bundle cannot be opened.
        error: the refusal that opening or verifying the bundle gives, or None.
    """

    checks: tuple[CheckRecord, ...]
    model_id: str | None
    error: LeptonError | None

    @property
    def passed(self) -> bool:
        """Whether the bundle can be opened and, if that was asked, is signed by somebody trusted."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "passed": self.passed,
            "model_id": self.model_id,
            "checks": [{"name": c.name, "verdict": c.verdict, "note": c.note} for c in self.checks],
            "error": None if self.error is None else self.error.to_dict(),
        }


def check_bundle(path: str | os.PathLike[str], trusted: PublicKey | TrustList | None = None) -> CheckReport:
    """Check the bundle at `path` as opening it does, and tell the verdict of each check.

    Args:
        path: the bundle.
        trusted: who must have signed it, if anybody must; see `verify_bundle`.

    Raises:
        DataError: there is no such file, or it is not a regular file.
    """
    names = CHECKS if trusted is None else (*CHECKS, SIGNATURE_CHECK)
    rows: list[CheckRecord] = []
    model_id: str | None = None
    refusal: LeptonError | None = None
    try:
        with open_archive(path) as archive:
            bundle = inspect_archive(
                archive, Path(path), lambda check, note: rows.append(CheckRecord(check, "passed", note))
            )
        model_id = bundle.model_id
        if trusted is not None:
            signers = signing.verify_bundle(bundle, trusted).signers
            rows.append(CheckRecord(SIGNATURE_CHECK, "passed", "by " + ", ".join(signers)))
    except (BundleError, SecurityError) as error:
        refusal = error
        rows.append(CheckRecord(names[len(rows)], "failed", str(error)))
        rows += [CheckRecord(name, "not reached") for name in names[len(rows) :]]
    return CheckReport(tuple(rows), model_id, refusal)
