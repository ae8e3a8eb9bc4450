"""The models that a server holds: their state, why one is not ready, and what each takes and gives."""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Bundle, Predictor, SeriesInputs, TensorInputs, open_model
from lepton.bundle.prepared import PreparedRun
from lepton.core import (
    ErrorCode,
    LeptonError,
    Resources,
    SchemaError,
    ServingError,
    UsageError,
    check_name,
    printable,
)
from lepton.serving.datatypes import datatype_of

__all__ = ["CHEAP_SECONDS", "ModelState", "ModelStore", "Residency", "ServedModel", "TensorRecord", "named"]

VERSION = "1"
"""The version that the first model of a name has."""

_logger = logging.getLogger("lepton.serving")
_KEPT_RUNS = 100_000
_KEPT_PREPARED = 16
_CHEAP_ROWS = 256
_BYTES_PER_VALUE = 8
_SURELY_CHEAP, _LARGE = 4096, 32 * 1024
CHEAP_SECONDS = 0.5e-3
"""Time of a row up to which a model is run where the request was read, and never in batches."""


class Residency(Protocol):
    """Keeps the memory of opened models within a bound; see `lepton.serving.residency`."""

    def opened(self, model: ServedModel, path: Path, measure: Callable[[Predictor], None]) -> Predictor:
        """Open a model for the first time, and try it by `measure`."""

    def reopened(self, model: ServedModel) -> Predictor:
        """Open again what was let go, or raise `LeptonError`."""

    def open_soon(self, model: ServedModel) -> Future[Predictor]:
        """A model that is being opened again."""

    def forget(self, models: Iterable[ServedModel]) -> None:
        """Models that are served no more."""

    def close(self) -> None:
        """Open nothing more."""


