"""Where served models come from: files that are named, and folders of files that are looked at again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lepton.bundle import Predictor
from lepton.core import ErrorCode, LeptonError, UsageError, check_name, printable
from lepton.serving.model_store import checked, named

__all__ = ["Place", "Sources", "Stamp", "stamp_of"]

_logger = logging.getLogger("lepton.serving")
_ENDING = ".lepton"

Stamp = tuple[int, ...]
"""What changes when a file does: time, size and inode."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one version of a model is found.

    Attributes:
        name: of the model.
        number: of the version; None where the file has none, and each new content is the next version.
    """

    name: str
    number: int | None


class Sources:
    """What is to be served: `look` tells it anew each time.

    A folder holds `NAME.lepton`, which is replaced when a new version comes, or `NAME/NUMBER.lepton`, which stand
    beside each other; all else in it is passed over, and so are names that begin with a dot.

    Args:
        given: files, `name=file`, and folders.

    Raises:
        UsageError: a name that cannot be used, or one name for two models.
    """

    def __init__(self, given: Iterable[str | os.PathLike[str]]) -> None:
        several = list(given)
        self.folders = tuple(Path(each) for each in several if Path(each).is_dir())
        self.files: Mapping[str, Path | Predictor] = named(each for each in several if not Path(each).is_dir())
        self._told: set[str] = set()
        self._look(strict=True)

    @classmethod
    def of(cls, models: Mapping[str, Path | Predictor]) -> Sources:
        """Sources of models whose names are given; opened models among them are served as they are.

        Raises:
            UsageError: no model, a name that cannot be used, two names that are one.
        """
        sources = cls(())
        sources.files = checked(models)
        return sources

    def look(self) -> dict[Place, Path | Predictor]:
        """What there is now; a name in a folder that cannot be used is passed over and logged once."""
        return self._look(strict=False)

    def _look(self, *, strict: bool) -> dict[Place, Path | Predictor]:
        found: dict[Place, Path | Predictor] = {Place(name, None): source for name, source in self.files.items()}
        owners = dict.fromkeys(self.files, "the command")
        for folder in self.folders:
            for given, number, path in _contents(folder):
                try:
                    name = check_name(given, "model name")
                    owner = str(path.parent if number is not None else path)
                    if owners.setdefault(name, owner) != owner:
                        raise UsageError(
                            ErrorCode.BAD_NAME,
                            f"two models have the name '{name}'",
                            fix="keep either NAME.lepton or the folder NAME, in one folder",
                        )
                except LeptonError as error:
                    if strict:
                        raise
                    if str(path) not in self._told:
                        self._told.add(str(path))
                        _logger.error("%s is not served: %s", printable(path.name), error)
                    continue
                found[Place(name, number)] = path
        return found


def _contents(folder: Path) -> Iterator[tuple[str, int | None, Path]]:
    """Name, number and file of every model in a folder, sorted."""
    for path in _listed(folder):
        if path.suffix == _ENDING and path.is_file():
            yield path.stem, None, path
        elif path.is_dir():
            for inner in _listed(path):
                number = inner.stem
                plain = number.isascii() and number.isdigit() and number[0] != "0" and len(number) <= 18
                if inner.suffix == _ENDING and plain and inner.is_file():
                    yield path.name, int(number), inner


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # it is gone for now
        return []


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None if it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
