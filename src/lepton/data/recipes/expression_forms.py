"""What expressions are made of: each operator and function as a Polars expression and as nodes of a graph.

In a graph every value is a tensor [N, 1]: numbers, booleans (0 and 1) and datetimes (microseconds since 1970 UTC) are
doubles whose missing is NaN, texts are strings whose missing is empty (contract 2). No Polars form names one of its
arguments twice, so that expressions within expressions do not double again and again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import Kind
from lepton.data.steps import Calendar, Tensors

__all__ = ["FORMS", "MEMBER", "Form", "Graph", "Value", "without_zone"]

Value = float | bool | str | dt.datetime

_NUMBER, _BOOLEAN, _DATETIME, _TEXT = Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME, Kind.TEXT
_EVERY = (_NUMBER, _BOOLEAN, _DATETIME, _TEXT)
_Array = NDArray[np.float64]
_DAY = 86_400e6  # microseconds


@dataclass(frozen=True)
class Form:
    """One operator or function for arguments of certain kinds.

    Attributes:
        takes: kind of each argument; None for those that must all be of one kind, which `among` restricts.
        gives: kind of the answer; None: the shared kind.
        polars: makes the expression from those of the arguments, and from what was written out, if any.
        graph: the same from a `Graph`, the shared kind where there is one, and names of tensors; None: graphs have
            no such form.
        among: which shared kinds fit.
        graph_among: those of them that the graph's form knows.
    """

    takes: tuple[Kind | None, ...]
    gives: Kind | None
    polars: Callable[..., pl.Expr]
    graph: Callable[..., str] | None = None
    among: tuple[Kind, ...] = _EVERY
    graph_among: tuple[Kind, ...] = _EVERY

    def fits(self, kinds: Sequence[Kind | None]) -> bool:
        """Whether arguments of these kinds fit; None is the kind of a bare `missing`, which fits anywhere."""
        pairs = list(zip(kinds, self.takes, strict=True))
        if any(wanted is not None and kind not in (None, wanted) for kind, wanted in pairs):
            return False
        return None not in self.takes or self.shared(kinds) in self.among

    def shared(self, kinds: Sequence[Kind | None]) -> Kind | None:
        """The one kind of the arguments that share theirs; None where they do not, or where none of them tells."""
        found = {kind for kind, wanted in zip(kinds, self.takes, strict=True) if wanted is None} - {None}
        return found.pop() if len(found) == 1 else None

    @property
    def wanted(self) -> str:
        """What it takes, in words."""
        if self.takes in {(None,), (None, None), (None, None, None)}:
            return "one kind throughout: " + ", ".join(self.among)
        return " and ".join("one kind" if kind is None else kind for kind in self.takes)


class Graph:
    """A graph that is being built, and where the columns are in it."""

    def __init__(self, builder: GraphBuilder, tensors: Tensors) -> None:
        self.builder, self.tensors = builder, tensors

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One node of one answer."""
        made: str = self.builder.node(op, list(inputs), **attributes)
        return made

    def number(self, value: float) -> str:
        """A constant double."""
        return self.builder.constant(np.array([[value]], dtype=np.float64))

    def column(self, name: str) -> str:
        """The column [N, 1]."""
        is_number = name in self.tensors.number_names
        whole, names = (
            (self.tensors.numbers, self.tensors.number_names)
            if is_number
            else (self.tensors.strings, self.tensors.string_names)
        )
        return self.node("Gather", str(whole), self.builder.constant(np.array([names.index(name)])), axis=1)

    def literal(self, value: Value | None, kind: Kind | None) -> str:
        """A value that is written out [1, 1]; None is missing."""
        if kind is _TEXT:
            return self.builder.constant(np.array([["" if value is None else value]], dtype=object))
        return self.number(_as_number(value))

    def repeated(self, value: str) -> str:
        """A value [1, 1] for every row [N, 1]."""
        size = self.node("Shape", str(self.tensors.numbers or self.tensors.strings), start=0, end=1)
        return self.node("Expand", value, self.node("Concat", size, self.builder.constant(np.array([1])), axis=0))

    def missing(self, kind: Kind, value: str) -> str:
        """Which values are missing, as bool."""
        return self.node("Equal", value, self.literal(None, kind)) if kind is _TEXT else self.node("IsNaN", value)

    def unless(self, condition: str, value: str) -> str:
        """`value` as doubles, missing where `condition` holds; truths become 0 and 1."""
        return self.node("Where", condition, self.number(np.nan), value)

    def truth(self, condition: str) -> str:
        """A bool tensor as doubles."""
        return self.node("Cast", condition, to=11)  # 11: double

    def finite(self, value: str) -> str:
        """Doubles; what is not finite is missing."""
        return self.unless(self.node("IsInf", value), value)


