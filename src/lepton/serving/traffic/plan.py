"""Rules at work: what each name means among the models that are there now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lepton.core import ErrorCode, LeptonError, ServingError, UsageError, printable
from lepton.serving.model_store import ModelState, ModelStore, ServedModel
from lepton.serving.traffic.cache import Cache
from lepton.serving.traffic.columns import same_columns
from lepton.serving.traffic.combine import combine
from lepton.serving.traffic.rules import Rules, SplitRecord, Target
from lepton.serving.traffic.shadow import Shadow
from lepton.serving.traffic.split import Split

__all__ = ["Plan"]


class Plan:
    """What a traffic file says, with what has become of it.

    Args:
        rules: of the file.
        store: the models.
        before: the plan that held until now; what is the same in both goes on, with its counts and its roll-backs.

    Raises:
        UsageError: BAD_TRAFFIC, the rules name what is not there, or what does not fit together.
    """

    def __init__(self, rules: Rules, store: ModelStore, before: Plan | None = None) -> None:
        self.rules = rules
        self.names = rules.names
        self._store = store
        old = Rules() if before is None else before.rules
        same = {name for name, record in rules.splits.items() if record == old.splits.get(name)}
        kept = {name for name, record in rules.caches.items() if record == old.caches.get(name)}
        made = {name for name, record in rules.combinations.items() if record == old.combinations.get(name)}
        self.splits: dict[str, Split] = {
            name: before.splits[name] if before and name in same else Split(name, record)
            for name, record in rules.splits.items()
        }
        self.shadows: dict[str, Shadow] = {
            name: before.shadows[name] if before and name in same else Shadow()
            for name, record in rules.splits.items()
            if record.shadow is not None
        }
        self.caches: dict[str, Cache] = {
            name: before.caches[name] if before and name in kept else Cache(record)
            for name, record in rules.caches.items()
        }
        self.combined: Mapping[str, ServedModel] = {
            name: before.combined[name] for name in made if before and name in before.combined
        }
        self._check_names()
        self.combine()
        self._check()

    def resolved(self, target: Target) -> ServedModel:
        """The model that a target means now: aliases and combinations lead on, splits do not.

        Raises:
            ServingError: UNKNOWN_MODEL.
        """
        aliases = self.rules.aliases
        wanted = target.version
        while target.name in aliases:
            target = aliases[target.name]
        model = self.combined.get(target.name)
        if model is None:
            name, version = target.name, target.version or wanted
            model = self._store[name] if version is None else self._store.version(name, version)
        if wanted not in {None, model.version}:
            raise ServingError(
                ErrorCode.UNKNOWN_MODEL,
                f"'{target}' has no version '{printable(str(wanted), 40)}' now",
                wanted=f"version '{model.version}'",
                details={"model": target.name},
            )
        return model

    def combine(self) -> None:
        """Make the combinations whose parts have changed anew; callers see to it that one thread does."""
        for _ in self.rules.combinations:  # one of others is made after them, wherever it stands in the file
            if not self._combine_once():
                break

    def _combine_once(self) -> bool:
        made = False
        for name, record in self.rules.combinations.items():
            now = self.combined.get(name)
            try:
                parts = tuple(self.resolved(part) for part in record.parts)
            except LeptonError as error:
                # Not made yet, in the first round; else a part has gone.
                if now is not None and now.state is ModelState.FAILED and not now.parts:
                    continue
                served = ServedModel(name, Path(name), state=ModelState.FAILED, reason=str(error), error=error)
            else:
                if now is not None and now.parts == parts:
                    continue
                served = combine(name, record, parts, self._store.resources)
            self.combined = {**self.combined, name: served}
            made = True
        return made

    def _check_names(self) -> None:
        models = {model.name for model in self._store}
        for name, kind in self.names.items():
            if kind != "split" and name in models:
                raise _wrong(f"the {kind} '{name}' has the name of a model", "another name")

    def _check(self) -> None:
        rules = self.rules
        for name, target in rules.aliases.items():
            self._check_known(target, f"aliases.{name}")
        for name, record in rules.combinations.items():
            for part in record.parts:
                self._check_known(part, f"the parts of '{name}'")
            error = self.combined[name].error
            if error is not None:
                raise _wrong(f"'{name}' cannot be made: {error.came}", error.wanted)
        for name, split in rules.splits.items():
            self._check_split(name, split)
        for name in rules.caches:
            if name not in rules.splits:
                self._check_known(Target(name), "cache")

    def _check_split(self, name: str, split: SplitRecord) -> None:
        for target in split.targets:
            self._check_known(target, f"splits.{name}")
        found = [(target, self.resolved(target)) for target in split.shares]
        ready = [(target, model.described) for target, model in found if model.state is ModelState.READY]
        for target, predictor in ready[1:]:
            first, one = ready[0]
            if one.manifest.task != predictor.manifest.task or not same_columns(one.inputs, predictor.inputs):
                raise _wrong(
                    f"splits.{name}: '{first}' and '{target}' take other columns or answer another task",
                    "sides to which any caller may be sent; headers for callers who know the difference",
                )

    def _check_known(self, target: Target, where: str) -> None:
        try:
            self.resolved(target)
        except ServingError as error:
            raise _wrong(f"{where} names '{target}': {error.came}", error.wanted) from None


def _wrong(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_TRAFFIC, came, wanted=wanted, fix="see docs/how-to/split-traffic.md")
