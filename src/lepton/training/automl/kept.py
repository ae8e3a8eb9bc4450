"""Where searches are kept, and which of them a model came from: a folder of the user's, or one in Lepton's cache."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lepton.core import DataError, ErrorCode, LeptonError, StoreError, UsageError, cache_folder, printable
from lepton.store import make_folder, open_read, write_text
from lepton.training.automl.workdir import Asked, SearchFolder
from lepton.training.folds import Fold
from lepton.training.portfolio import Candidate

__all__ = ["Keeper", "SearchOptions", "remember_search", "search_of"]

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
        most = self.max_trials
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
                "got workdir, resume or max_trials with effort='fast', which does not search",
                fix="ask for effort='good' or 'best'",
            )

    @property
    def earlier(self) -> SearchFolder | None:
        """The search to go on with."""
        return SearchFolder.open(self.workdir) if self.resume and self.workdir is not None else None


class Keeper:
    """Writes a search down as it goes. Where the disk refuses, the search goes on, and the notes say so.

    Attributes:
        notes: for people.
    """

    def __init__(self, folder: SearchFolder | None, most: int | None = None) -> None:
        self._folder, self._most, self._open = folder, most, folder is not None
        self.notes: list[str] = []

    @classmethod
    def begin(cls, options: SearchOptions, asked: Asked, folds: tuple[Fold, ...]) -> Keeper:
        """Begin a new search in the folder that was named, or in one of the cache.

        Raises:
            UsageError: the folder that was named holds a search already.
            DataError, StoreError: it cannot be made.
        """
        if options.workdir is not None:
            return cls(SearchFolder.make(options.workdir, asked, folds))
        try:
            return cls(SearchFolder.make(_new_place(), asked, folds), _MOST_OF_ONE)
        except (LeptonError, OSError) as error:
            keeper = cls(None)
            keeper.notes.append(_not_kept(error))
            return keeper

    def keep(self, candidate: Candidate) -> None:
        """Write down a trial that has ended."""
        if self._folder is None or not self._open:
            return
        try:
            if self._most is not None:
                self._most -= sum(raw.nbytes for raw in candidate.raw)
                if self._most < 0:
                    raise StoreError(ErrorCode.STORE_FULL, f"its scores are larger than {_MOST_OF_ONE >> 20} MB")
            self._folder.keep(candidate)
        except (LeptonError, OSError, TypeError, ValueError) as error:
            self.notes.append(_not_kept(error, "from here on "))
            self._open = False

    def known_by(self, model_id: str) -> None:
        """Remember in the cache which search a model came from."""
        if self._folder is not None:
            remember_search(model_id, self._folder.path)


def _not_kept(error: Exception, since: str = "") -> str:
    came = error.came if isinstance(error, LeptonError) else str(error)
    return f"the search is not kept {since}for choosing again or going on ({came}); workdir= (--workdir) names a folder"


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
