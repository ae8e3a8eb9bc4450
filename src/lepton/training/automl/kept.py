"""Where searches are kept, and which of them a model came from: a folder of the user's, or one in Lepton's cache."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, LeptonError, StoreError, UsageError, cache_folder, printable
from lepton.store import make_folder, open_read, write_text
from lepton.training.automl.workdir import Asked, SearchFolder
from lepton.training.base import learners_for
from lepton.training.folds import Fold
from lepton.training.portfolio import Candidate, Portfolio

__all__ = ["Keeper", "SearchOptions", "remember_search", "restore", "search_of"]

_PLACE = "searches"
_MOST_SEARCHES = 20  # that the cache holds
_MOST_BYTES = 2 * 1024**3  # of them together
_MOST_OF_ONE = 512 * 1024**2
_MOST_MODELS = 1000  # of which the cache knows the folder
_LONGEST_NOTE = 64 * 1024


@dataclass(frozen=True)
class SearchOptions:
    """How a search is kept, goes on and ends.

    Attributes:
        workdir: folder of the search; None for one in the cache.
        resume: whether to go on with the search in `workdir`.
        max_trials: end after so many trials beyond the openers; None for as many as the time allows. Without a time
            the same seed then gives the same trials and the same model, however many run at a time.

    Raises:
        UsageError: options that do not fit.
    """

    workdir: Path | None = None
    resume: bool = False
    max_trials: int | None = None

    def __post_init__(self) -> None:
        most: Any = self.max_trials
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 0):
            raise UsageError(ErrorCode.USAGE, f"got max_trials={most!r}", wanted="a whole number of at least 0")
        if self.resume and self.workdir is None:
            raise UsageError(
                ErrorCode.USAGE,
                "got resume=True (--continue) without a folder",
                wanted="workdir= (--workdir): the folder of the search to go on with",
            )

    def check(self, searches: bool) -> None:
        """Refuse options of a search where there is none."""
        if not searches and self != SearchOptions():
            raise UsageError(
                ErrorCode.USAGE,
                "got workdir, resume or max_trials where nothing is searched",
                wanted="effort='good' or 'best', and a task that is searched for: regression, binary or multiclass",
            )

    @property
    def earlier(self) -> SearchFolder | None:
        """The search to go on with."""
        return SearchFolder.open(self.workdir) if self.resume and self.workdir is not None else None


class Keeper:
    """Writes a search down as it goes. Where the disk refuses, the search goes on, and the notes say so.

    Args:
        options: which folder, and whether to go on with what is in it.
        asked: what the search is asked.
        folds: in which it scores; those of an earlier part count.

    Attributes:
        folds: in which the search scores.
        notes: for people.

    Raises:
        UsageError: the folder that was named holds a search already, or the one in it was asked something else.
        DataError: there is no search to go on with, it is of another table, or it is damaged.
        StoreError: the folder that was named cannot be written.
    """

    def __init__(self, options: SearchOptions, asked: Asked, folds: tuple[Fold, ...]) -> None:
        self._asked, self._left = asked, _MOST_OF_ONE if options.workdir is None else None
        self._folder, self._earlier, self._open = None, options.earlier, True
        self._writer = ThreadPoolExecutor(1, "lepton-keeper")  # trials do not wait for the disk
        self.folds, self.notes = folds, list[str]()
        if self._earlier is not None:
            self._earlier.asked.check(asked, any_metric=options.max_trials == 0)
            self._folder, self.folds = self._earlier, self._earlier.folds
        elif options.workdir is not None:
            self._folder = SearchFolder.make(options.workdir, asked, folds)

    def restore(self, portfolio: Portfolio) -> None:
        """Give a fresh portfolio the candidates of the earlier part, if there is one."""
        if self._earlier is not None:
            restore(self._earlier, portfolio)

    def keep(self, candidate: Candidate) -> None:
        """Write down a trial that has ended, beside what goes on meanwhile."""
        self._writer.submit(self._write, candidate)

    def _write(self, candidate: Candidate) -> None:
        if not self._open:
            return
        try:
            if self._folder is None:
                self._folder = SearchFolder.make(_new_place(), self._asked, self.folds)
            if self._left is not None:
                self._left -= sum(raw.nbytes for raw in candidate.raw)
                if self._left < 0:
                    raise StoreError(ErrorCode.STORE_FULL, f"its scores are larger than {_MOST_OF_ONE >> 20} MB")
            self._folder.keep(candidate)
        except (LeptonError, OSError, TypeError, ValueError) as error:
            came = error.came if isinstance(error, LeptonError) else str(error)
            self.notes.append(f"the search is kept up to here only ({came}); workdir= (--workdir) names a folder")
            self._open = False

    def finish(self) -> None:
        """Wait until everything is written; then the notes are whole."""
        self._writer.shutdown()

    def known_by(self, model_id: str) -> None:
        """Remember in the cache which search a model came from."""
        if self._folder is not None:
            remember_search(model_id, self._folder.path)


def restore(folder: SearchFolder, portfolio: Portfolio) -> None:
    """Give a fresh portfolio the candidates that a search has kept, with their scores.

    Raises:
        DataError: the folder is damaged.
    """
    if max(int(part.max()) for fold in folder.folds for part in (fold.train, fold.valid)) >= portfolio.problem.num_rows:
        raise DataError(ErrorCode.UNREADABLE, "the folds of the search name rows that are not there", fix="search anew")
    learners = learners_for(portfolio.problem)
    candidates = folder.candidates(learners, portfolio.problem.num_scores)
    if missing := sorted(folder.learners - {learner.name for learner in learners}):
        portfolio.notes.append(f"trials of {', '.join(missing)} are left out: there is no such learner here")
    portfolio.num_folds = min((len(c.raw) for c in candidates if c.raw), default=portfolio.num_folds)
    for candidate in candidates:
        candidate.raw = candidate.raw[: portfolio.num_folds]
        loss = portfolio.loss_of(candidate.raw) if candidate.raw else math.nan
        if not math.isnan(loss):
            portfolio.score_later(candidate, loss)
    portfolio.candidates.extend(candidates)


def _new_place() -> Path:
    """A new folder in the cache, for which the oldest make room."""
    place = make_folder(cache_folder() / _PLACE)
    folders = sorted((each for each in place.iterdir() if each.is_dir()), key=lambda each: -each.stat().st_mtime)
    total = 0
    for position, folder in enumerate(folders):
        total += sum(file.stat().st_size for file in folder.iterdir())
        if position + 1 >= _MOST_SEARCHES or total > _MOST_BYTES - _MOST_OF_ONE:
            shutil.rmtree(folder, ignore_errors=True)
    notes = sorted(place.glob("*.json"), key=lambda each: -each.stat().st_mtime)
    for note in notes[_MOST_MODELS - 1 :]:
        note.unlink(missing_ok=True)
    return place / secrets.token_hex(8)


def remember_search(model_id: str, folder: Path) -> None:
    """Note in the cache which search a model came from; where the cache cannot be written, nobody will know."""
    with suppress(LeptonError, OSError):
        place = make_folder(cache_folder() / _PLACE)
        told = {"folder": str(folder.absolute()), "given": str(folder)}
        write_text(place / f"{model_id}.json", json.dumps(told, ensure_ascii=False))


def search_of(model_id: str, workdir: Path | None = None) -> SearchFolder:
    """The search that a model came from.

    Args:
        model_id: of the model.
        workdir: where to look; None to ask the cache.

    Raises:
        DataError: it is not known, or gone; the message says where it was.
    """
    if workdir is not None:
        return SearchFolder.open(workdir)
    note = cache_folder() / _PLACE / f"{model_id}.json"
    fix = "name its folder (workdir=, --workdir), or train again: trials are not kept in the model file"
    try:
        with open_read(note) as handle:
            told = json.loads(handle.read(_LONGEST_NOTE))
        folder, given = Path(told["folder"]), str(told["given"])
    except (LeptonError, OSError, ValueError, TypeError, KeyError):
        raise DataError(
            ErrorCode.NOT_FOUND,
            f"Lepton's cache does not know a search of the model {model_id[:12]}…",
            wanted="a model that was searched for on this machine, not with effort='fast'",
            fix=fix,
        ) from None
    if not SearchFolder.holds_search(folder):
        where = f"in Lepton's cache, as {_PLACE}/{folder.name}" if folder.parent == note.parent else f"in {given!r}"
        raise DataError(ErrorCode.NOT_FOUND, f"the search of this model is gone; it was {printable(where)}", fix=fix)
    return SearchFolder.open(folder)
