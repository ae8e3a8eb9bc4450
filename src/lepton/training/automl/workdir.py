"""The folder of a search: what choosing another point of it, or going on with it, needs. Nothing in it is pickled.

`search.json` says what was asked of which table, `folds.npz` which row was scored in which fold, and every trial that
has ended has a file of facts, `trial-00001.json`, and one of raw scores out of fold, `trial-00001.npz`. The table
itself is not in it: who goes on brings it again.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Schema, UsageError, Work, printable
from lepton.store import make_folder, open_read, write_bytes, write_text
from lepton.training.base import Doubles, TableLearner
from lepton.training.folds import Fold
from lepton.training.options import Options
from lepton.training.portfolio import Candidate
from lepton.version import __version__

__all__ = ["FORMAT", "Asked", "SearchFolder", "damaged", "json_text", "read_json"]

FORMAT = 1

_HEADER, _FOLDS = "search.json", "folds.npz"
_MOST_JSON = 16 * 1024 * 1024


@dataclass(frozen=True)
class Asked:
    """What was asked of which table: the same in every part of a search.

    Attributes:
        fingerprint: of the table.
        target: column to predict.
        task: as decided.
        metric: what is chosen by, by name.
        seed: reaches everything random.
        within: seconds of the first part, which say how many rows are learned from; None without a limit.
        effort: how far to go.
        columns: column → its kind and role.
        options: weights of classes by label, costs, directions, learners: as `Options` takes them.
    """

    fingerprint: str
    target: str
    task: str
    metric: str
    seed: int
    within: float | None
    effort: str
    columns: Mapping[str, tuple[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        schema: Schema,
        fingerprint: str,
        target: str,
        task: str,
        metric: str,
        effort: str,
        options: Options,
        work: Work,
    ) -> Asked:
        """What is asked of a table with that schema and fingerprint."""
        columns = {column.name: (str(column.kind), str(column.role)) for column in schema}
        given = {name: value for name, value in asdict(options).items() if value is not None}
        return cls(fingerprint, target, task, metric, work.seed, work.within, effort, columns, given)

    def sampled(self, work: Work) -> Work:
        """Work that draws the same rows as the first part of the search did."""
        return Work(self.within, cancel=work.cancel, resources=work.resources, seed=work.seed)

    def check(self, other: Asked, *, any_metric: bool) -> None:
        """Refuse to go on where something else is asked now.

        Args:
            other: what is asked now.
            any_metric: whether another metric may be chosen by.

        Raises:
            DataError: it is another table, or is read otherwise.
            UsageError: anything else differs; the message says what.
        """
        if self.fingerprint != other.fingerprint:
            read = [name for name, told in self.columns.items() if other.columns.get(name) != tuple(told)]
            raise DataError(
                ErrorCode.CHANGED_WHILE_READ,
                f"the table is not the one that was searched: its fingerprint is {other.fingerprint[:12]}…, that of"
                f" the search {self.fingerprint[:12]}…" + (f"; column {read[0]!r} differs" if read else ""),
                wanted="the same rows and columns, read the same way",
                fix="give the table of the search, or search anew in another folder",
            )
        for name in ("target", "task", "metric", "seed", "options", "columns"):
            before, now = getattr(self, name), getattr(other, name)
            if _plain(before) != _plain(now) and not (name == "metric" and any_metric):
                what = "roles of columns" if name == "columns" else name
                raise UsageError(
                    ErrorCode.USAGE,
                    f"the search in the folder was asked with {what} {_plain(before)!r}, this one with {_plain(now)!r}",
                    wanted="a search that goes on as it began",
                    fix="ask as before, or search anew in another folder",
                )


class SearchFolder:
    """A folder that holds a search.

    Attributes:
        path: where it is.
        asked: what the search was asked.
        folds: in which candidates are scored.
    """

    def __init__(self, path: Path, asked: Asked, folds: Sequence[Fold]) -> None:
        self.path, self.asked, self.folds = path, asked, tuple(folds)

    @classmethod
    def holds_search(cls, path: Path) -> bool:
        """Whether a search was begun in the folder."""
        return (path / _HEADER).is_file()

    @classmethod
    def make(cls, path: Path, asked: Asked, folds: Sequence[Fold]) -> SearchFolder:
        """Begin a search in a folder, which is made where it is not there.

        Raises:
            UsageError: there is a search in it already.
            StoreError: it cannot be written.
        """
        if cls.holds_search(path):
            raise UsageError(
                ErrorCode.USAGE,
                f"the folder '{printable(path.name)}' holds a search already",
                fix="go on with it (resume=True, --continue), or name another folder",
            )
        make_folder(path)
        arrays: dict[str, NDArray[Any]] = {}
        for position, fold in enumerate(folds):
            arrays |= {f"train-{position}": fold.train, f"valid-{position}": fold.valid}
        write_bytes(path / _FOLDS, _packed(arrays))
        write_text(path / _HEADER, json_text({"format": FORMAT, "lepton": __version__, **asdict(asked)}))
        return cls(path, asked, folds)

    @classmethod
    def open(cls, path: Path) -> SearchFolder:
        """The search in a folder.

        Raises:
            DataError: there is none, or it is damaged.
        """
        if not cls.holds_search(path):
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"there is no search in the folder '{printable(path.name)}'",
                wanted="a folder that an earlier search was given as its workdir",
            )
        found = read_json(path / _HEADER)
        if found.pop("format", None) != FORMAT:
            raise damaged(path / _HEADER, f"wanted format {FORMAT}")
        asked = _asked(path / _HEADER, found)
        arrays = _unpacked(path / _FOLDS)
        try:
            folds = [
                Fold(_positions(arrays[f"train-{i}"]), _positions(arrays[f"valid-{i}"]))
                for i in range(len(arrays) // 2)
            ]
        except (KeyError, ValueError):
            folds = []
        if not folds:
            raise damaged(path / _FOLDS, "folds are missing")
        return cls(path, asked, folds)

    @property
    def size(self) -> int:
        """Bytes in the folder."""
        return sum(each.stat().st_size for each in self.path.iterdir())

    def keep(self, candidate: Candidate) -> None:
        """Write down a trial that has ended.

        Raises:
            StoreError: the disk refuses; what was written before is intact.
        """
        name = f"trial-{self._count() + 1:05}"
        if candidate.raw:
            scores = {f"fold-{fold}": raw for fold, raw in enumerate(candidate.raw)}
            write_bytes(self.path / f"{name}.npz", _packed(scores))
        # The facts come last: a trial without them was not finished being written, and is not there.
        write_text(self.path / f"{name}.json", json_text(_facts(candidate)))

    def _count(self) -> int:
        return max((int(file.stem.partition("-")[2]) for file in self._trials()), default=0)

    def _trials(self) -> list[Path]:
        return sorted(file for file in self.path.glob("trial-*.json") if file.stem.partition("-")[2].isdecimal())

    def candidates(self, learners: Sequence[type[TableLearner]], num_scores: int) -> list[Candidate]:
        """The trials of `learners` that were kept, in order, as candidates whose score is still to be told.

        Args:
            learners: that may be used.
            num_scores: columns of a raw score.

        Raises:
            DataError: a file is damaged.
        """
        known = {learner.name: learner for learner in learners}
        return [
            self._candidate(file, facts, known[facts["learner"]], num_scores)
            for file, facts in self._all_facts()
            if facts["learner"] in known
        ]

    @property
    def learners(self) -> set[str]:
        """Names of the learners that have a trial."""
        return {facts["learner"] for _, facts in self._all_facts()}

    def _all_facts(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for file in self._trials():
            facts = read_json(file)
            if not isinstance(facts.get("learner"), str):
                raise damaged(file, "the learner of the trial is missing")
            yield file, facts

    def _candidate(
        self, file: Path, facts: Mapping[str, Any], learner: type[TableLearner], num_scores: int
    ) -> Candidate:
        try:
            candidate = Candidate(
                learner,
                _mapping(facts["configuration"]),
                settled=_mapping(facts["settled"]),
                fit_seconds=float(facts["fit_seconds"]),
                fold_seconds=float(facts["fold_seconds"]),
                measured=None
                if facts["measured"] is None
                else (int(facts["measured"][0]), float(facts["measured"][1])),
                note=str(facts["note"]),
                point=None if facts["point"] is None else _mapping(facts["point"]),
                given_up=None
                if facts["given_up"] is None
                else (float(facts["given_up"][0]), int(facts["given_up"][1])),
            )
            num_folds = int(facts["num_folds"])
        except (KeyError, TypeError, ValueError, IndexError):
            raise damaged(file, "a fact of the trial is missing or of another type") from None
        if num_folds:
            arrays = _unpacked(file.with_suffix(".npz"))
            candidate.raw = [self._raw(file, arrays, fold, num_scores) for fold in range(num_folds)]
        return candidate

    def _raw(self, file: Path, arrays: Mapping[str, NDArray[Any]], fold: int, num_scores: int) -> Doubles:
        raw = arrays.get(f"fold-{fold}")
        shape = (len(self.folds[fold].valid) if fold < len(self.folds) else -1, num_scores)
        if raw is None or raw.dtype != np.float64 or raw.shape != shape or not np.isfinite(raw).all():
            raise damaged(file.with_suffix(".npz"), f"the scores of fold {fold} are not there, or not of its rows")
        return raw


def _facts(candidate: Candidate) -> dict[str, Any]:
    return {
        "learner": candidate.learner.name,
        "configuration": dict(candidate.configuration),
        "settled": dict(candidate.settled),
        "fit_seconds": candidate.fit_seconds,
        "fold_seconds": candidate.fold_seconds,
        "measured": candidate.measured,
        "note": candidate.note,
        "point": candidate.point,
        "given_up": candidate.given_up,
        "num_folds": len(candidate.raw),
    }


# --- plain files ----------------------------------------------------------------------------------------------------


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return held.getvalue()


def _unpacked(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with open_read(file) as handle, np.load(handle, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, EOFError, OSError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise damaged(file, str(error)) from None


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as people read it, with numbers of numpy as plain ones."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=1) + "\n"


def _plain(value: Any) -> Any:
    """The value as JSON holds it: lists for tuples, plain numbers for those of numpy."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a search folder; `DataError` where there is none."""
    with open_read(file) as handle:
        told = handle.read(_MOST_JSON + 1)
    try:
        return dict(_mapping(json.loads(told[:_MOST_JSON])))
    except (ValueError, TypeError, RecursionError):
        raise damaged(file, "it is no JSON object") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _asked(file: Path, found: Mapping[str, Any]) -> Asked:
    try:
        asked: Any = Asked(**{each.name: found[each.name] for each in fields(Asked)})
        columns = {name: (str(kind), str(role)) for name, (kind, role) in asked.columns.items()}
        whole = all(isinstance(getattr(asked, name), str) for name in ("fingerprint", "target", "task", "metric"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise damaged(file, "something that was asked is missing") from None
    if not whole or not isinstance(asked.seed, int) or not isinstance(asked.options, dict):
        raise damaged(file, "something that was asked is of another type")
    return Asked(**{**asdict(asked), "columns": columns})


def _positions(array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype != np.int64 or array.ndim != 1 or not len(array) or array.min() < 0:
        raise ValueError
    return array


def damaged(file: Path, reason: str) -> DataError:
    """What is raised for a file of a search folder that is not as it was written."""
    return DataError(
        ErrorCode.UNREADABLE,
        f"'{printable(file.name)}' of the search folder cannot be read: {printable(reason, 200)}",
        fix="search anew in another folder",
    )
