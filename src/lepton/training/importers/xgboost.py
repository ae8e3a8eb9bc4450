"""XGBoost's boosters, wrappers and files: trees by our own writer, summed in double where XGBoost sums in single."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
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
from lepton.training.learners.xgboost_forest import forest_of
from lepton.training.trees import Forest

__all__ = ["XGBoostImporter", "predict_json", "to_json"]

_LINKS = {
    "binary:logistic": Link("binary", "sigmoid"),
    "reg:logistic": Link("regression", "sigmoid"),
    "multi:softprob": Link("multiclass"),
    "multi:softmax": Link("multiclass"),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), Link("regression", "exp")),
    **dict.fromkeys(("rank:ndcg", "rank:map", "rank:pairwise"), Link("ranking")),
    **dict.fromkeys(
        ("reg:squarederror", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror"), Link("regression")
    ),
}
_MOST_FEATURES = 100_000
_TOLERANCE = 2e-6  # XGBoost adds its leaves and takes the sigmoid in single precision


class XGBoostImporter(Importer):
    """`Booster`, `XGBClassifier`, `XGBRegressor`, `XGBRanker`, and files in JSON or UBJSON."""

    name: ClassVar[str] = "xgboost"
    packages = ("xgboost",)

    @classmethod
    def recognises(cls, head: FileHead) -> bool:
        """An object with the key `learner`, in JSON or UBJSON."""
        return head.start[:1] == b"{" and b"learner" in head.start[:200]

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        xgboost = _xgboost()
        data, classes, rounds = _json(xgboost, asked)
        with damaged_is_unreadable(asked.path, "a model of XGBoost"):
            learner = json.loads(data)["learner"]
            link = _link(learner)
            features = _features(learner)
            forest, offsets = _forest(learner, link, rounds)
            check_forest(forest, len(features))
        labels, boolean = tree_labels(asked.labels, classes, link, forest.num_targets)
        graph, outputs, inner, inputs = tree_graph(features, forest, link, labels, offsets=offsets, single=True)
        sample, matrix = sampled(asked, features, forest)
        margin, found, kept = _said(asked, data, matrix, rounds)
        return Imported(
            framework=self.name,
            version=xgboost.__version__,
            task=link.task,
            inputs=inputs.columns,
            outputs=outputs,
            labels=labels,
            graph=graph,
            tensors=sample.tensors,
            answers=_answers(margin, found, link, labels),
            sample_made=sample.made,
            tolerance=_TOLERANCE,
            boolean=boolean,
            inner=inner,
            training={"kind": b"xgboost", "xgboost.ubj": kept},
            notes=("a category that the training had not seen is missing; XGBoost refuses the row",)
            if any(feature.values for feature in features)
            else (),
        )


def _xgboost() -> Any:
    try:
        with lean_import("xgboost"):
            import xgboost
    except ImportError:
        raise MissingExtraError("xgboost-cpu", "train", "Importing a model of XGBoost") from None
    return xgboost


def _json(xgboost: Any, asked: Asked) -> tuple[bytes, Any, int]:
    """The model in JSON, the classes of a wrapper, and how many rounds are used (0: all)."""
    if asked.path is not None:
        with open_read(asked.path) as file:
            data = file.read()
        if data[1:2] in {b"L", b"i", b"U"}:  # UBJSON, which XGBoost itself turns into JSON
            _, found = call_apart(f"{__name__}:to_json", {}, {"model": data}, asked.path, asked.work)
            data = found.get("json", b"")
        return data, None, 0
    model = asked.model
    if isinstance(model, xgboost.Booster):
        return bytes(model.save_raw("json")), None, 0
    if not model.__sklearn_is_fitted__():
        raise TrainingError(ErrorCode.NOT_FITTED, f"the {type(model).__name__} is not fitted", fix="fit it first")
    booster = model.get_booster()
    best = getattr(model, "best_iteration", None) if booster.attr("best_iteration") else None
    return bytes(booster.save_raw("json")), getattr(model, "classes_", None), 0 if best is None else int(best) + 1


def to_json(parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A model in UBJSON as JSON."""
    return {}, {"json": bytes(_booster(_xgboost(), parts["model"]).save_raw("json"))}


