"""Checking a bundle for people: every check with its verdict, where opening only says the first that fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.bundle.archive import open_archive
from lepton.bundle.files import CHECKS, inspect_archive
from lepton.core import BundleError

__all__ = ["CheckRecord", "CheckReport", "check_bundle"]


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One check.

    Attributes:
        name: one of `CHECKS`.
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
        checks: one row per entry of `CHECKS`, in order.
        model_id: identity of the model, or None if a check failed.
        error: the refusal that opening the bundle gives, or None.
    """

    checks: tuple[CheckRecord, ...]
    model_id: str | None
    error: BundleError | None

    @property
    def passed(self) -> bool:
        """Whether the bundle can be opened."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "passed": self.passed,
            "model_id": self.model_id,
            "checks": [{"name": c.name, "verdict": c.verdict, "note": c.note} for c in self.checks],
            "error": None if self.error is None else self.error.to_dict(),
        }


def check_bundle(path: str | os.PathLike[str]) -> CheckReport:
    """Check the bundle at `path` as opening it does, and tell the verdict of each check.

    Raises:
        DataError: there is no such file, or it is not a regular file.
    """
    rows: list[CheckRecord] = []
    model_id, refusal = None, None
    try:
        with open_archive(path) as archive:
            bundle = inspect_archive(
                archive, Path(path), lambda check, note: rows.append(CheckRecord(check, "passed", note))
            )
        model_id = bundle.model_id
    except BundleError as error:
        refusal = error
        rows.append(CheckRecord(CHECKS[len(rows)], "failed", str(error)))
        rows += [CheckRecord(name, "not reached") for name in CHECKS[len(rows) :]]
    return CheckReport(tuple(rows), model_id, refusal)
