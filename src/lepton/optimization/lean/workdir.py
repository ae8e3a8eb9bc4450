"""The folder of a compression: the drafts that were tried, as model files with their facts. Nothing in it is pickled.

A draft is there when its facts are, which are written behind its model file; what was tried without giving one stands
in `tried.json`. The rows are not in it: who goes on brings them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import read_bundle
from lepton.core import DataError, ErrorCode, UsageError, printable
from lepton.optimization.lean.base import Draft, Setting
from lepton.optimization.lean.goal import Candidate
from lepton.optimization.lean.proof import Loss
from lepton.optimization.lean.rows import Rows
from lepton.store import make_folder, open_read, write_text

__all__ = ["DraftFolder", "fingerprint_of"]

_FORMAT = 1
_HEADER, _TRIED = "compression.json", "tried.json"
_MOST_JSON = 16 * 1024 * 1024


class DraftFolder:
    """A folder of drafts.

    Args:
        path: where it is.
        asked: what must be the same for going on.
        resume: whether to go on with what is there.

    Raises:
        UsageError: there is a compression in it, or another one than is to go on.
        DataError: there is none to go on with.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        header = path / _HEADER
        if resume:
            if not header.is_file():
                raise DataError(
                    ErrorCode.NOT_FOUND,
                    f"there is no compression in the folder '{printable(path.name)}'",
                    wanted="a folder that an earlier one was given as its workdir",
                )
            self._check(_read(header), asked)
            return
        if header.exists():
            raise UsageError(
                ErrorCode.USAGE,
                f"the folder '{printable(path.name)}' holds a compression already",
                fix="go on with it (resume=True, --continue), or name another folder",
            )
        make_folder(path)
        write_text(header, _text({"format": _FORMAT, **asked}))

    @staticmethod
    def _check(found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        for name, now in json.loads(_text({"format": _FORMAT, **asked})).items():
            if found.get(name) != now:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"the compression in the folder was asked with another {name}: {printable(str(found.get(name)))}",
                    wanted=f"{name} {printable(str(now))}, as asked now",
                    fix="ask as before, or begin anew in another folder",
                )

    def place(self, number: int) -> Path:
        """Where the model file of a draft lies."""
        return self.path / f"draft-{number:05}.lepton"

    def keep(self, candidate: Candidate) -> None:
        """Write down a draft whose model file lies at its place.

        Raises:
            StoreError: the disk refuses; what was written before is intact.
        """
        facts = {
            "steps": [[step, setting.text, dict(setting.values)] for step, setting in candidate.steps],
            "size": candidate.size,
            "pace": candidate.pace,
            "loss": candidate.loss.to_dict(),
            "worst_part": candidate.worst_part,
            "seconds": candidate.seconds,
        }
        write_text(self.path / f"draft-{candidate.number:05}.json", _text(facts))

    def drop(self, candidate: Candidate) -> None:
        """Let go of the model file of a draft; its facts stay."""
        self.place(candidate.number).unlink(missing_ok=True)
        candidate.path = None

    def candidates(self) -> list[Candidate]:
        """The drafts that were tried, in order.

        Raises:
            DataError: a file is damaged.
        """
        found = []
        for file in sorted(self.path.glob("draft-*.json")):
            try:
                facts = _read(file)
                number = int(file.stem.partition("-")[2])
                loss = facts["loss"]
                bounds = [np.inf if each is None else float(each) for each in (loss["upper"], *loss["interval"])]
                lost = Loss(**{**loss, "upper": bounds[0], "interval": (bounds[1], bounds[2])})
                steps = tuple((str(step), Setting(str(text), dict(values))) for step, text, values in facts["steps"])
                place = self.place(number)
                candidate = Candidate(
                    number, steps, int(facts["size"]), float(facts["pace"]), lost, facts["worst_part"],
                    float(facts["seconds"]), place if place.is_file() else None,
                )  # fmt: skip
            except (KeyError, TypeError, ValueError, IndexError):
                raise _damaged(file) from None
            found.append(candidate)
        return found

    def draft(self, candidate: Candidate) -> Draft:
        """The draft of a candidate, from its model file."""
        return replace(Draft.of(read_bundle(self.place(candidate.number))), steps=candidate.steps)

    def note(self, tried: Mapping[str, Any]) -> None:
        """Write down what was tried."""
        write_text(self.path / _TRIED, _text(tried))

    def noted(self) -> dict[str, Any]:
        """What `note` has written; empty where it has not."""
        file = self.path / _TRIED
        return _read(file) if file.is_file() else {}


def fingerprint_of(rows: Rows) -> str:
    """What tells rows from others: the truth, and what the original answers to them."""
    answers = rows.answers
    found = sha256(np.ascontiguousarray(answers.y).tobytes())
    found.update(np.ascontiguousarray(answers.predicted).tobytes())
    if answers.probabilities is not None:
        found.update(np.ascontiguousarray(answers.probabilities).tobytes())
    return found.hexdigest()


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy, and mappings, as JSON has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written down")


def _read(file: Path) -> dict[str, Any]:
    with open_read(file) as handle:
        told = handle.read(_MOST_JSON + 1)
    try:
        found = json.loads(told[:_MOST_JSON])
    except (ValueError, RecursionError):
        raise _damaged(file) from None
    if not isinstance(found, dict):
        raise _damaged(file)
    return found


def _damaged(file: Path) -> DataError:
    return DataError(
        ErrorCode.UNREADABLE,
        f"'{printable(file.name)}' of the folder of the compression cannot be read",
        fix="begin anew in another folder",
    )
