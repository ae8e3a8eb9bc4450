"""Values that break a rule: an error, missing, marked, or the row goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, Kind, LeptonError, Schema, UsageError
from lepton.data.quality.rules import CellRule, Holds, InRange, Matches, NotMissing, OneOf, rules_of
from lepton.data.recipes.base import Applied, BoundStep, OnError, RecipeStep, Scope
from lepton.data.recipes.bound import SameColumns, put
from lepton.data.recipes.expression_forms import Graph
from lepton.data.recipes.expressions import parse
from lepton.data.steps import Tensors

__all__ = ["Require"]

_OF_CHECKS = ("severity", "allowed")


@dataclass(frozen=True)
class Require(RecipeStep):
    """Hold cells to a rule: `require({"in_range": {"columns": "age", "least": 0, "most": 120}}, on_error="missing")`.

    The rule is written as in a [file of rules](rules.md), so what `check` has found can be pasted into a recipe. It is
    one that looks at each row by itself. A missing cell keeps every rule but `not_missing`. Of an expression on several
    columns all of them are at fault, or those named in `columns`.

    In front of a model a cell that breaks the rule is missing. `length`, and `matches` with classes of letters by name,
    have no form for that.

    Attributes:
        rule: name of the rule → its parameters.
        columns: for `holds`, whose cells are at fault.
        on_error: what becomes of such cells: `fail`, `missing`, `flag` (missing, with a mark beside it), or `drop`.
    """

    name: ClassVar[str] = "require"
    scope: ClassVar[Scope] = Scope.ROW
    rule: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    on_error: OnError = OnError.FAIL

    def __post_init__(self) -> None:
        """Reads the rule, so that a mistake is found where it is written."""
        super().__post_init__()
        rule = self._read()
        if not isinstance(rule, CellRule):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"require: {rule.name} does not look at each row by itself",
                wanted="a rule such as in_range, one_of, matches, length, not_missing or holds",
                fix="check such rules with lepton.check",
            )
        parameters = rule.params()
        if given := [name for name in _OF_CHECKS if name in parameters]:
            raise UsageError(ErrorCode.BAD_RECIPE, f"require: got {given[0]}, which is for checks", wanted="on_error")
        if self.columns and not isinstance(rule, Holds):
            came = f"require: got columns={list(self.columns)} beside those of {rule.name}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="columns for the rule holds alone")
        object.__setattr__(self, "rule", {rule.name: parameters})

    def _read(self) -> Any:
        try:
            (rule,) = rules_of([self.rule])
        except LeptonError as error:
            came = f"require: {error.came.removeprefix('rule 1: ')}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted=error.wanted, fix=error.fix) from None
        return rule

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns of the rule, and those at fault."""
        return tuple(dict.fromkeys((*self._read().reads(schema), *(schema[name].name for name in self.columns))))

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        rule = self._read()
        broken: Mapping[str, pl.Expr] = rule.cells(schema)
        if self.columns:
            broken = dict.fromkeys((schema[name].name for name in self.columns), rule.broken(schema))
        if not broken:
            came = f"require: the rule {rule} looks at no column"
            raise UsageError(ErrorCode.BAD_RECIPE, came, fix="name the columns at fault: columns=")
        return _Held(schema, tuple(broken), None, rule, self.reads(schema), tuple(broken.values()))


@dataclass(frozen=True)
class _Held(SameColumns):
    rule: Any = None
    looks_at: tuple[str, ...] = ()
    broken: tuple[pl.Expr, ...] = field(default=(), compare=False)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.looks_at

    @property
    def fallible(self) -> tuple[str, ...]:
        return self.columns

    def needs(self, wanted: set[str]) -> set[str]:
        rows = isinstance(self.rule, Holds) and wanted & set(self.columns)
        return wanted | set(self.looks_at) if rows else wanted

    def apply(self, frame: pl.DataFrame) -> Applied:
        marks = [f"\0{name}" for name in self.columns]
        made = frame.with_columns(
            each.fill_null(False).alias(mark) for each, mark in zip(self.broken, marks, strict=True)
        )
        bad = {name: made[mark].alias(name) for name, mark in zip(self.columns, marks, strict=True)}
        held = [frame[name].set(mask, None) for name, mask in bad.items()]
        return Applied(frame.with_columns(held), bad)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        graph = Graph(builder, tensors)
        there = [name for name in self.columns if name in (*tensors.number_names, *tensors.string_names)]
        broken = {name: self._broken(graph, name) for name in there}
        for name, where in broken.items():
            kind = Kind.NUMBER if name in tensors.number_names else Kind.TEXT
            tensors = put(builder, tensors, name, where, graph.literal(None, kind)) if where else tensors
        return tensors

    def _broken(self, graph: Graph, name: str) -> str | None:
        """Which cells break the rule, a bool tensor [N, 1]; None where the broken ones are missing already."""
        rule, column = self.rule, self.before[name]
        if isinstance(rule, NotMissing):
            return None
        if isinstance(rule, Holds):
            holds = parse(rule.expression).emit(graph.builder, graph.tensors, self.before)
            return graph.node("Equal", holds, graph.number(0.0))
        value = graph.column(name)
        if isinstance(rule, InRange) and column.time_zone in (None, "UTC"):
            low, high = (graph.literal(end, column.kind) for end in rule.ends(column.kind, name))
            return graph.node("Or", graph.node("Less", value, low), graph.node("Greater", value, high))
        if isinstance(rule, OneOf):
            # What is missing is missing afterwards too.
            among = np.array([["", *map(str, rule.values)]], dtype=object)
            if name in graph.tensors.number_names:
                among = np.array([[np.nan, *map(float, rule.values)]])
            found = graph.truth(graph.node("Equal", value, graph.builder.constant(among)))
            member = graph.node("ReduceMax", found, graph.builder.constant(np.array([1])), keepdims=1)
            return graph.node("Equal", member, graph.number(0.0))
        if isinstance(rule, Matches) and (pattern := _shared_pattern(rule.pattern)) is not None:
            return graph.node("Not", graph.node("RegexFullMatch", value, pattern=f"(?:{pattern})?"))
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"require: {rule} has no form that a model file can hold",
            fix="clean the table first and train on the result without its recipe: table.without_recipe()",
        )


_SHARED = re.compile(
    r"""(?:
        [A-Za-z0-9\ _@%=~:;,<>/!"'\#-] | \\[-.+*?()\[\]{}|^$/\\] | \\d | \. | \| | \(\?: | \( | \)
        | \[ (?: [A-Za-z0-9\ _@%=:;,.!\#/+*] | (?<!-)- | \\d )+ \]
        | (?<![*+?}(|]) [*+?]
        | (?<![*+?}(|)]) \{ [0-9]{1,3} (?:,[0-9]{0,3})? \}
    )*""",
    re.VERBOSE,
)
"""Patterns that RE2, which graphs have, reads as Rust does."""


def _shared_pattern(pattern: str) -> str | None:
    """A pattern for a graph; None where it may mean something else there."""
    return pattern.replace("\\d", "\\p{Nd}") if _SHARED.fullmatch(pattern) and "\\\\d" not in pattern else None
