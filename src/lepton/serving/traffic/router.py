"""From the name in a request to the model that answers it, as the traffic file says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lepton.core import LeptonError, SchemaError, printable
from lepton.serving.model_store import ModelState, ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.sources import Stamp, stamp_of
from lepton.serving.traffic.plan import Plan
from lepton.serving.traffic.rules import Rules, Target, read_rules
from lepton.serving.traffic.shadow import Shadows
from lepton.serving.traffic.split import Split

__all__ = ["Traffic"]

_logger = logging.getLogger("lepton.serving")


@dataclass(slots=True)
class _Routed:
    """Where a request was sent. It does not change, and stays with the request, so that nothing changes under it."""

    model: ServedModel
    split: Split | None = None
    target: Target | None = None


class Traffic:
    """Applies the rules of a traffic file to requests. Its methods may be called from several threads.

    Args:
        store: the models that the rules name.
        path: of the file, YAML or JSON.
    """

    def __init__(self, store: ModelStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._changing = threading.Lock()  # guards changes of the plan
        self._plan = Plan(Rules(), store)
        self._shadows = Shadows()
        self._stamp: Stamp | None = None
        self._waiting: Stamp | None = None
        self._problem: str | None = None
        self.started = False
        """Whether the rules hold already."""
        self.tell: Callable[[dict[str, str]], None] = lambda _: None
        """Called in any thread with a roll-back that was decided here, for other processes of the server to follow."""

    def start(self) -> None:
        """Read the file, when the models are open.

        Raises:
            DataError: it cannot be read.
            UsageError: BAD_TRAFFIC, what is wrong with it.
        """
        with self._changing:
            self._stamp = stamp_of(self._path)
            self._plan = Plan(read_rules(self._path), self._store, self._plan)
        self._store.listeners.append(self._changed)
        self.started = True

    def refresh(self) -> None:
        """Take up the file if it has changed, once two looks found it the same: it may be written still.

        One that is wrong changes nothing, and it is said why.
        """
        stamp = stamp_of(self._path)
        waited, self._waiting = self._waiting, stamp
        if stamp == self._stamp or stamp != waited:
            return
        with self._changing:
            self._stamp = stamp
            try:
                self._plan = Plan(read_rules(self._path), self._store, self._plan)
            except LeptonError as error:
                self._problem = printable(str(error), 1000)
                _logger.error("the traffic file is not taken up, the rules before it hold: %s", self._problem)
            else:
                self._problem = None
                _logger.info("the traffic file has changed and is taken up")

    def close(self) -> None:
        """Run no shadows any more."""
        self._shadows.close()

    def _changed(self, _: str) -> None:
        """A model has come, changed or gone: what is combined of it is made anew."""
        with self._changing:
            self._plan.combine()

    # Requests

    def served(self, name: str, version: str | None, request: Request) -> ServedModel:
        """The model that answers a request; always the same for one request, whatever changes meanwhile.

        Raises:
            ServingError: UNKNOWN_MODEL.
        """
        routed: _Routed | None = request.routed
        if routed is not None:
            return routed.model
        if name not in self._plan.names:  # most names, and nothing is to be kept of it
            return self._store[name] if version is None else self._store.version(name, version)
        routed = request.routed = self._route(name, version, request)
        return routed.model

    def shown(self, name: str, version: str | None) -> ServedModel:
        """The model that metadata of a name is about: of a split, its first side."""
        plan = self._plan
        split = None if version is not None else plan.splits.get(name)
        return plan.resolved(Target(name, version) if split is None else next(iter(split.record.shares)))

    def prepared(self, call: Call, name: str, request: Request) -> Call | Response:
        """What is to be run for a call, or the response where the answers are kept already."""
        plan = self._plan
        cache = plan.caches.get(name)
        if cache is not None:
            key, respond = cache.key(call), call.respond
            kept = cache.get(key)
            if kept is not None:
                return respond(kept)

            def keep(answers: Answers) -> Response:
                cache.put(key, answers)
                return respond(answers)

            call.respond = keep
        routed = request.routed
        if routed is None or routed.split is None:
            return call
        watched = _Watched(
            call.model, call.tensors, call.outputs, call.respond, call.timeout, traffic=self, request=request
        )
        watched.respond = partial(watched.answered, call.respond)
        return watched

    def observe(self, call: Call, request: Request, answers: Answers | None, seconds: float) -> None:
        """Take note of how a call of a split went; no answers are a failure."""
        routed: _Routed = request.routed
        if routed.split is None or routed.target is None:
            return
        split = routed.split
        if split.count(routed.target, seconds, failed=answers is None):
            self.tell(_roll_back_of(split, routed.target))
        found, record = self._plan.shadows.get(split.name), split.record.shadow
        if answers is None or record is None or found is None or not split.is_shadowed(request):
            return
        try:
            model = self._plan.resolved(record.to)
        except LeptonError as error:
            found.fail(printable(str(error), 500))
            return
        self._shadows.offer(found, call.model, model, call.tensors, answers, seconds)

    def alarm(self, name: str, version: str, reason: str) -> None:
        """Drift was found with a model: sides whose bounds say `drift: true` get no more requests."""
        for split in self._plan.splits.values():
            for target, bounds in split.record.bounds.items():
                means = bounds.drift and self._means(target, name, version)
                if means and split.roll_back(target, f"drift: {reason}"):
                    self.tell(_roll_back_of(split, target))

    def follow(self, told: dict[str, str]) -> None:
        """Do what another process of the server has decided, where the file says the same here."""
        split = self._plan.splits.get(told["split"])
        if split is None or split.digest != told["rules"]:
            return
        for target in split.record.shares:
            if str(target) == told["side"]:
                split.roll_back(target, told["reason"])

    def roll_backs(self) -> list[dict[str, str]]:
        """What was decided and still holds, for processes that come later."""
        splits = self._plan.splits.values()
        return [_roll_back_of(split, target) for split in splits for target in tuple(split.rolled_back)]

    def _means(self, target: Target, name: str, version: str) -> bool:
        try:
            model = self._plan.resolved(target)
        except LeptonError:
            return False
        return (model.name, model.version) == (name, version)

    def _route(self, name: str, version: str | None, request: Request) -> _Routed:
        plan = self._plan
        split = plan.splits.get(name) if version is None else None
        if split is None:
            return _Routed(plan.resolved(Target(name, version)))
        gone: list[Target] = []
        while (target := split.choose(request, gone)) is not None:
            try:
                model = plan.resolved(target)
            except LeptonError:
                gone.append(target)
                continue
            if model.state is ModelState.READY:
                return _Routed(model, split, target)
            gone.append(target)
        return _Routed(plan.resolved(next(iter(split.record.shares))))  # which says why it does not answer

    # What is told

    @property
    def names(self) -> dict[str, str]:
        """Every name that the file makes, and what it is: alias, split, pipeline or ensemble."""
        return self._plan.names

    @property
    def combined(self) -> tuple[ServedModel, ...]:
        """The pipelines and ensembles, each of the present versions of its parts."""
        return tuple(self._plan.combined.values())

    @property
    def rolled_back(self) -> dict[str, dict[str, str]]:
        """Split → side → why it gets no requests."""
        found = {
            name: {str(target): told.reason for target, told in split.rolled_back.items()}
            for name, split in self._plan.splits.items()
        }
        return {name: sides for name, sides in found.items() if sides}

    def report(self) -> dict[str, Any]:
        """Every rule, and what it has done."""
        plan = self._plan
        return {
            "aliases": {name: str(target) for name, target in plan.rules.aliases.items()},
            "splits": {name: _split_report(plan, name) for name in plan.splits},
            "combinations": {name: _combination_report(plan, name) for name in plan.rules.combinations},
            "caches": {name: cache.report() for name, cache in plan.caches.items()},
            "problem": self._problem,
        }

    def report_of(self, name: str) -> dict[str, Any]:
        """What concerns one name, for its metadata; nothing of a name that stands in no rule."""
        plan = self._plan
        out: dict[str, Any] = {}
        if name in plan.rules.aliases:
            out["alias_of"] = str(plan.rules.aliases[name])
        if name in plan.splits:
            out["split"] = _split_report(plan, name)
        if name in plan.rules.combinations:
            out["combination"] = _combination_report(plan, name)
        if name in plan.caches:
            out["cache"] = plan.caches[name].report()
        return out


def _roll_back_of(split: Split, target: Target) -> dict[str, str]:
    reason = split.rolled_back[target].reason
    return {"split": split.name, "rules": split.digest, "side": str(target), "reason": reason}


def _split_report(plan: Plan, name: str) -> dict[str, Any]:
    out = plan.splits[name].report()
    shadow = plan.splits[name].record.shadow
    if shadow is not None:
        out["shadow"] = {"to": str(shadow.to), "share": shadow.share, **plan.shadows[name].report()}
    return out


def _combination_report(plan: Plan, name: str) -> dict[str, Any]:
    record, model = plan.rules.combinations[name], plan.combined[name]
    out: dict[str, Any] = {
        "parts": [str(part) for part in record.parts],
        "by": record.by or "pipeline",
        "state": str(model.state),
        "answers_with": model.parameters.get("parts"),
    }
    return out if model.state is ModelState.READY else {**out, "reason": model.reason}


@dataclass(slots=True, kw_only=True)
class _Watched(Call):
    """A call of a side of a split: how long it takes, and whether it fails, is counted."""

    traffic: Traffic
    request: Request
    started: float = field(default_factory=time.perf_counter)

    def run(self, options: Any = None) -> Response:
        """Run the model; what fails for another reason than the caller's own counts against the side."""
        try:
            return Call.run(self, options)
        except SchemaError:
            raise
        except Exception:
            # A run that was ended by its caller's timeout says nothing of the model.
            if self.timeout is None or options is None or not options.terminate:
                self.traffic.observe(self, self.request, None, time.perf_counter() - self.started)
            raise

    def answered(self, respond: Callable[[Answers], Response], answers: Answers) -> Response:
        """The response, which is made as if nobody watched."""
        response = respond(answers)
        self.traffic.observe(self, self.request, answers, time.perf_counter() - self.started)
        return response
