"""LightGBM's boosters and text models: trees by our own writer, equal to LightGBM's sums to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, MissingExtraError, TrainingError, check_label
from lepton.core.imports import lean_import
from lepton.store import open_read
from lepton.training.importers.base import (
    Asked,
    FileHead,
    Imported,
    Importer,
    Labels,
    cannot_hold,
    damaged_is_unreadable,
    unreadable,
)
from lepton.training.importers.coded import Coded, sampled
from lepton.training.importers.forests import Link, check_forest, link_of, tree_answers, tree_graph, tree_labels
from lepton.training.importers.native import call_apart, packed_array, unpacked_array
from lepton.training.learners.lightgbm_forest import forest_from_text

__all__ = ["LightGBMImporter", "predict_text"]

_LINKS = {
    "binary": Link("binary", "sigmoid"),
    "cross_entropy": Link("regression", "sigmoid"),
    "multiclass": Link("multiclass"),
    "multiclassova": Link("multiclass", "each"),
    "lambdarank": Link("ranking"),
    "rank_xendcg": Link("ranking"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), Link("regression", "exp")),
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), Link("regression")),
}
_SHARED = "the shares of one class against all others are divided by their sum, so that they are probabilities"
_TOLERANCE = 1e-9  # of answers: the sums are equal, the sigmoid of C++ and that of onnxruntime differ in the last bits


class LightGBMImporter(Importer):
    """`Booster`, `LGBMClassifier`, `LGBMRegressor`, `LGBMRanker`, and files of `Booster.save_model`."""

    name: ClassVar[str] = "lightgbm"
    packages = ("lightgbm",)

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """LightGBM's text model begins so."""
        return head.start.startswith((b"tree\n", b"tree\r\n"))

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        lightgbm = _lightgbm()
        text, classes = _text(asked)
        with damaged_is_unreadable(asked.path, "a text model of LightGBM"):
            _check_whole(text, asked.path)
            facts = _facts(text)
            link = _link(facts)
            forest = forest_from_text(text)
            features = _features(facts, text)
            check_forest(forest, len(features))
        labels, boolean = tree_labels(asked.labels, classes, link, forest.num_targets)
        if "average_output" in facts:  # of boosting 'rf'
            link = Link(link.task, link.form, link.factor * forest.num_targets / forest.num_trees)
        graph, outputs, inner, inputs = tree_graph(features, forest, link, labels)
        sample, matrix = sampled(asked, features, forest)
        answers = _answers(_said(asked, text, matrix), link, labels)
        return Imported(
            framework=self.name,
            version=lightgbm.__version__,
            task=link.task,
            inputs=inputs.columns,
            outputs=outputs,
            labels=labels,
            graph=graph,
            tensors=sample.tensors,
            answers=answers,
            sample_made=sample.made,
            tolerance=_TOLERANCE,
            boolean=boolean,
            inner=inner,
            training={"kind": b"lightgbm", "lightgbm.txt": text.partition("\nparameters:")[0].encode() + b"\n"},
            notes=(_SHARED,) if link.form == "each" else (),
        )


def _lightgbm() -> Any:
    try:
        with lean_import("lightgbm"):
            import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "train", "Importing a model of LightGBM") from None
    return lightgbm


def _text(asked: Asked) -> tuple[str, Any]:
    """The text model, and the classes of a wrapper."""
    if asked.path is not None:
        with open_read(asked.path) as file:
            data = file.read()
        try:
            return data.decode("utf-8").replace("\r\n", "\n"), None
        except UnicodeDecodeError:
            raise unreadable(asked.path, "is no text in UTF-8", wanted="what Booster.save_model writes") from None
    model = asked.model
    booster = model if hasattr(model, "model_to_string") else getattr(model, "_Booster", None)
    if booster is None:
        raise TrainingError(ErrorCode.NOT_FITTED, f"the {type(model).__name__} is not fitted", fix="fit it first")
    return booster.model_to_string(), getattr(model, "classes_", None)


def _facts(text: str) -> dict[str, str]:
    """The lines at the head of a text model."""
    head = text.partition("\nTree=")[0].partition("\ntree_sizes=")[0]
    return dict(line.partition("=")[::2] for line in head.splitlines())


def _check_whole(text: str, path: Path | None) -> None:
    if "end of trees" not in text or "\nTree=" not in text:
        raise unreadable(path, "is a text model of LightGBM that is cut short, or has no trees", wanted="a whole file")


def predict_text(parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What LightGBM says of a matrix by a text model; in a confined process, where the model is of a file."""
    lightgbm = _lightgbm()
    try:
        booster = lightgbm.Booster(model_str=parts["text"].decode())
    except lightgbm.basic.LightGBMError as error:
        raise unreadable(None, f"is refused by LightGBM: {str(error)[:200]}") from None
    found = booster.predict(unpacked_array(parts["matrix"]), num_threads=1)
    return {}, {"answers": packed_array(np.asarray(found))}


def _said(asked: Asked, text: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = {"text": text.encode(), "matrix": packed_array(matrix)}
    if asked.path is None:
        return unpacked_array(predict_text(parts)[1]["answers"])
    _, found = call_apart(f"{__name__}:predict_text", {}, parts, asked.path, asked.work)
    try:
        return unpacked_array(found["answers"])
    except (KeyError, ValueError):
        raise unreadable(asked.path, "gave no answers") from None


def _link(facts: Mapping[str, str]) -> Link:
    objective, *options = facts.get("objective", "regression").split() or ["regression"]
    link = link_of(objective, _LINKS)
    told = dict(option.partition(":")[::2] for option in options)
    if "sqrt" in options:
        return Link(link.task, "square")
    return Link(link.task, link.form, float(told.get("sigmoid", 1.0)) if link.form in {"sigmoid", "each"} else 1.0)


def _features(facts: Mapping[str, str], text: str) -> list[Coded]:
    """Columns, with the values of those that were pandas categories when LightGBM learned."""
    names = [check_label(name, "column") for name in facts["feature_names"].split()]
    infos = facts["feature_infos"].split()
    _, found, last = text.rpartition("\npandas_categorical:")
    categories = json.loads(last.splitlines()[0]) if found else None
    if not categories:
        return [Coded(name) for name in names]
    # A column that was split by categories shows its codes as 1:0:2, a number its range as [low:high].
    coded = [place for place, info in enumerate(infos) if not info.startswith("[") and info != "none"]
    if len(coded) != len(categories):
        raise cannot_hold(
            f"the model has {len(categories)} columns of categories, of which it uses {len(coded)}: "
            "which they are is not in its file",
            "leave columns of one value out of the training",
        )
    values = dict(zip(coded, categories, strict=True))
    return [Coded(name, _values(values[place]) if place in values else None) for place, name in enumerate(names)]


def _values(categories: list[Any]) -> tuple[str, ...] | tuple[float, ...]:
    if all(isinstance(value, str) for value in categories):
        return tuple(categories)
    if all(isinstance(value, int | float) for value in categories):
        return tuple(map(float, categories))
    raise cannot_hold(f"a column has the categories {categories[:5]!r}", "texts or numbers, not both")


def _answers(found: NDArray[np.float64], link: Link, labels: Labels) -> dict[str, NDArray[Any]]:
    if link.form == "each":
        found = found / found.sum(axis=1, keepdims=True)
    return tree_answers(found, link, labels)
