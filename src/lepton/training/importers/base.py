"""The contract of an importer: it takes one framework's models and gives graph, interface and the original's answers.

Which importer takes what is told by the object's class or the file's first bytes, before its library is imported.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from lepton.bundle import OutputRecord, TensorRecord
from lepton.core import ColumnRecord, DataError, ErrorCode, LeptonError, Registry, Work
from lepton.store import open_read

__all__ = [
    "IMPORTERS",
    "Asked",
    "FileHead",
    "Imported",
    "Importer",
    "Labels",
    "cannot_hold",
    "damaged_is_unreadable",
    "unreadable",
]

Labels = tuple[str, ...] | tuple[int, ...] | None

IMPORTERS = Registry(
    "importers",
    {
        "lightgbm": "lepton.training.importers.lightgbm:LightGBMImporter",
        "xgboost": "lepton.training.importers.xgboost:XGBoostImporter",
        "onnx": "lepton.training.importers.onnx:OnnxImporter",
        "keras": "lepton.training.importers.keras:KerasImporter",  # before torch, whose classes its models may wear
        "tensorflow": "lepton.training.importers.tensorflow:TensorflowImporter",
        "jax": "lepton.training.importers.jax:JaxImporter",
        "torch": "lepton.training.importers.torch:TorchImporter",
        "sklearn": "lepton.training.importers.sklearn:SklearnImporter",  # behind those that wear its classes
    },
)
"""Importers by framework; third parties use the group `lepton.importers`."""

_HEAD = 4096


@dataclass(frozen=True)
class FileHead:
    """What is known of a file or folder without reading it.

    Attributes:
        path: where it is.
        start: its first bytes; empty for a folder.
        members: names in it: of a zip, or of a folder.
    """

    path: Path
    start: bytes
    members: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> FileHead:
        """Look at `path`.

        Raises:
            DataError: there is nothing, or nothing that can be read.
        """
        if path.is_dir():
            try:
                return cls(path, b"", tuple(sorted(entry.name for entry in path.iterdir())))
            except OSError as error:
                raise DataError(
                    ErrorCode.NOT_A_FILE, f"the folder '{path.name}' cannot be read: {error.strerror}"
                ) from None
        with open_read(path) as file:
            start = file.read(_HEAD)
            members: tuple[str, ...] = ()
            if start[:2] == b"PK":
                try:
                    file.seek(0)
                    with zipfile.ZipFile(file) as archive:
                        members = tuple(archive.namelist())
                except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RecursionError):
                    raise unreadable(path, "is a zip file that is damaged or cut short") from None
        if not start:
            raise DataError(ErrorCode.EMPTY_DATA, f"'{path.name}' is empty", wanted="a model")
        return cls(path, start, members)


@dataclass(frozen=True)
class Asked:
    """What a user has said about the model that comes.

    Attributes:
        model: a live object, or None for a file.
        path: the file or folder, or None for a live object.
        sample: rows or tensors to check with, as they came; None where the importer makes some.
        labels: names of the classes in their order, or None for those of the model.
        target: name of what the model predicts.
        work: stop signal, clock, resources and seed.
    """

    model: Any
    path: Path | None
    sample: Any
    labels: Labels
    target: str | None
    work: Work


@dataclass(frozen=True)
class Imported:
    """A foreign model in the forms of a bundle, with what it is checked by.

    Attributes:
        framework: it came from.
        version: of the framework's library.
        task: one of `core.TASKS`.
        inputs: columns of the rows.
        outputs: of the graph.
        labels: class labels in order, or None.
        graph: the serialized graph.
        tensors: the sample as the graph takes it.
        answers: output → what the original says of the sample.
        sample_made: whether the sample was made by the importer.
        tolerance: largest difference that is taken, as a share of the largest answer.
        boolean: whether the labels 0 and 1 are false and true.
        inner: inner points of the graph.
        training: what going on with the training needs, name → data, with `kind`.
        records: tensors of a model that takes no table.
        codecs: of its column.
        notes: what the user should know.
    """

    framework: str
    version: str
    task: str
    inputs: tuple[ColumnRecord, ...]
    outputs: tuple[OutputRecord, ...]
    labels: Labels
    graph: bytes
    tensors: Mapping[str, NDArray[Any]]
    answers: Mapping[str, NDArray[Any]]
    sample_made: bool
    tolerance: float
    boolean: bool = False
    inner: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, bytes] = field(default_factory=lambda: {"kind": b"none"})
    records: tuple[TensorRecord, ...] = ()
    codecs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Importer(ABC):
    """Takes the models of one framework.

    Attributes:
        name: of the framework, as the user says it.
        packages: top-level packages whose objects it takes.
        runs_code: whether its files can hold code, so that they are opened in a sandbox and only when trusted.
    """

    name: ClassVar[str]
    packages: ClassVar[Sequence[str]] = ()
    runs_code: ClassVar[bool] = False

    @classmethod
    def takes(cls, model: Any) -> bool:
        """Whether a live object is one of the framework's; by the packages of its classes, so nothing is imported."""
        found = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
        return not found.isdisjoint(cls.packages)

    @classmethod
    def accepts(cls, model: Any) -> bool:
        """Whether a live object can be one of the framework's when the user says so."""
        return cls.takes(model)

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """Whether a file looks like one of the framework's; by its content."""
        return False

    @abstractmethod
    def read(self, asked: Asked) -> Imported:
        """Read the model.

        Raises:
            DataError: it cannot be read, or holds what a graph cannot.
            MissingExtraError: its library is not installed.
        """


def cannot_hold(what: str, fix: str = "") -> DataError:
    """The error for what ONNX, or a bundle, cannot express."""
    return DataError(ErrorCode.NO_GRAPH_FORM, what, wanted="a model that ONNX can express", fix=fix)


def unreadable(path: Path | None, why: str, *, wanted: str = "", fix: str = "") -> DataError:
    """The error for a file that cannot be read; `why` is a verb phrase."""
    name = "the model" if path is None else f"'{path.name}'"
    return DataError(ErrorCode.UNREADABLE, f"{name} {why}", wanted=wanted, fix=fix)


@contextmanager
def damaged_is_unreadable(path: Path | None, what: str) -> Iterator[None]:
    """One error for whatever a file that is not as it should be trips over; `what` is a noun phrase.

    Raises:
        DataError: UNREADABLE.
    """
    try:
        yield
    except LeptonError:
        raise
    except (LookupError, ValueError, TypeError, ArithmeticError, RecursionError, AttributeError) as error:
        raise unreadable(path, f"is {what} that is damaged ({error!r})"[:300]) from None