def predict_json(rounds: int, parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What XGBoost says of a matrix by a model in JSON: sums and answers; and the model in UBJSON."""
    xgboost = _xgboost()
    booster = _booster(xgboost, parts["model"])
    types = booster.feature_types
    data = xgboost.DMatrix(
        unpacked_array(parts["matrix"]).astype(np.float32),
        nthread=1,
        feature_names=booster.feature_names,
        feature_types=types,
        enable_categorical=types is not None and "c" in types,
    )
    told = {
        name: packed_array(booster.predict(data, output_margin=margin, iteration_range=(0, rounds)))
        for name, margin in (("margin", True), ("answers", False))
    }
    return {}, {**told, "ubj": bytes(booster.save_raw("ubj"))}


def _booster(xgboost: Any, data: bytes) -> Any:
    try:
        return xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
    except xgboost.core.XGBoostError as error:
        why = str(error).strip().splitlines()[0][:200]
        raise unreadable(None, f"is refused by XGBoost: {why}") from None


def _said(
    asked: Asked, data: bytes, matrix: NDArray[np.float64], rounds: int
) -> tuple[NDArray[Any], NDArray[Any], bytes]:
    """Sums, answers, and the model in UBJSON."""
    parts = {"model": data, "matrix": packed_array(matrix)}
    if asked.path is None:
        _, found = predict_json(rounds, parts)
    else:
        _, found = call_apart(f"{__name__}:predict_json", {"rounds": rounds}, parts, asked.path, asked.work)
    try:
        return unpacked_array(found["margin"]), unpacked_array(found["answers"]), found["ubj"]
    except (KeyError, ValueError):
        raise unreadable(asked.path, "gave no answers") from None


def _link(learner: Mapping[str, Any]) -> Link:
    objective = learner["objective"]["name"]
    link = link_of(objective, _LINKS)
    booster = learner["gradient_booster"]["name"]
    if booster not in {"gbtree", "dart"}:
        raise cannot_hold(f"the booster of the model is {booster!r}", "gbtree and dart can be imported")
    return link


def _features(learner: Mapping[str, Any]) -> list[Coded]:
    """Columns, with the values of those that came as categories."""
    number = int(learner["learner_model_param"]["num_feature"])
    if not 0 < number <= _MOST_FEATURES:
        raise ValueError(f"{number} features")
    names = learner.get("feature_names") or [f"f{place}" for place in range(number)]
    types = learner.get("feature_types") or ["float"] * number
    known = learner["gradient_booster"].get("model", learner["gradient_booster"].get("gbtree", {}).get("model", {}))
    encoded = known.get("cats", {}).get("enc", [])
    features = []
    for place, (name, kind) in enumerate(zip(names, types, strict=True)):
        values = _values(encoded[place]) if kind == "c" and place < len(encoded) else None
        features.append(Coded(check_label(name, "column"), values))
    return features


def _values(encoded: Mapping[str, Any]) -> tuple[str, ...] | tuple[float, ...] | None:
    """Categories as XGBoost keeps them: texts as bytes with offsets, numbers as they are."""
    values, offsets = encoded.get("values", []), encoded.get("offsets")
    if offsets:
        data = bytes(value % 256 for value in values)
        if not data.isascii():
            raise cannot_hold(
                "a column has categories beyond ASCII, whose ends XGBoost does not keep in its models",
                "give them names in ASCII, or train with lepton.train",
            )
        return tuple(data[start:end].decode("utf-8") for start, end in pairwise(offsets))
    return tuple(map(float, values)) or None


def _forest(learner: Mapping[str, Any], link: Link, rounds: int) -> tuple[Forest, NDArray[np.float64]]:
    """The trees of the rounds in use, and what is added to each sum."""
    booster = learner["gradient_booster"]
    weights: Sequence[float] | None = booster.get("weight_drop")
    model = booster["gbtree"]["model"] if "gbtree" in booster else booster["model"]
    trees, info = model["trees"], model["tree_info"]
    if rounds:
        last = model["iteration_indptr"][rounds]
        trees, info = trees[:last], info[:last]
    if not trees:
        raise cannot_hold("the model has no trees", "import a model that was fitted")
    if any(int(tree["tree_param"].get("size_leaf_vector", "1")) > 1 for tree in trees):
        raise cannot_hold("the leaves of the model hold vectors (multi_output_tree)", "fit it with one_output_per_tree")
    param = learner["learner_model_param"]
    if link.task in {"regression", "binary", "ranking"} and int(param.get("num_target", 1)) > 1:
        raise cannot_hold(f"the model has {param['num_target']} targets", "import a model for each of them")
    num_targets = int(param["num_class"]) if link.task == "multiclass" else 1
    forest = forest_of(trees, int(param["num_feature"]), num_targets)
    sizes = [sum(child < 0 for child in tree["left_children"]) for tree in trees]
    values = forest.leaf_values
    if weights is not None:
        values = values * np.repeat(np.array(weights[: len(trees)], dtype=np.float32).astype(np.float64), sizes)
    forest = replace(forest, leaf_targets=np.repeat(np.array(info, dtype=np.int64), sizes), leaf_values=values)
    return _with_sets(forest, trees), _offsets(param["base_score"], link, num_targets)


def _with_sets(forest: Forest, trees: Sequence[Mapping[str, Any]]) -> Forest:
    """The forest with the nodes that test categories: members of a set go right, anything else goes left."""
    is_set, sets = [], []
    for tree in trees:
        left = np.array(tree["left_children"])
        own = dict(zip(tree["categories_nodes"], _sets_of(tree), strict=True)) if tree.get("categories_nodes") else {}
        inner = np.flatnonzero(left >= 0)
        is_set += [node in own for node in inner] or [False]
        sets += [own.get(node, ()) for node in inner] or [()]
    flags = np.array(is_set)
    if not flags.any():
        return forest
    return replace(
        forest,
        is_set=flags,
        members=np.array([member for members in sets for member in members], dtype=np.int64),
        set_sizes=np.array([len(members) for members in sets], dtype=np.int64),
        missing_left=np.where(flags, ~forest.missing_left, forest.missing_left),
        left=np.where(flags, forest.right, forest.left),
        right=np.where(flags, forest.left, forest.right),
        thresholds=np.where(flags, 0.0, forest.thresholds),
    )


def _sets_of(tree: Mapping[str, Any]) -> list[list[int]]:
    pairs = zip(tree["categories_segments"], tree["categories_sizes"], strict=True)
    return [tree["categories"][start : start + size] for start, size in pairs]


def _offsets(base: str, link: Link, num_targets: int) -> NDArray[np.float64]:
    """The scores that trees start from, of what the model holds in the units of its answers."""
    found = [float(np.float32(part)) for part in str(base).strip("[]").split(",")]
    scores = np.array(found if len(found) == num_targets else found * num_targets)
    if link.form == "sigmoid":
        return np.array([math.log(score / (1.0 - score)) for score in scores])
    return np.log(scores) if link.form == "exp" else scores


def _answers(margin: NDArray[Any], found: NDArray[Any], link: Link, labels: Labels) -> dict[str, NDArray[Any]]:
    if link.task == "multiclass":
        powers = np.exp(margin.astype(np.float64) - margin.max(axis=1, keepdims=True))
        return {"probabilities": powers / powers.sum(axis=1, keepdims=True)}
    return tree_answers(found, link, labels)
