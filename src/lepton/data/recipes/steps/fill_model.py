"""Missing values predicted from the other columns by linear rules, which a fitted recipe holds as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, Kind, Role, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundStep, Learner, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.bound import SameColumns, where_missing
from lepton.data.recipes.expression_forms import Graph
from lepton.data.recipes.learning import finite_values
from lepton.data.recipes.ridge import centre_and_scale, fit_ridge
from lepton.data.recipes.sampling import RowSample
from lepton.data.recipes.steps.outliers import QUARTILES_OF_NORMAL
from lepton.data.steps import Tensors

__all__ = ["FillModel"]

Doubles = NDArray[np.float64]

_KINDS = (Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY)
_NUMBERS = (Kind.NUMBER, Kind.BOOLEAN)
_MOST_COLUMNS = 100
_MOST_VALUES = 20  # of a category
_MOST_FEATURES = 400  # made of categories
_FEWEST_ROWS = 5  # that have a value of a category
_FARTHEST = 5.0  # deviations


@dataclass(frozen=True)
class FillModel(RecipeStep):
    """Fill missing values with what the other columns of the row let expect: `fill_model("income", ["age", "town"])`.

    A number is predicted by ridge regression on the numbers, as robust deviations (see `outliers`) of at most five, and
    on the most frequent values of each category (20, of many categories fewer); a category or boolean by the same on
    each of its 20 most frequent values, of which the likeliest is taken. Predictions stay within the known values; of
    whole numbers they are whole. Columns are filled from what came, not from each other's predictions; what is missing
    there counts as the median.

    What was learned tells, as found on rows left out of it, `explained` (the share of the variance) or `right` (the
    share of rows). Where that is no better than the mean or the most frequent value, those are taken.

    Attributes:
        columns: numbers, booleans or categories; () for all of them that are features.
        using: columns to predict from; () for all numbers, booleans and categories that are features. The target must
            not be among them: it is not known when a model is asked.
        rows: how many rows to learn from, by chance.
        seed: the same seed takes the same rows.
    """

    name: ClassVar[str] = "fill_model"
    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()
    using: tuple[str, ...] = ()
    rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Some rows are needed, and not more than memory is meant for."""
        super().__post_init__()
        if not 10 <= self.rows <= 1_000_000:
            came = f"fill_model: got rows={self.rows:,}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="10 to 1,000,000")

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns that are filled, and those that they are predicted from."""
        return tuple(dict.fromkeys((*self._filled(schema), *self._features(schema))))

    def _filled(self, schema: Schema) -> tuple[str, ...]:
        return _chosen(schema, self.columns)

    def _features(self, schema: Schema) -> tuple[str, ...]:
        features = _chosen(schema, self.using)
        if len(features) > _MOST_COLUMNS:
            came = f"fill_model: there are {len(features):,} columns to predict from"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted=f"at most {_MOST_COLUMNS}", fix="name some: using=")
        for name in features:
            if schema[name].role is Role.TARGET:
                came = f"fill_model: column {name!r} is the target, which is not known when a model is asked"
                raise DataError(ErrorCode.WRONG_KIND, came, fix="using= other columns")
        return features

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """A sample of the rows, and what can be learned from it."""
        kinds = {name: schema[name].kind for name in self.reads(schema)}
        return _Models(
            self._filled(schema), self._features(schema), kinds, RowSample(tuple(kinds), self.rows, self.seed)
        )

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        design = _Design.of(learned)
        models = {name: learned["models"][name] for name in self._filled(schema)}
        rules = {name: _Rule.of(schema, name, each, design) for name, each in models.items() if each is not None}
        return _Predicted(schema, tuple(rules), None, design, tuple(rules.values()))


def _chosen(schema: Schema, columns: Sequence[str]) -> tuple[str, ...]:
    chosen = chosen_columns(schema, columns, _KINDS, FillModel.name)
    return chosen if columns else tuple(name for name in chosen if schema[name].role is Role.FEATURE)


# --- learning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Design:
    """How rows become features.

    Attributes:
        numbers: column → median and robust deviation.
        categories: column → its frequent values.
    """

    numbers: Mapping[str, tuple[float, float]]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, learned: Mapping[str, Any]) -> Self:
        numbers = {str(name): (float(middle), float(scale)) for name, (middle, scale) in learned["numbers"].items()}
        categories = {str(name): tuple(map(str, values)) for name, values in learned["categories"].items()}
        if not all(scale > 0 for _, scale in numbers.values()):
            raise ValueError("a deviation is not above 0")
        return cls(numbers, categories)

    def features(self, frame: pl.DataFrame) -> dict[str, Doubles]:
        """For each column its features [N, w]: deviations, or which of its frequent values a category has."""
        found = {name: self.number(frame, name)[:, None] for name in self.numbers}
        marks = {name: np.eye(len(known) + 1)[:, :-1] for name, known in self.categories.items()}
        return {**found, **{name: marks[name][self.places(frame, name)] for name in self.categories}}

    def number(self, frame: pl.DataFrame, name: str) -> Doubles:
        """Deviations of a column from its median [N]; 0 where it is missing."""
        middle, scale = self.numbers[name]
        values = frame[name].cast(pl.Float64).fill_null(middle).to_numpy()
        with np.errstate(over="ignore"):
            return np.clip((values - middle) / scale, -_FARTHEST, _FARTHEST)

    def places(self, frame: pl.DataFrame, name: str) -> NDArray[np.int64]:
        """The place of each value of a category among the frequent ones [N]; behind them for others and missing."""
        known = self.categories[name]
        column = frame[name].fill_null("")
        places = column.replace_strict(list(known), range(len(known)), default=len(known), return_dtype=pl.Int64)
        return places.to_numpy()


class _Models(Learner):
    def __init__(
        self, filled: tuple[str, ...], features: tuple[str, ...], kinds: Mapping[str, Kind], sample: RowSample
    ) -> None:
        self.columns = sample.columns
        self._filled, self._features, self._kinds, self._sample = filled, features, kinds, sample

    def update(self, frame: pl.DataFrame) -> None:
        self._sample.update(frame)

    def merge(self, other: Self) -> None:
        self._sample.merge(other._sample)

    def finish(self) -> dict[str, Any]:
        frame = self._sample.frame()
        if not frame.height:
            return {"numbers": {}, "categories": {}, "models": dict.fromkeys(self._filled)}
        numbers, categories = {}, {}
        texts = sum(self._kinds[name] not in _NUMBERS for name in self._features)
        most = int(np.clip(_MOST_FEATURES // max(texts, 1), 2, _MOST_VALUES))
        for name in self._features:
            if self._kinds[name] in _NUMBERS:
                middle, scale = _middle_and_scale(finite_values(frame[name].cast(pl.Float64)))
                if 0 < scale < np.inf:
                    numbers[name] = (middle, scale)
            else:
                categories[name] = _frequent(frame[name])[:most]
        design = _Design(numbers, {name: values for name, values in categories.items() if values})
        features = design.features(frame)
        return {
            "numbers": {name: list(pair) for name, pair in design.numbers.items()},
            "categories": {name: list(values) for name, values in design.categories.items()},
            "models": {
                name: self._model(frame[name], {n: each for n, each in features.items() if n != name})
                for name in self._filled
            },
        }

    def _model(self, column: pl.Series, features: Mapping[str, Doubles]) -> dict[str, Any] | None:
        """What predicts a column from the others; None where it has no values."""
        kind = self._kinds[column.name]
        if kind is Kind.NUMBER:
            whole = column.cast(pl.Float64)
            known = (whole.is_not_null() & whole.is_finite()).fill_null(False).to_numpy()
            values = whole.fill_null(0.0).to_numpy()[known]
            if not len(values):
                return None
            mean, scale = centre_and_scale(values)
            found = {"rows": len(values), "least": float(values.min()), "most": float(values.max())}
            rule = self._fitted(features, known, ((values - mean) / (scale or 1.0))[:, None])
            spread = float(((values - mean) ** 2).sum()) if scale else 0.0
            explained = 0.0
            if spread:
                explained = 1.0 - float(((rule["left_out"][:, 0] * scale + mean - values) ** 2).sum()) / spread
            found["explained"] = round(max(explained, 0.0), 4) if np.isfinite(explained) else 0.0
            return {**found, **_written(rule, mean, scale or 1.0)}
        classes = [False, True] if kind is Kind.BOOLEAN else list(_frequent(column, fewest=1))
        places = column.replace_strict(classes, range(len(classes)), default=None, return_dtype=pl.Int64)
        known = places.is_not_null().to_numpy()
        if not known.any():
            return None
        of_rows = places.drop_nulls().to_numpy()
        marks = np.eye(len(classes))[of_rows]
        rule = self._fitted(features, known, marks)
        right, usual = float((rule["left_out"].argmax(axis=1) == of_rows).mean()), float(marks.mean(axis=0).max())
        if right <= usual:
            rule = self._fitted({}, known, marks)
        written = _written(rule, 0.0, 1.0)
        return {"rows": len(of_rows), "classes": classes, "right": round(max(right, usual), 4), **written}

    def _fitted(self, features: Mapping[str, Doubles], known: NDArray[np.bool_], answers: Doubles) -> dict[str, Any]:
        """A linear rule for the known rows."""
        means = answers.mean(axis=0)
        rule = {"intercepts": means, "numbers": {}, "categories": {}, "left_out": np.tile(means, (len(answers), 1))}
        if not features or len(answers) < 2:
            return rule
        ridge = fit_ridge(np.hstack([each[known] for each in features.values()]), answers)
        ends = np.cumsum([each.shape[1] for each in features.values()])[:-1]
        if ridge.weights.any():
            for name, weights in zip(features, np.split(ridge.weights, ends), strict=True):
                if self._kinds[name] in _NUMBERS:
                    rule["numbers"][name] = weights[0]
                else:
                    rule["categories"][name] = weights
        return {**rule, "intercepts": ridge.intercepts, "left_out": ridge.left_out}


def _middle_and_scale(values: Doubles) -> tuple[float, float]:
    """Median and robust deviation, which far values do not move; mean and deviation where the quartiles are equal."""
    if not len(values):
        return 0.0, 0.0
    with np.errstate(over="ignore"):
        low, middle, high = (float(each) for each in np.quantile(values, [0.25, 0.5, 0.75]))
    return (middle, (high - low) / QUARTILES_OF_NORMAL) if high > low else centre_and_scale(values)


def _frequent(column: pl.Series, fewest: int = _FEWEST_ROWS) -> tuple[str, ...]:
    counts = column.drop_nulls().rename("value").value_counts(name="rows").filter(pl.col("rows") >= fewest)
    return tuple(counts.sort(["rows", "value"], descending=[True, False])["value"].head(_MOST_VALUES).to_list())


def _written(rule: Mapping[str, Any], mean: float, scale: float) -> dict[str, Any]:
    """A rule as it stands in a file, in the units of the answer."""
    return {
        "intercepts": (rule["intercepts"] * scale + mean).tolist(),
        "numbers": {name: (weights * scale).tolist() for name, weights in rule["numbers"].items()},
        "categories": {name: (weights * scale).tolist() for name, weights in rule["categories"].items()},
    }


# --- filling ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """What predicts one column.

    Attributes:
        name: of the column.
        intercepts: one for each class, or one [K].
        numbers: column → weights of its deviation [K].
        categories: column → weights of each of its values, and zeros for others [values + 1, K].
        classes: values that are predicted; () for a number.
        bounds: of a number.
        whole: whether the number is.
    """

    name: str
    intercepts: Doubles
    numbers: Mapping[str, Doubles]
    categories: Mapping[str, Doubles]
    classes: tuple[Any, ...]
    bounds: tuple[float, float]
    whole: bool

    @classmethod
    def of(cls, schema: Schema, name: str, model: Mapping[str, Any], design: _Design) -> Self:
        intercepts = np.array(model["intercepts"], dtype=np.float64)
        is_number = schema[name].kind is Kind.NUMBER
        classes = () if is_number else tuple(model["classes"])
        width = (1 if is_number else len(classes),)
        numbers = {each: np.array(weights, dtype=np.float64) for each, weights in model["numbers"].items()}
        tables = {each: np.array([*weights, [0.0] * width[0]]) for each, weights in model["categories"].items()}
        fits = intercepts.shape == width and all(each.shape == width for each in numbers.values())
        sizes = {each: (len(design.categories[each]) + 1, *width) for each in tables}
        if not fits or set(numbers) - set(design.numbers) or any(tables[n].shape != sizes[n] for n in tables):
            raise ValueError(f"the weights of {name!r} do not fit the columns")
        bounds = (float(model["least"]), float(model["most"])) if is_number else (0.0, 0.0)
        return cls(name, intercepts, numbers, tables, classes, bounds, schema[name].dtype == "int64")

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.numbers, *self.categories)

    def predict(self, rows: pl.DataFrame, design: _Design) -> pl.Series:
        """The values of the column for rows. Sums go column by column, so that no row depends on the others."""
        scores = np.tile(self.intercepts, (rows.height, 1))
        for name, weights in self.numbers.items():
            scores += design.number(rows, name)[:, None] * weights
        for name, table in self.categories.items():
            scores += table[design.places(rows, name)]
        dtype = rows[self.name].dtype
        if self.classes:
            return pl.Series(self.classes, dtype=dtype).gather(scores.argmax(axis=1))
        held = np.clip(scores[:, 0], *self.bounds)
        return pl.Series(np.rint(held) if self.whole else held).cast(dtype)


@dataclass(frozen=True)
class _Predicted(SameColumns):
    design: _Design = _Design({}, {})
    rules: tuple[_Rule, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.columns, *(name for rule in self.rules for name in rule.reads))))

    def needs(self, wanted: set[str]) -> set[str]:
        return wanted | {name for rule in self.rules if rule.name in wanted for name in rule.reads}

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for rule in self.rules:
            missing = frame[rule.name].is_null()
            if missing.any():
                predicted = rule.predict(frame.filter(missing), self.design)
                made.append(frame[rule.name].clone().scatter(missing.arg_true(), predicted))
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        there = {*tensors.number_names, *tensors.string_names}
        graph = Graph(builder, tensors)
        features: dict[str, str] = {}
        for rule in self.rules:
            if not there.issuperset((rule.name, *rule.reads)):
                continue
            for name in rule.reads:
                features.setdefault(name, self._feature(graph, name))
            scores = builder.constant(rule.intercepts[None, :])
            for name, weights in rule.numbers.items():
                row = builder.constant(weights[None, :])
                scores = graph.node("Add", scores, graph.node("Mul", features[name], row))
            for name, table in rule.categories.items():
                part = graph.node("MatMul", features[name], builder.constant(table[:-1]))
                scores = graph.node("Add", scores, part)
            tensors = where_missing(builder, tensors, rule.name, self._answer(graph, rule, scores))
        return tensors

    def _feature(self, graph: Graph, name: str) -> str:
        """Deviations of a number [N, 1], or which of its values a category has [N, values]."""
        column = graph.column(name)
        if name in self.design.categories:
            return graph.truth(
                graph.node("Equal", column, graph.builder.constant([list(self.design.categories[name])]))
            )
        middle, scale = (graph.number(each) for each in self.design.numbers[name])
        away = graph.node("Div", graph.node("Sub", column, middle), scale)
        held = graph.node("Min", graph.node("Max", away, graph.number(-_FARTHEST)), graph.number(_FARTHEST))
        return graph.node("Where", graph.node("IsNaN", column), graph.number(0.0), held)

    def _answer(self, graph: Graph, rule: _Rule, scores: str) -> str:
        """The value that is predicted [N, 1]."""
        if rule.classes:
            texts = rule.name in graph.tensors.string_names
            values = np.array(rule.classes, dtype=object if texts else np.float64)
            best = graph.node("ArgMax", scores, axis=1, keepdims=1)
            return graph.node("Gather", graph.builder.constant(values), best, axis=0)
        low, high = (graph.number(bound) for bound in rule.bounds)
        held = graph.node("Min", graph.node("Max", scores, low), high)
        return graph.node("Round", held) if rule.whole else held