def _as_number(value: Value | None) -> float:
    """A value that is written out, as graphs hold it."""
    if value is None:
        return float("nan")
    return float(_microseconds(value)) if isinstance(value, dt.datetime) else float(value)


def _microseconds(when: dt.datetime) -> int:
    """Microseconds from 1970 to a datetime without zone, exactly."""
    return (when - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001  # no zone is meant


def without_zone(column: pl.Expr) -> pl.Expr:
    """Datetimes, with a zone or without, as those of UTC without zone."""
    return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _drop_infinite(series: pl.Series) -> pl.Series:
    return series.set(~series.is_finite(), None)


def _finite(number: pl.Expr) -> pl.Expr:
    # `when(is_finite(x)).then(x)` names x twice; `replace` joins, and takes 40 times as long.
    return number.map_batches(_drop_infinite, return_dtype=pl.Float64(), is_elementwise=True)


def _computed(function: Callable[[_Array, _Array], _Array], left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """A function of two numbers by numpy: Polars multiplies by the inverse of a constant, and 49 / 49 is below 1."""

    def compute(series: Sequence[pl.Series]) -> pl.Series:
        with np.errstate(all="ignore"):
            answer = function(*(s.to_numpy() for s in series))
        return pl.Series(answer, nan_to_null=True)

    return pl.map_batches([left, right], compute, return_dtype=pl.Float64(), is_elementwise=True)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _arithmetic(polars: Callable[..., pl.Expr], graph: Callable[..., str], takes: int = 2) -> Form:
    return Form(
        (_NUMBER,) * takes,
        _NUMBER,
        lambda *numbers: _finite(polars(*numbers)),
        lambda g, *numbers: g.finite(graph(g, *numbers)),
    )


def _operator(op: str) -> Callable[..., str]:
    return lambda g, *inputs: g.node(op, *inputs)


def _floor_divided(left: _Array, right: _Array) -> _Array:
    return np.floor(left / right)


def _modulo(left: _Array, right: _Array) -> _Array:
    return left - np.floor(left / right) * right


def _graph_modulo(g: Graph, left: str, right: str) -> str:
    return g.node("Sub", left, g.node("Mul", g.node("Floor", g.node("Div", left, right)), right))


def _round(number: pl.Expr, digits: float) -> pl.Expr:
    scaled = (number * 10.0**digits).round(0, mode="half_to_even")
    return _finite(_computed(np.divide, scaled, pl.lit(10.0**digits)))


def _graph_round(g: Graph, number: str, digits: float) -> str:
    scale = g.number(10.0**digits)
    return g.finite(g.node("Div", g.node("Round", g.node("Mul", number, scale)), scale))


def _extreme(polars: Callable[..., pl.Expr], op: str) -> Form:
    def graph(g: Graph, kind: Kind, left: str, right: str) -> str:
        either = g.node("Where", g.missing(kind, right), left, g.node(op, left, right))
        return g.node("Where", g.missing(kind, left), right, either)

    return Form((None, None), None, polars, graph, among=(_NUMBER, _DATETIME))


def _graph_clip(g: Graph, kind: Kind, value: str, low: str, high: str) -> str:
    raised = g.node("Where", g.missing(kind, low), value, g.node("Max", value, low))
    lowered = g.node("Where", g.missing(kind, high), raised, g.node("Min", raised, high))
    return g.unless(g.missing(kind, value), lowered)


def _clip(value: pl.Expr, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    return value.clip(lower_bound=low).clip(upper_bound=high)


# --- comparisons and logic --------------------------------------------------------------------------------------------


def _comparison(polars: Callable[[pl.Expr, pl.Expr], pl.Expr], op: str, negated: bool = False) -> Form:
    def graph(g: Graph, kind: Kind, left: str, right: str) -> str:
        holds = g.node(op, left, right)
        truth = g.truth(g.node("Not", holds) if negated else holds)
        return g.unless(g.node("Or", g.missing(kind, left), g.missing(kind, right)), truth)

    if op == "Equal":
        return Form((None, None), _BOOLEAN, polars, graph)
    ordered = (_NUMBER, _DATETIME, _TEXT)  # texts by their code points, which graphs do not compare
    return Form((None, None), _BOOLEAN, polars, graph, among=ordered, graph_among=(_NUMBER, _DATETIME))


def _graph_and(g: Graph, left: str, right: str) -> str:
    false = g.node("Or", *(g.node("Equal", side, g.number(0.0)) for side in (left, right)))
    return g.node("Where", false, g.number(0.0), g.node("Mul", left, right))


def _graph_or(g: Graph, left: str, right: str) -> str:
    true = g.node("Or", *(g.node("Equal", side, g.number(1.0)) for side in (left, right)))
    return g.node("Where", true, g.number(1.0), g.node("Add", left, right))


def _member(value: pl.Expr, choices: Sequence[Value]) -> pl.Expr:
    dtype = {float: pl.Float64(), bool: pl.Boolean(), str: pl.String()}.get(type(choices[0]), pl.Datetime("us"))
    return value.is_in(pl.Series(list(choices), dtype=dtype).implode())


def _graph_member(g: Graph, kind: Kind, value: str, choices: Sequence[Value]) -> str:
    row = np.array([choices], dtype=object) if kind is _TEXT else np.array([[_as_number(c) for c in choices]])
    equal = g.truth(g.node("Equal", value, g.builder.constant(row)))
    any_equal = g.node("ReduceMax", equal, g.builder.constant(np.array([1])), keepdims=1)
    return g.unless(g.missing(kind, value), any_equal)


MEMBER = Form((None,), _BOOLEAN, _member, _graph_member)
"""`value in (choices)`."""


def _graph_if(g: Graph, _kind: Kind, condition: str, then: str, otherwise: str) -> str:
    return g.node("Where", g.node("Equal", condition, g.number(1.0)), then, otherwise)


def _graph_coalesce(g: Graph, kind: Kind, first: str, second: str) -> str:
    return g.node("Where", g.missing(kind, first), second, first)


# --- texts and dates --------------------------------------------------------------------------------------------------


def _text_test(polars: Callable[[pl.Expr, str], pl.Expr], before: str, after: str) -> Form:
    def graph(g: Graph, text: str, given: str) -> str:
        # A pattern of the written letters alone; `(?s)` lets the dot stand for line ends too.
        pattern = "(?s)" + before + "".join(f"\\x{{{ord(char):x}}}" for char in given) + after
        return g.unless(g.missing(_TEXT, text), g.truth(g.node("RegexFullMatch", text, pattern=pattern)))

    return Form((_TEXT,), _BOOLEAN, polars, graph)


def _graph_joined(g: Graph, left: str, right: str) -> str:
    gone = g.node("Or", g.missing(_TEXT, left), g.missing(_TEXT, right))
    return g.node("Where", gone, g.literal(None, _TEXT), g.node("StringConcat", left, right))


def _calendar(part: str, polars: Callable[[pl.Expr], pl.Expr]) -> Form:
    def graph(g: Graph, when: str) -> str:
        parts = Calendar(("when",), (part,)).emit(g.builder, Tensors(when, ("when",), None, ()))
        return g.node("Gather", str(parts.numbers), g.builder.constant(np.array([1])), axis=1)

    return Form((_DATETIME,), _NUMBER, lambda when: polars(when).cast(pl.Float64), graph)


def _days(first: pl.Expr, last: pl.Expr) -> pl.Expr:
    return _computed(np.divide, (last - first).dt.total_microseconds().cast(pl.Float64), pl.lit(_DAY))


def _graph_days(g: Graph, first: str, last: str) -> str:
    return g.node("Div", g.node("Sub", last, first), g.number(_DAY))


_LOGIC = partial(Form, (_BOOLEAN, _BOOLEAN), _BOOLEAN)
_TO_TEXT = partial(Form, (_TEXT,), _TEXT)

FORMS: dict[str, tuple[Form, ...]] = {
    "+": (
        _arithmetic(lambda a, b: a + b, _operator("Add")),
        Form((_TEXT, _TEXT), _TEXT, lambda a, b: a + b, _graph_joined),
    ),
    "-": (_arithmetic(lambda a, b: a - b, _operator("Sub")),),
    "*": (_arithmetic(lambda a, b: a * b, _operator("Mul")),),
    "/": (_arithmetic(partial(_computed, np.divide), _operator("Div")),),
    "//": (_arithmetic(partial(_computed, _floor_divided), lambda g, a, b: g.node("Floor", g.node("Div", a, b))),),
    "%": (_arithmetic(partial(_computed, _modulo), _graph_modulo),),
    "**": (_arithmetic(lambda a, b: a.pow(b), _operator("Pow")),),
    "negative": (_arithmetic(lambda a: -a, _operator("Neg"), 1),),
    "positive": (_arithmetic(lambda a: a, lambda g, a: a, 1),),
    "abs": (_arithmetic(lambda a: a.abs(), _operator("Abs"), 1),),
    "log": (_arithmetic(lambda a: a.log(), _operator("Log"), 1),),
    "exp": (_arithmetic(lambda a: a.exp(), _operator("Exp"), 1),),
    "sqrt": (_arithmetic(lambda a: a.sqrt(), _operator("Sqrt"), 1),),
    "floor": (_arithmetic(lambda a: a.floor(), _operator("Floor"), 1),),
    "ceil": (_arithmetic(lambda a: a.ceil(), _operator("Ceil"), 1),),
    "round": (Form((_NUMBER,), _NUMBER, _round, _graph_round),),
    "min": (_extreme(pl.min_horizontal, "Min"),),
    "max": (_extreme(pl.max_horizontal, "Max"),),
    "clip": (Form((None, None, None), None, _clip, _graph_clip, among=(_NUMBER, _DATETIME)),),
    "==": (_comparison(lambda a, b: a == b, "Equal"),),
    "!=": (_comparison(lambda a, b: a != b, "Equal", negated=True),),
    "<": (_comparison(lambda a, b: a < b, "Less"),),
    "<=": (_comparison(lambda a, b: a <= b, "LessOrEqual"),),
    ">": (_comparison(lambda a, b: a > b, "Greater"),),
    ">=": (_comparison(lambda a, b: a >= b, "GreaterOrEqual"),),
    "and": (_LOGIC(lambda a, b: a & b, _graph_and),),
    "or": (_LOGIC(lambda a, b: a | b, _graph_or),),
    "not": (Form((_BOOLEAN,), _BOOLEAN, lambda a: ~a, lambda g, a: g.node("Sub", g.number(1.0), a)),),
    "is_missing": (Form((None,), _BOOLEAN, lambda a: a.is_null(), lambda g, kind, a: g.truth(g.missing(kind, a))),),
    "if": (Form((_BOOLEAN, None, None), None, lambda test, a, b: pl.when(test).then(a).otherwise(b), _graph_if),),
    "coalesce": (Form((None, None), None, pl.coalesce, _graph_coalesce),),
    "length": (Form((_TEXT,), _NUMBER, lambda a: a.str.len_chars().cast(pl.Float64)),),
    "lower": (_TO_TEXT(lambda a: a.str.to_lowercase()),),
    "upper": (_TO_TEXT(lambda a: a.str.to_uppercase()),),
    "contains": (_text_test(lambda a, given: a.str.contains(given, literal=True), ".*", ".*"),),
    "starts_with": (_text_test(lambda a, given: a.str.starts_with(given), "", ".*"),),
    "ends_with": (_text_test(lambda a, given: a.str.ends_with(given), ".*", ""),),
    "year": (_calendar("year", lambda a: a.dt.year()),),
    "month": (_calendar("month", lambda a: a.dt.month()),),
    "day": (_calendar("day", lambda a: a.dt.day()),),
    "weekday": (_calendar("weekday", lambda a: a.dt.weekday() - 1),),
    "hour": (_calendar("hour", lambda a: a.dt.hour()),),
    "days_between": (Form((_DATETIME, _DATETIME), _NUMBER, _days, _graph_days),),
}
"""Every form by name: operators, functions, `if`, `negative` and `positive`."""
