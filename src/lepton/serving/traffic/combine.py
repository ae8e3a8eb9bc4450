"""Several bundles as one model: pipelines, whose parts feed the next by name, and ensembles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Manifest, OutputRecord, Predictor, TableInputs
from lepton.core import ColumnRecord, ErrorCode, Resources, ServingError, UsageError, printable
from lepton.serving.model_store import ServedModel
from lepton.serving.traffic.columns import Picker, Tensors
from lepton.serving.traffic.rules import CombinationRecord

__all__ = ["combine"]

_TYPES = {"numbers": "tensor(double)", "strings": "tensor(string)"}
_ENSEMBLE_TASKS = frozenset({"regression", "binary", "multiclass"})
Arrays = Mapping[str, NDArray[Any]]


def combine(name: str, record: CombinationRecord, parts: Sequence[ServedModel], resources: Resources) -> ServedModel:
    """One version of a combination, of these versions of its parts; it is checked by running a row.

    The result is ready, or failed and says why: a part that is not ready, or parts that do not fit together.
    """
    version = ".".join(part.version for part in parts)
    served = ServedModel(name, Path(name), version, parts=tuple(parts))
    try:
        for part in parts:
            if not isinstance(part.described.inputs, TableInputs):
                raise _unfit(f"'{part.name}' takes no table", "models that take rows of a table")
        make = _pipeline if record.by is None else _ensemble
        manifest, run = make(name, record, parts)
    except UsageError as error:
        served.fail(error)
        return served
    except ServingError as error:
        served.fail(ServingError(error.code, f"a part is not there: {error.came}"))
        return served
    model_id = sha256("\n".join((str(record.by), *(part.described.model_id for part in parts))).encode()).hexdigest()
    bundle: Any = _Members(Path(name), manifest, model_id)
    served.source = Predictor(bundle, _Session(manifest, run), resources)
    served.parameters = {"parts": ",".join(f"{part.name}@{part.version}" for part in parts)}
    served.open(resources)
    return served


@dataclass(frozen=True, slots=True)
class _Members:
    """What a `Bundle` tells, of a model that has no file."""

    path: Path
    manifest: Manifest
    model_id: str
    reports: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    names: tuple[str, ...] = ()


class _Session:
    """What a `Predictor` wants of a runtime's session."""

    def __init__(self, manifest: Manifest, run: Callable[[Tensors], Arrays]) -> None:
        inputs = TableInputs(manifest.inputs, manifest.codecs)
        self._inputs = [
            SimpleNamespace(name=name, type=_TYPES[name], shape=["N", len(columns)])
            for name, columns in (("numbers", inputs.numbers), ("strings", inputs.strings))
            if columns
        ]
        self._run = run

    def get_inputs(self) -> list[SimpleNamespace]:
        return self._inputs

    def run(self, names: Sequence[str], tensors: Tensors, options: Any = None) -> list[NDArray[Any]]:
        answers = self._run(tensors)
        return [answers[name] for name in names]


# --- pipelines ---------------------------------------------------------------------------------------------------


def _pipeline(
    name: str, _: CombinationRecord, parts: Sequence[ServedModel]
) -> tuple[Manifest, Callable[[Tensors], Arrays]]:
    given: set[str] = set()
    taken: list[tuple[str, ...]] = []
    for position, part in enumerate(parts):
        derived = tuple(column for column in part.described.inputs.names if column in given)
        if position and not derived:
            raise _unfit(
                f"'{part.name}' takes none of the columns that the parts before it give",
                "some of " + ", ".join(f"'{printable(each, 60)}'" for each in sorted(given)[:20]),
            )
        taken.append(derived)
        given |= set(_answer_names(part.described))
    inputs = _union(parts, taken)
    last = parts[-1].described.manifest
    steps = [
        _Step(part, inputs, derived, is_last=part is parts[-1]) for part, derived in zip(parts, taken, strict=True)
    ]

    def run(tensors: Tensors) -> Arrays:
        known: dict[str, pl.Series] = {}
        answers: Arrays = {}
        for step in steps:
            answers = step.run(tensors, known)
        return answers

    manifest = replace(last, name=name, inputs=inputs.columns, codecs=inputs.codecs, inner={}, members={})
    return manifest, run


