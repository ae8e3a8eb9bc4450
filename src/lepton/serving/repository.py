"""Models that come, change and go while the server answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor
from lepton.core import DataError, ErrorCode, LeptonError, SecurityError, ServingError, printable
from lepton.serving.model_store import VERSION, ModelState, ModelStore, ServedModel
from lepton.serving.sources import Place, Sources, Stamp, stamp_of
from lepton.serving.trial import try_bundle

__all__ = ["Repository"]

_logger = logging.getLogger("lepton.serving")
_TRITON_STATES = {
    ModelState.READY: "READY",
    ModelState.LOADING: "LOADING",
    ModelState.FAILED: "UNAVAILABLE",
    ModelState.UNLOADED: "UNAVAILABLE",
}


class Repository:
    """Keeps a store as its sources are: one change after the other, in whatever thread asks for it.

    A new file is opened beside what answers and takes its place only when it has run a row; until then, and if it
    cannot be opened, the versions before it answer on.

    Args:
        sources: where models come from.
        store: where they answer from.
        trial: opens a file before the server does and gives its `model_id`; raises `LeptonError`.
        number: gives the number of a version from the name of its model and its `model_id`; without one, each new
            content of a name is the next.
    """

    def __init__(
        self,
        sources: Sources,
        store: ModelStore,
        trial: Callable[[Path], str] = try_bundle,
        number: Callable[[str, str], int] | None = None,
    ) -> None:
        self._sources = sources
        self._store = store
        self._trial = trial
        self._number = number or self._next_number
        self._changing = threading.Lock()  # guards all that follows
        self._held: dict[Place, _Held] = {}
        self._waiting: dict[Place, Stamp | None] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        self._unloaded: set[str] = set()
        for place, source in sources.look().items():
            model = ServedModel(place.name, source, str(place.number or VERSION))
            self._held[place] = _Held(_stamp(source), ready=model)
            store.change(place.name, come=[model])

    def open_all(self) -> None:
        """Open what there is at first, in this process: who starts a server sees what becomes of it."""
        with self._changing:
            self._store.open_all()
            for place, held in self._held.items():
                model = held.ready
                if model is None or model.state is not ModelState.READY:
                    self._held[place] = _Held(held.stamp, failed=model)
                elif place.number is None:
                    self._give_number(model)
                    self._store.change(place.name)

    def refresh(self) -> None:
        """Take up files that are new or changed, once two looks found them the same, and let go of those gone."""
        with self._changing:
            looked = self._sources.look()
            for place in [place for place in self._held if place not in looked]:
                held = self._held.pop(place)
                self._store.change(place.name, gone=held.models)
            for place, source in looked.items():
                stamp = _stamp(source)
                held = self._held.get(place, _NOTHING)
                if place.name in self._unloaded or (held is not _NOTHING and held.stamp == stamp):
                    self._waiting.pop(place, None)
                elif place in self._waiting and self._waiting[place] == stamp:
                    del self._waiting[place]
                    self._take_up(place, source, stamp)
                else:  # it may still be on its way here
                    self._waiting[place] = stamp

    def watch(self, stopping: threading.Event, seconds: float, then: Callable[[], None] | None = None) -> None:
        """Refresh every so many seconds, and do `then`, until `stopping` is set."""
        while not stopping.wait(seconds):
            try:
                self.refresh()
                if then is not None:
                    then()
            except Exception:
                _logger.exception("the models could not be looked at")

    def load(self, name: str) -> None:
        """Open a model, or take up what is new of it; returns when it answers.

        Raises:
            ServingError: UNKNOWN_MODEL, there is no file for it.
            LeptonError: why it cannot be opened.
        """
        with self._changing:
            places = {place: source for place, source in self._sources.look().items() if place.name == name}
            if not places:
                raise ServingError(
                    ErrorCode.UNKNOWN_MODEL,
                    f"there is no file for a model '{printable(name)}'",
                    wanted="a model that the server was started with, or of a folder that it was started with",
                )
            self._unloaded.discard(name)
            for place, source in places.items():
                stamp = _stamp(source)
                held = self._held.get(place, _NOTHING)
                if held.ready is None or held.stamp != stamp:
                    self._take_up(place, source, stamp)
            failed = [model for place in places if (model := self._held[place].failed) is not None]
            if failed and failed[-1].error is not None:
                raise failed[-1].error

    def unload(self, name: str) -> None:
        """Let go of every version of a model, until it is loaded again.

        Raises:
            ServingError: UNKNOWN_MODEL.
        """
        with self._changing:
            last = self._store[name]
            gone = ServedModel(name, last.source, last.version, ModelState.UNLOADED, "it was unloaded")
            self._unloaded.add(name)
            for place in [place for place in self._held if place.name == name]:
                del self._held[place]
            self._store.change(name, gone=self._store.versions(name), come=[gone])

    def recheck(self) -> None:
        """Take down what must not be served any more: its verification has ended, or the trust in who made it."""
        check = self._store.check
        if check is None:
            return
        with self._changing:
            for place, held in list(self._held.items()):
                if held.ready is None:
                    continue
                try:
                    check(held.ready.described.bundle)
                except LeptonError as error:
                    held.ready.fail(error)
                    self._held[place] = _Held(held.stamp, failed=held.ready)
                    self._store.change(place.name, gone=[] if held.failed is None else [held.failed])

    def index(self) -> list[dict[str, Any]]:
        """Name, version, state and reason of everything, as the protocol's extension shows them."""
        return [
            {"name": each.name, "version": each.version, "state": _TRITON_STATES[each.state], "reason": each.reason}
            for model in self._store
            for each in self._store.versions(model.name)
        ]

    def _take_up(self, place: Place, source: Path | Predictor, stamp: Stamp | None) -> None:
        held = self._held.get(place, _NOTHING)
        model = self._opened(place, source)
        gone = [each for each in self._store.versions(place.name) if each.state is ModelState.UNLOADED]
        gone += [held.failed] if held.failed is not None else []
        if model.state is not ModelState.READY:
            ready = held.ready
            if ready is not None and _refused_now(model, ready):  # not an older version that is still good: this one
                gone, ready = [*gone, ready], None
            self._held[place] = _Held(stamp, ready, model)
        elif held.ready is not None and self._store.check is None and _is_same(held.ready, model):
            self._held[place] = _Held(stamp, held.ready)  # a report was added, or the file was copied again
            self._store.change(place.name, gone=gone)
            return
        else:
            self._held[place] = _Held(stamp, model)
            gone += [held.ready] if held.ready is not None else []
            _logger.info("the model '%s' answers with version %s", model.name, model.version)
        self._store.change(place.name, gone=gone, come=[model])

    def _opened(self, place: Place, source: Path | Predictor) -> ServedModel:
        """A model that is ready or failed, under the number of its version."""
        next_number = len(self._numbers.get(place.name, ())) + 1
        model = ServedModel(place.name, source, str(place.number or next_number))
        try:
            tried = None if isinstance(source, Predictor) else self._trial(source)
        except LeptonError as error:
            model.fail(error)
            return model
        model.open(self._store.resources, self._store.residency, self._store.check)
        if model.state is not ModelState.READY:
            return model
        model_id = model.described.model_id
        if tried is not None and tried != model_id:
            model.fail(DataError(ErrorCode.CHANGED_WHILE_READ, "the file changed while it was opened"))
        elif place.number is None:
            self._give_number(model)
        return model

    def _give_number(self, model: ServedModel) -> None:
        model_id = model.described.model_id
        number = self._number(model.name, model_id)
        self._numbers.setdefault(model.name, {})[model_id] = number
        model.version = str(number)

    def _next_number(self, name: str, model_id: str) -> int:
        numbers = self._numbers.setdefault(name, {})
        return numbers.get(model_id, len(numbers) + 1)


@dataclass(frozen=True, slots=True)
class _Held:
    """What a place gave: the stamp of its last content, the model that answers, the one that cannot be opened."""

    stamp: Stamp | None = None
    ready: ServedModel | None = None
    failed: ServedModel | None = None

    @property
    def models(self) -> tuple[ServedModel, ...]:
        return tuple(model for model in (self.ready, self.failed) if model is not None)


_NOTHING = _Held()


def _is_same(first: ServedModel, second: ServedModel) -> bool:
    return first.described.model_id == second.described.model_id


def _refused_now(failed: ServedModel, ready: ServedModel) -> bool:
    """Whether what must not be served is the very model that answers: its file tells now that it must not."""
    error = failed.error
    return isinstance(error, SecurityError) and error.details.get("model_id") == ready.described.model_id


def _stamp(source: Path | Predictor) -> Stamp | None:
    return None if isinstance(source, Predictor) else stamp_of(source)