class ModelState(StrEnum):
    """Where a model is on its way to answering."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    UNLOADED = "unloaded"


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor that a model takes or gives; -1 in `shape` is the number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As the protocol's metadata shows it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(slots=True, eq=False, weakref_slot=True)
class ServedModel:
    """One version of a model under the name that requests use; nothing of it changes once it is ready.

    Attributes:
        name: as in the address.
        source: the file, or the opened model itself.
        version: which one of the models of that name, a whole number.
        state: loading, ready, failed or unloaded.
        reason: why it is not ready, fit to be shown.
        inputs: the graph's tensors.
        outputs: the graph's outputs, in order.
        tensor_names: names of the graph's tensors.
        input_names: what an input of a request may be called: the graph's tensors and the columns.
        output_names: names of the graph's outputs, in order.
        row_outputs: those that answer plain rows which ask for none by name: all but `embedding`.
        row_values: numbers and texts of one row.
        decodes: whether a row may come as a file, which takes a while to decode whatever its length.
        row_seconds: median time of one row, measured when the model was opened.
        parts: of a pipeline or an ensemble, the models that it runs.
        parameters: what its answers say beside their outputs.
        residency: opens it again where it was let go for want of memory; None keeps it open.
        used: when it was asked last, on the clock of `time.monotonic`, where there is a residency.
        runs: rows and seconds of runs that are not counted yet; any thread appends.
        counts: what is counted of it; see `lepton.serving.watching`.
        forms: of requests in JSON, by their text without its numbers; see `lepton.serving.protocols.forms`.
        byte_forms: of requests whose numbers stand as bytes behind their text, by that.
        row_form: of one row in JSON, False where there is none, None until that is known.
        prepared: what runs it for one row, by the names of the outputs; for the thread of the loop alone.
        at_once: bytes of a body up to which it answers on the loop; -1 where it never does.
        watch: what keeps samples of its rows and answers, False where none are wanted, None until that is known.
    """

    name: str
    source: Path | Predictor
    version: str = VERSION
    state: ModelState = ModelState.LOADING
    reason: str = "the model is being opened"
    error: LeptonError | None = None
    inputs: tuple[TensorRecord, ...] = ()
    outputs: tuple[TensorRecord, ...] = ()
    tensor_names: frozenset[str] = frozenset()
    input_names: frozenset[str] = frozenset()
    output_names: list[str] = field(default_factory=list)
    row_outputs: list[str] = field(default_factory=list)
    row_values: int = 0
    decodes: bool = False
    row_seconds: float = 0.0
    parts: tuple[ServedModel, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    residency: Residency | None = field(default=None, repr=False)
    used: float = 0.0
    runs: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_KEPT_RUNS), repr=False)
    counts: Any = field(default=None, repr=False)
    watch: Any = field(default=None, repr=False)
    forms: dict[bytes, Any] = field(default_factory=dict, repr=False)
    byte_forms: dict[bytes, Any] = field(default_factory=dict, repr=False)
    row_form: Any = field(default=None, repr=False)
    prepared: dict[tuple[str, ...], PreparedRun | None] = field(default_factory=dict, repr=False)
    at_once: int = -1
    _predictor: Predictor | None = field(default=None, repr=False)
    _described: Predictor | None = field(default=None, repr=False)

    @property
    def predictor(self) -> Predictor:
        """The opened model; `ServingError` NOT_READY with the reason when there is none.

        One that was let go is opened again, which takes its time: see `is_open`.
        """
        if self.residency is not None:
            self.used = time.monotonic()
        found = self._predictor
        if found is not None:
            return found
        if self.residency is not None and self.state is ModelState.READY:
            return self.residency.reopened(self)
        raise ServingError(
            ErrorCode.NOT_READY,
            f"the model '{self.name}' is not ready: {self.reason}",
            details={"model": self.name, "state": str(self.state), "reason": self.reason},
        )

    @property
    def described(self) -> Predictor:
        """What the opened model tells of itself, but nothing that runs; `ServingError` NOT_READY as `predictor`.

        It is there while the model itself was let go.
        """
        return self._described or self.predictor

    @property
    def is_open(self) -> bool:
        """Whether `predictor` is there at once."""
        return self._predictor is not None and (not self.parts or all(part.is_open for part in self.parts))

    @property
    def rests(self) -> bool:
        """Whether it was let go, and takes its time to answer."""
        return not self.is_open and self.state is ModelState.READY

    def open(
        self,
        resources: Resources,
        residency: Residency | None = None,
        check: Callable[[Bundle], None] | None = None,
    ) -> None:
        """Open the model and measure one row; whatever fails is kept as the reason.

        Args:
            resources: what it may use.
            residency: bounds the memory of all that it opens; None opens without a bound.
            check: raises `LeptonError` for a file that must not be served, before a row is run.
        """

        def tried(predictor: Predictor) -> None:
            if check is not None:
                check(predictor.bundle)
            self._measure(predictor)

        try:
            if isinstance(self.source, Predictor):
                predictor = self.source
                tried(predictor)
            elif residency is None:
                predictor = open_model(self.source, resources=resources)
                tried(predictor)
            else:
                predictor = residency.opened(self, self.source, tried)
        except LeptonError as error:
            self.fail(error)
        except Exception:
            _logger.exception("the model %r could not be opened", self.name)
            self.fail(ServingError(ErrorCode.INTERNAL, "an error inside the server while it was opened"))
        else:
            self._predictor, self._described = predictor, predictor.description()
            self.state, self.reason = ModelState.READY, ""
            if residency is None and self.is_cheap and not self.decodes:
                self.at_once = self.cheap_bytes

    @property
    def is_cheap(self) -> bool:
        """Whether a row takes less time than a change of thread is worth."""
        return self.row_seconds <= CHEAP_SECONDS

    @property
    def cheap_bytes(self) -> int:
        """Bytes of a body that surely holds few rows, whatever is in it."""
        return max(_SURELY_CHEAP, min(_CHEAP_ROWS * _BYTES_PER_VALUE * self.row_values, _LARGE))

    def prepared_for(self, outputs: Sequence[str]) -> PreparedRun | None:
        """What runs it for one row and these outputs, made when it is asked for first; None where nothing does."""
        key = tuple(outputs)
        if key not in self.prepared:
            if len(self.prepared) >= _KEPT_PREPARED:
                self.prepared.clear()
            self.prepared[key] = self.predictor.prepared(outputs) if self.at_once >= 0 and self.is_cheap else None
        return self.prepared[key]

    def put(self, predictor: Predictor | None) -> None:
        """Have the opened model, or none, while its state stays: for a residency."""
        self._predictor = predictor

    def fail(self, error: LeptonError) -> None:
        """Say why the model cannot be opened."""
        self._predictor = self._described = None
        self.at_once = -1
        self.state, self.reason, self.error = ModelState.FAILED, str(error), error
        _logger.error("the model '%s' is not ready: %s", self.name, printable(self.reason, 1000))

    def _measure(self, predictor: Predictor) -> None:
        tensors = _one_row(predictor)
        answers = predictor.run(tensors)
        seconds = []
        for _ in range(9):
            started = time.perf_counter()
            predictor.run(tensors)
            seconds.append(time.perf_counter() - started)
        self.row_seconds = statistics.median(seconds)
        self.inputs = tuple(_tensor_record(name, array) for name, array in tensors.items())
        if isinstance(predictor.inputs, TensorInputs):
            self.decodes = predictor.inputs.decodes
            sizes = {r.name: tuple(-1 if size is None else size for size in r.shape) for r in predictor.inputs.records}
            self.inputs = tuple(replace(each, shape=sizes[each.name]) for each in self.inputs)
        self.outputs = tuple(_tensor_record(name, array) for name, array in answers.items())
        self.row_values = sum(tensor[0].size for tensor in tensors.values())
        self.tensor_names = frozenset(tensors)
        self.output_names = list(answers)
        self.row_outputs = [name for name in answers if name != "embedding"] or self.output_names
        self.input_names = frozenset({*tensors, *predictor.inputs.names})


class ModelStore:
    """Models by name, and the versions of each; one that cannot be opened never takes the others down.

    Readers take no lock: what a name stands for is replaced as a whole, so a request runs with one version from its
    beginning to its end, whatever happens to the name meanwhile.

    Args:
        models: name to file or opened model; each is version 1 of its name.
        resources: what opened models may use.

    Attributes:
        residency: bounds the memory of models that are opened from now on; None bounds nothing.
        check: raises `LeptonError` for a file that must not be served; None serves every file that is in order.
        listeners: called with a name when what it stands for has changed, in the thread that changed it.

    Raises:
        UsageError: no model, a name that cannot be used, two names that are one in NFC.
    """

    def __init__(self, models: Mapping[str, Path | Predictor], resources: Resources | None = None) -> None:
        self._start(resources)
        for name, source in checked(models).items():
            self.change(name, come=[ServedModel(name, source)])

    @classmethod
    def empty(cls, resources: Resources | None = None) -> ModelStore:
        """A store whose models come later."""
        store = cls.__new__(cls)
        store._start(resources)
        return store

    def _start(self, resources: Resources | None) -> None:
        self.resources = resources or Resources()
        self.residency: Residency | None = None
        self.check: Callable[[Bundle], None] | None = None
        self.listeners: list[Callable[[str], None]] = []
        self._versions: dict[str, tuple[ServedModel, ...]] = {}
        self._answering: dict[str, ServedModel] = {}

    def __iter__(self) -> Iterator[ServedModel]:
        """The version of each model that answers where a request names none."""
        return iter(tuple(self._answering.values()))

    def __getitem__(self, name: str) -> ServedModel:
        """The version that answers where a request names none: the newest that is ready, else the newest.

        Raises:
            ServingError: UNKNOWN_MODEL.
        """
        model = self._answering.get(name)
        if model is None:
            raise ServingError(
                ErrorCode.UNKNOWN_MODEL,
                f"there is no model '{printable(name)}'",
                wanted="one of " + ", ".join(list(self._answering)[:20]),
                details={"model": name[:128]},
            )
        return model

    def answering(self, name: str) -> ServedModel | None:
        """The same; None where there is no such model."""
        return self._answering.get(name)

    def version(self, name: str, version: str) -> ServedModel:
        """One version of a model.

        Raises:
            ServingError: UNKNOWN_MODEL, no such model or version.
        """
        answering = self[name]
        if answering.version == version:
            return answering
        found = [model for model in self.versions(name) if model.version == version]
        if not found:
            raise ServingError(
                ErrorCode.UNKNOWN_MODEL,
                f"the model '{name}' has no version '{printable(version, 40)}'",
                wanted=" or ".join(f"version '{model.version}'" for model in self.versions(name)[-5:]),
                details={"model": name},
            )
        return next((model for model in found if model.state is ModelState.READY), found[-1])

    def versions(self, name: str) -> tuple[ServedModel, ...]:
        """Every version of a model, oldest first; empty if there is no such model."""
        return self._versions.get(name, ())

    def change(self, name: str, *, gone: Iterable[ServedModel] = (), come: Iterable[ServedModel] = ()) -> None:
        """Take versions of a model away and add others, in one step; one writer at a time.

        Requests that run with a version that goes are answered all the same.
        """
        away = {id(model): model for model in gone}
        versions = [model for model in self.versions(name) if id(model) not in away]
        versions = sorted([*versions, *come], key=lambda model: int(model.version))
        if versions:
            ready = [model for model in versions if model.state is ModelState.READY]
            self._versions[name] = tuple(versions)
            self._answering[name] = (ready or versions)[-1]
        else:
            self._answering.pop(name, None)
            self._versions.pop(name, None)
        if self.residency is not None:
            self.residency.forget(away.values())
        for listener in self.listeners:
            listener(name)

    def open_all(self) -> None:
        """Open every model, one after the other."""
        for name in tuple(self._versions):
            for model in self.versions(name):
                model.open(self.resources, self.residency, self.check)
            self.change(name)

    @property
    def ready(self) -> bool:
        """Whether opening is over and at least one model answers."""
        states = {model.state for model in self}
        return ModelState.LOADING not in states and ModelState.READY in states

    @property
    def states(self) -> dict[str, str]:
        """State of each model."""
        return {model.name: str(model.state) for model in self}

    @property
    def first_error(self) -> LeptonError | None:
        """Why the first model that failed did, if none is ready."""
        models = tuple(self)
        if not models or any(model.state is not ModelState.FAILED for model in models):
            return None
        return models[0].error


def checked(models: Mapping[str, Path | Predictor]) -> dict[str, Path | Predictor]:
    """Models under names that can be used.

    Raises:
        UsageError: no model, a name that cannot be used, two names that are one in NFC.
    """
    if not models:
        raise UsageError(ErrorCode.USAGE, "got no model to serve", wanted="at least one .lepton file")
    found: dict[str, Path | Predictor] = {}
    for given, source in models.items():
        name = check_name(given, "model name")
        if name in found:
            raise _taken(name)
        found[name] = source if isinstance(source, Predictor) else Path(source)
    return found


def named(sources: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Names of models given as `file` or `name=file`; a file's name without its ending is its model's name.

    >>> named(["models/houses.lepton", "champion=new.lepton"])
    {'houses': PosixPath('models/houses.lepton'), 'champion': PosixPath('new.lepton')}

    Raises:
        UsageError: a name that cannot be used, or one name for two files.
    """
    models: dict[str, Path] = {}
    for source in sources:
        name, given, file = os.fspath(source).partition("=")
        path = Path(file if given else source)
        name = check_name(name if given else path.stem, "model name")
        if name in models:
            raise _taken(name)
        models[name] = path
    return models


def _taken(name: str) -> UsageError:
    return UsageError(
        ErrorCode.BAD_NAME, f"two models have the name '{name}'", fix="give one another name: other-name=file.lepton"
    )


def _one_row(predictor: Predictor) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    if isinstance(predictor.inputs, SeriesInputs):
        return {"series": np.full((1, predictor.inputs.length, predictor.inputs.width), np.nan)}
    if isinstance(predictor.inputs, TensorInputs):
        return predictor.inputs.example()
    if width := len(predictor.inputs.numbers):
        tensors["numbers"] = np.full((1, width), np.nan)
    if width := len(predictor.inputs.strings):
        tensors["strings"] = np.full((1, width), "", dtype=object)
    if not tensors:
        raise SchemaError(ErrorCode.WRONG_SHAPE, "the model takes no columns", wanted="at least one")
    return tensors


def _tensor_record(name: str, array: NDArray[Any]) -> TensorRecord:
    return TensorRecord(name, datatype_of(array), (-1, *array.shape[1:]))