class _Step:
    """One part of a pipeline."""

    def __init__(self, part: ServedModel, inputs: TableInputs, derived: Sequence[str], *, is_last: bool) -> None:
        own = part.described.inputs
        self._part = part
        self._is_last = is_last
        self._picker = Picker(inputs, own, derived)
        self._derived = tuple(derived)
        columns = [column for column in own.columns if column.name in derived]
        codecs = {each: codec for each, codec in own.codecs.items() if each in derived}
        self._packer = TableInputs(columns, codecs)
        # Which places of each tensor are filled by what the request has, and which by what parts gave.
        self._places = {
            tensor: [
                [place for place, column in enumerate(getattr(own, tensor)) if (column.name in derived) is given]
                for given in (False, True)
            ]
            for tensor in ("numbers", "strings")
        }

    def run(self, tensors: Tensors, known: dict[str, pl.Series]) -> Arrays:
        """The part's answers; its columns are added to `known`."""
        predictor = self._part.predictor
        answers = predictor.run(self._tensors(tensors, known))
        if not self._is_last:
            frame = predictor.answer_columns(answers)
            known.update((column.name, column) for column in frame.iter_columns())
            if (target := predictor.manifest.target) is not None and "prediction" in frame:
                known[target.name] = frame["prediction"].alias(target.name)
        return answers

    def _tensors(self, tensors: Tensors, known: Mapping[str, pl.Series]) -> Tensors:
        sent = self._picker.pick(tensors)
        if not self._derived:
            return sent
        made = self._packer.tensors(pl.DataFrame([known[name] for name in self._derived]))
        out: dict[str, NDArray[Any]] = {}
        for name, (from_request, from_parts) in self._places.items():
            if not from_parts:
                if from_request:
                    out[name] = sent[name]
                continue
            values = np.empty((len(made[name]), len(from_request) + len(from_parts)), made[name].dtype)
            values[:, from_parts] = made[name]
            if from_request:
                values[:, from_request] = sent[name]
            out[name] = values
        return out


def _answer_names(predictor: Predictor) -> list[str]:
    """Columns that a model's answers become: as `lepton predict` calls them, and its target's name."""
    empty = {
        output.name: np.empty(
            (0, *(size if isinstance(size, int) else 0 for size in output.shape[1:])),
            {"double": np.float64, "int64": np.int64}.get(output.dtype, object),
        )
        for output in predictor.manifest.outputs
    }
    names = predictor.answer_columns(empty).columns
    target = predictor.manifest.target
    return [*names, target.name] if target is not None and "prediction" in names else names


# --- ensembles ---------------------------------------------------------------------------------------------------


def _ensemble(
    name: str, record: CombinationRecord, parts: Sequence[ServedModel]
) -> tuple[Manifest, Callable[[Tensors], Arrays]]:
    predictors = [part.described for part in parts]
    first = predictors[0].manifest
    tasks = sorted({predictor.manifest.task for predictor in predictors})
    if len(tasks) > 1 or tasks[0] not in _ENSEMBLE_TASKS:
        raise _unfit("the parts are for " + ", ".join(tasks), "one task: " + ", ".join(sorted(_ENSEMBLE_TASKS)))
    if any(predictor.labels != predictors[0].labels for predictor in predictors):
        raise _unfit("the parts have different labels", "the same, in the same order")
    if record.by == "vote" and first.labels is None:
        raise _unfit("numbers cannot be voted on", "by: mean")
    inputs = _union(parts, [()] * len(parts))
    pickers = [Picker(inputs, predictor.inputs) for predictor in predictors]
    outputs = ["prediction"] if first.labels is None else ["prediction", "probabilities"]

    def run(tensors: Tensors) -> Arrays:
        answers = [
            part.predictor.run(picker.pick(tensors), outputs) for part, picker in zip(parts, pickers, strict=True)
        ]
        if first.labels is None:
            return {"prediction": np.mean([answer["prediction"] for answer in answers], axis=0)}
        labels = np.array(first.labels, dtype=np.int64 if isinstance(first.labels[0], int) else object)
        means = np.mean([answer["probabilities"] for answer in answers], axis=0)
        if record.by == "mean":
            return {"prediction": labels[means.argmax(axis=1)], "probabilities": means}
        votes = sum((answer["prediction"][:, None] == labels).astype(np.float64) for answer in answers)
        # Of labels with as many votes, the one with the highest mean probability.
        chosen = labels[(votes + means / 2).argmax(axis=1)]
        return {"prediction": chosen, "probabilities": votes / len(answers)}

    shapes = {output.name: output for output in first.outputs}
    records: tuple[OutputRecord, ...] = tuple(shapes[output] for output in outputs)
    manifest = replace(
        first, name=name, inputs=inputs.columns, outputs=records, codecs=inputs.codecs, lineage={}, inner={}, members={}
    )
    return manifest, run


def _union(parts: Sequence[ServedModel], without: Sequence[Sequence[str]]) -> TableInputs:
    """All columns of the parts, but for each those that others give, in their order."""
    columns: dict[str, ColumnRecord] = {}
    codecs: dict[str, str] = {}
    for part, left_out in zip(parts, without, strict=True):
        inputs = part.described.inputs
        for column in inputs.columns:
            if column.name not in left_out and column.name not in columns:
                columns[column.name] = column
                if column.name in inputs.codecs:
                    codecs[column.name] = inputs.codecs[column.name]
    return TableInputs(tuple(columns.values()), codecs)


def _unfit(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_TRAFFIC, came, wanted=wanted)
