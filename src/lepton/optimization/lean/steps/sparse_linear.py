"""Linear models of texts with fewer n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.edits import add_node, fresh, makers, serialized
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.optimization.lean.lessons import bare_lesson, has_no_lesson
from lepton.optimization.lean.refitting import Sums, best_fits, sparse
from lepton.optimization.lean.rows import Rows

__all__ = ["SparseLinear"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHARES = (2, 4, 8, 16, 32)
_FEWEST = 50
_MOST_ROWS = 12_000
_ROWS_AT_ONCE = 2_000
_RIDGES = (0.03, 0.3, 3.0)


class SparseLinear(Step):
    """Only the n-grams that scores depend on most, and all coefficients fitted anew.

    An n-gram takes its pieces, its weight and a coefficient for each score. The other coefficients of a linear model
    of a table take next to nothing.
    """

    name: ClassVar[str] = "sparse-linear"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    learns: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """Without n-grams in front of a linear model there is nothing to gain."""
        if reason := has_no_lesson(subject, draft):
            return reason
        if b"TfIdfVectorizer" not in draft.graph or (linear := _linear_of(parse(draft.graph), draft)) is None:
            return "it is no linear model of n-grams of texts; other linear models are small already"
        return None if linear.num_grams >= 2 * _FEWEST else f"it has not many more than {_FEWEST} n-grams"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """A half of the n-grams, a quarter, and so on."""
        linear = _linear_of(parse(draft.graph), draft)
        total = 0 if linear is None else linear.num_grams
        counts = [total // share for share in _SHARES if total // share >= _FEWEST]
        return [Setting(f"{count:,} n-grams", {"grams": count}) for count in counts]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """The model of fewer n-grams."""
        rows = subject.learn
        if len(rows) > _MOST_ROWS:
            places = np.random.default_rng(work.seed_for("rows")).choice(len(rows), _MOST_ROWS, replace=False)
            rows = rows.take(np.sort(places))
        raw = draft.manifest.inner["raw"]
        model = parse(draft.graph)
        linear = _linear_of(model, draft)
        if linear is None:
            return draft
        place = next(number for number, node in enumerate(model.graph.node) if raw in node.output)
        features = add_node(model, place, "Concat", list(linear.parts), axis=1)
        start = np.concatenate([*linear.parts.values(), linear.bias[None, :]])
        _give(model, raw, features, start)
        before = _sparse_values(serialized(model), features, rows, work)
        chosen = _keep_most_used(model, linear, start[:-1], before, int(setting.values["grams"]))
        start = start[[*chosen, -1]]
        _give(model, raw, features, start)
        after = _sparse_values(serialized(model), features, rows, work)
        beside = sparse().hstack([after, np.ones((len(rows), 1))]).tocsr()
        fits = best_fits([Sums(beside, column) for column in start.T], bare_lesson(subject, rows), _RIDGES, work)
        _give(model, raw, features, np.stack(fits, axis=1))
        inner = {"features": features, "raw": raw}
        return draft.changed(self.name, setting, graph=serialized(model), inner=inner)


@dataclass(frozen=True, slots=True)
class _Grams:
    """N-grams of one column of texts in a graph.

    Attributes:
        encoder: the `LabelEncoder` of pieces.
        vectorizer: the `TfIdfVectorizer` of their numbers.
        scale: the `Mul` by the weights of n-grams.
        weights: those [G].
        grams: of numbers of pieces.
        first: column of the features at which they begin.
    """

    encoder: Any
    vectorizer: Any
    scale: Any
    weights: NDArray[Any]
    grams: tuple[tuple[int, ...], ...]
    first: int


@dataclass(frozen=True, slots=True)
class _Linear:
    """A linear model of n-grams in a graph, or a weighted mean of several.

    Attributes:
        parts: values that it looks at → their coefficients [F, S]; n-grams behind the others.
        bias: its intercepts [S].
        texts: the n-grams among its parts.
    """

    parts: dict[str, Doubles]
    bias: Doubles
    texts: tuple[_Grams, ...] = ()

    @property
    def num_grams(self) -> int:
        """N-grams of all columns."""
        return sum(len(part.grams) for part in self.texts)


def _linear_of(model: Any, draft: Draft) -> _Linear | None:
    """The linear model; None where the graph is of another form."""
    made = makers(model)
    constants = {each.name: each for each in model.graph.initializer}
    linear = _form_of(draft.manifest.inner["raw"], made, constants)
    if linear is None:
        return None
    grams = {name: _grams_of(name, made, constants) for name in linear.parts}
    parts = dict(sorted(linear.parts.items(), key=lambda item: grams[item[0]] is not None))
    texts, first = [], 0
    for name, weights in parts.items():
        if (part := grams[name]) is not None:
            texts.append(replace(part, first=first))
        first += len(weights)
    return replace(linear, parts=parts, texts=tuple(texts)) if texts else None


def _form_of(value: str, made: dict[str, Any], constants: dict[str, Any]) -> _Linear | None:
    """What a value is of its features: `Gemm`, that times a number, or a sum of such."""
    from onnx import numpy_helper

    node = made.get(value)
    if node is None:
        return None
    if node.op_type == "Gemm" and not node.attribute and all(name in constants for name in node.input[1:]):
        weights, *rest = (numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:])
        parts = _split(node.input[0], weights, made, constants)
        return None if parts is None else _Linear(parts, np.broadcast_to(rest[0] if rest else 0.0, weights.shape[1:]))
    if node.op_type == "Mul" and node.input[1] in constants:
        one, factor = _form_of(node.input[0], made, constants), numpy_helper.to_array(constants[node.input[1]])
        if one is not None and factor.size == 1:
            parts = {name: weights * factor.item() for name, weights in one.parts.items()}
            return _Linear(parts, one.bias * factor.item())
    if node.op_type == "Add":
        one, other = (_form_of(name, made, constants) for name in node.input)
        if one is not None and other is not None:
            parts = dict(one.parts)
            for name, weights in other.parts.items():
                parts[name] = parts[name] + weights if name in parts else weights
            return _Linear(parts, one.bias + other.bias)
    return None


def _split(
    features: str, weights: Doubles, made: dict[str, Any], constants: dict[str, Any]
) -> dict[str, Doubles] | None:
    """The coefficients of each part of the features, of which one at most is no n-grams."""
    names = _parts(features, made, constants)
    grams = [_grams_of(name, made, constants) for name in names]
    rest = len(weights) - sum(len(part.grams) for part in grams if part is not None)
    if sum(part is None for part in grams) != (rest > 0) or len(set(names)) < len(names):
        return None
    ends = np.cumsum([rest if part is None else len(part.grams) for part in grams])[:-1]
    return dict(zip(names, np.split(weights, ends), strict=True))


def _parts(value: str, made: dict[str, Any], constants: dict[str, Any]) -> list[str]:
    """What stands beside each other in a value: n-grams each for themselves."""
    node = made.get(value)
    if node is None or node.op_type != "Concat":
        return [value]
    parts = [part for name in node.input for part in _parts(name, made, constants)]
    return parts if any(_grams_of(part, made, constants) for part in parts) else [value]


def _grams_of(value: str, made: dict[str, Any], constants: dict[str, Any]) -> _Grams | None:
    """The n-grams that a value is of: counts times weights, divided by their length."""
    from onnx import helper, numpy_helper

    chain = []
    for op in ("Div", "Mul", "Cast", "TfIdfVectorizer", "LabelEncoder"):
        node = made.get(value)
        if node is None or node.op_type != op:
            return None
        chain.append(node)
        value = node.input[0]
    _, scale, _, vectorizer, encoder = chain
    given = {each.name: helper.get_attribute_value(each) for each in vectorizer.attribute}
    in_order = list(given["ngram_indexes"]) == list(range(len(given["ngram_indexes"])))
    if scale.input[1] not in constants or not in_order or given.get("mode") != b"TF":
        return None
    starts = [*given["ngram_counts"], len(given["pool_int64s"])]
    grams = []
    for size, (start, end) in enumerate(pairwise(starts), start=1):
        grams += [tuple(given["pool_int64s"][at : at + size]) for at in range(start, end, size)]
    weights = numpy_helper.to_array(constants[scale.input[1]])
    return _Grams(encoder, vectorizer, scale, weights.ravel(), tuple(grams), 0)


def _sparse_values(graph: bytes, name: str, rows: Rows, work: Work) -> Any:
    """A value of the graph [N, F], most of which is 0."""
    parts = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        work.check()
        tensors = {key: tensor[start : start + _ROWS_AT_ONCE] for key, tensor in rows.tensors.items()}
        parts.append(sparse().csr_matrix(values_inside(graph, [name], tensors)[name].astype(np.float64)))
    return sparse().vstack(parts).tocsr()


def _keep_most_used(model: Any, linear: _Linear, weights: Doubles, matrix: Any, most: int) -> Integers:
    """Keep the n-grams that move scores most; columns of the features that are left."""
    size = np.sqrt(np.asarray(matrix.power(2).mean(axis=0)).ravel())
    moves = np.abs(weights).max(axis=1) * size
    first = linear.texts[0].first
    kept = np.zeros(len(moves), dtype=bool)
    kept[:first] = True
    kept[first + np.argsort(-moves[first:], kind="stable")[:most]] = True
    for part in linear.texts:
        kept[part.first + int(moves[part.first : part.first + len(part.grams)].argmax())] = True  # one at least
        _keep(model, part, np.flatnonzero(kept[part.first : part.first + len(part.grams)]))
    return np.flatnonzero(kept)


def _keep(model: Any, part: _Grams, places: Integers) -> None:
    """Keep some n-grams of a column, and the pieces that they are of."""
    from onnx import numpy_helper

    encoder = {each.name: numpy_helper.to_array(each.t) for each in part.encoder.attribute if each.HasField("t")}
    grams = [part.grams[place] for place in places]
    used = sorted({piece for gram in grams for piece in gram})
    number = {piece: place for place, piece in enumerate(used, start=1)}
    names = dict(zip(encoder["values_tensor"].tolist(), encoder["keys_tensor"].tolist(), strict=True))
    texts = np.array([_text(names[piece]) for piece in used], dtype=object)
    _set(part.encoder, keys_tensor=texts, values_tensor=np.arange(1, len(used) + 1))
    sizes = [len(gram) for gram in grams]
    _set(
        part.vectorizer,
        max_gram_length=max(sizes),
        ngram_counts=[sum(size for size in sizes if size < n) for n in range(1, max(sizes) + 1)],
        ngram_indexes=list(range(len(grams))),
        pool_int64s=[number[piece] for gram in grams for piece in gram],
    )
    name = fresh(model, "grams")
    model.graph.initializer.append(numpy_helper.from_array(part.weights[places][None, :], name))
    part.scale.input[1] = name


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _set(node: Any, **attributes: Any) -> None:
    """Give attributes of a node other values."""
    from onnx import helper, numpy_helper

    kept = [each for each in node.attribute if each.name not in attributes]
    for name, value in attributes.items():
        tensor = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        kept.append(helper.make_attribute(name, tensor))
    node.ClearField("attribute")
    node.attribute.extend(kept)


def _give(model: Any, raw: str, features: str, values: Doubles) -> None:
    """Make raw scores by one `Gemm`, of coefficients with intercepts below them [F + 1, S]."""
    from onnx import numpy_helper

    names = []
    for stem, part in (("coefficients", values[:-1]), ("intercepts", values[-1])):
        names.append(fresh(model, stem))
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(part), names[-1]))
    place = next(number for number, node in enumerate(model.graph.node) if raw in node.output)
    model.graph.node[place].output[0] = fresh(model, "unread")
    add_node(model, place + 1, "Gemm", [features, *names], output=raw)
