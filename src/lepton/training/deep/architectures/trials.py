"""What was tried, and the folder that keeps it, so that a search can be cut off and go on. Nothing is pickled.

`search.json` says what was asked of which rows. Every training that has ended has a file of facts, `trial-00001.json`;
the networks that may still become the model have a model file beside it, `trial-00001.lepton`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, UsageError, printable
from lepton.store import make_folder, write_text
from lepton.training.automl.workdir import damaged, json_text, read_json
from lepton.training.nets.spec import NetSpec
from lepton.version import __version__

__all__ = ["NEVER_TRAINED", "Asked", "Cost", "Trial", "TrialFolder"]

NEVER_TRAINED = -1
"""The rung of a design that was measured and is too slow or too large."""

_FORMAT = 1
_HEADER = "search.json"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one row through a network takes, and what its file holds.

    Attributes:
        row: seconds of the middle one of many calls, as of a machine that does nothing else.
        slowest: seconds of the 99th percentile, which `max_latency` speaks of.
        size: bytes of the model file, as `max_size` counts them.
        multiply_adds: of a row; with exits, of the mean row.
        parameters: numbers that are learned.
    """

    row: float
    slowest: float
    size: int
    multiply_adds: float
    parameters: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of one design, or the finding that it costs too much.

    Attributes:
        number: in the order of the search, from 1.
        design: the same for all trainings of a design.
        spec: what the network looks like.
        rung: how long it was trained, from 0; `NEVER_TRAINED` where it costs too much.
        passes: over the rows.
        cost: of the network.
        score: on the rows that choose, by the metric of the search; None where it was not finished.
        lower: lower end of the 95 % interval.
        upper: upper end.
        seconds: of the training.
        after: seconds of searching until it had ended.
        parent: design that it was made of, or None.
        note: why it has no score, or "".
    """

    number: int
    design: int
    spec: NetSpec
    rung: int
    passes: int
    cost: Cost
    score: float | None = None
    lower: float | None = None
    upper: float | None = None
    seconds: float = 0.0
    after: float = 0.0
    parent: int | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Trial:
        """Read the JSON form; `ValueError`, `TypeError`, `KeyError` or `UsageError` for anything else."""
        found = {**raw, "spec": NetSpec.from_dict(raw["spec"]), "cost": Cost(**raw["cost"])}
        trial = cls(**found)
        numbers = [trial.number, trial.design, trial.rung, trial.passes, *asdict(trial.cost).values()]
        numbers += [each for each in (trial.score, trial.lower, trial.upper) if each is not None]
        if not all(isinstance(each, int | float) for each in numbers):
            raise ValueError
        return trial


@dataclass(frozen=True, slots=True)
class Asked:
    """What a search was begun with: the same whenever it goes on.

    Attributes:
        fingerprint: of rows and truth.
        task: as decided.
        metric: by name.
        seed: reaches everything random.
        passes: of each rung, rising.
        reference: seconds of a row through the first design when the search began: the middle one, the slowest.
        machine: where that was.
    """

    fingerprint: str
    task: str
    metric: str
    seed: int
    passes: tuple[int, ...]
    reference: tuple[float, float]
    machine: Mapping[str, Any]


class TrialFolder:
    """A folder that holds a search.

    Attributes:
        path: where it is.
        asked: what it was begun with.
        trials: those that were kept, in order.
    """

    def __init__(self, path: Path, asked: Asked, trials: tuple[Trial, ...] = ()) -> None:
        self.path, self.asked = path, asked
        self.trials = list(trials)

    @staticmethod
    def refuse_begun(path: Path) -> None:
        """Raise `UsageError` where a search was begun in the folder already."""
        if (path / _HEADER).is_file():
            raise UsageError(
                ErrorCode.USAGE,
                f"the folder '{printable(path.name)}' holds a search already",
                fix="go on with it (resume=True, --continue), or name another folder",
            )

    @classmethod
    def make(cls, path: Path, asked: Asked) -> TrialFolder:
        """Begin a search in a folder, which is made where it is not there.

        Raises:
            UsageError: there is a search in it already.
            StoreError: it cannot be written.
        """
        cls.refuse_begun(path)
        make_folder(path)
        write_text(path / _HEADER, json_text({"format": _FORMAT, "lepton": __version__, **asdict(asked)}))
        return cls(path, asked)

    @classmethod
    def open(cls, path: Path) -> TrialFolder:
        """The search in a folder.

        Raises:
            DataError: there is none, or it is damaged.
        """
        header = path / _HEADER
        if not header.is_file():
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"there is no search in the folder '{printable(path.name)}'",
                wanted="a folder that an earlier search was given as its workdir",
            )
        found = read_json(header)
        if found.pop("format", None) != _FORMAT:
            raise damaged(header, f"wanted format {_FORMAT}")
        try:
            asked = Asked(**{each.name: found[each.name] for each in fields(Asked)})
            passes = tuple(int(each) for each in asked.passes)
            asked = Asked(
                **{
                    **asdict(asked),
                    "passes": passes,
                    "reference": (float(asked.reference[0]), float(asked.reference[1])),
                }
            )
        except (KeyError, TypeError, ValueError, IndexError):
            raise damaged(header, "something that was asked is missing or of another type") from None
        if not passes or min(passes) < 1:
            raise damaged(header, "no passes")
        return cls(path, asked, tuple(map(_read_trial, sorted(path.glob("trial-*.json")))))

    def check(self, fingerprint: str, task: str, metric: str, seed: int, machine: Mapping[str, Any]) -> None:
        """Refuse to go on where something else is asked now.

        Raises:
            DataError: the rows are others.
            UsageError: anything else differs; the message says what.
        """
        if fingerprint != self.asked.fingerprint:
            raise DataError(
                ErrorCode.CHANGED_WHILE_READ,
                "the rows are not those that the folder's search was about",
                wanted="the same rows and targets",
                fix="give them again, or search anew in another folder",
            )
        now = {"task": task, "metric": metric, "seed": seed, "machine": dict(machine)}
        for name, value in now.items():
            before = getattr(self.asked, name)
            if before != value:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"the search in the folder has {name} {before!r}, this one {value!r}",
                    wanted="a search that goes on as it began",
                    fix="ask as before, or search anew in another folder",
                )

    def file_of(self, trial: Trial) -> Path:
        """Where the model file of a trial is, if it was kept."""
        return self.path / f"trial-{trial.number:05}.lepton"

    def keep(self, trial: Trial) -> None:
        """Write down a trial that has ended; its model file, where there is one, was written before.

        Raises:
            StoreError: the disk refuses; what was written before is intact.
        """
        write_text(self.path / f"trial-{trial.number:05}.json", json_text(trial.to_dict()))
        self.trials.append(trial)


def _read_trial(file: Path) -> Trial:
    raw = read_json(file)
    try:
        return Trial.from_dict(raw)
    except (KeyError, TypeError, ValueError, UsageError):
        raise damaged(file, "a fact of the trial is missing or of another type") from None
