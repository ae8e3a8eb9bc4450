"""A list of rules that people can read: IF … THEN … ELSE IF … ELSE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import plain_steps
from lepton.training.learners.rules_search import Condition, Rule, find_rules

__all__ = ["Rules"]

_MAX_ROWS = 20_000  # that rules are looked for in; what they answer is of all rows
_MIN_ROWS = 10  # that a rule covers
_MIN_SHARE = 0.005
_LEAST_SHARE = 1e-9
_DOUBLE, _INT64 = 11, 7  # onnx.TensorProto


class Rules(TableLearner):
    """Rules in an order, of which the first that holds answers: the mean of a number, or the shares of the classes.

    It is for those who must explain every answer, and is tried where it is asked for by name.
    """

    name = "rules"
    asked_only = True
    blends = False

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """A short list and a longer one."""
        if problem.task not in {"regression", "binary", "multiclass"}:
            return ()
        return (
            {"label": "up to 8 rules", "max_rules": 8, "max_conditions": 2},
            {"label": "up to 20 rules", "max_rules": 20, "max_conditions": 3},
        )

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Find the rules in at most 20,000 of the rows, drawn by the seed, and what they answer in all."""
        work.check()
        self.steps, block = plain_steps(self.problem, rows.block)
        self._names = block.number_names
        self._is_category = np.isin(self._names, self.problem.categories)
        self._texts = self.vocabulary()
        features, targets = block.numbers, self._targets(rows)
        weight = np.ones(len(features)) if rows.weight is None else rows.weight
        weight = weight / max(weight[weight > 0].mean() if (weight > 0).any() else 1.0, 1e-300)
        some = np.arange(len(features))
        if len(some) > _MAX_ROWS:
            some = np.sort(np.random.default_rng(self.seed).choice(len(some), _MAX_ROWS, replace=False))
        self._rules, self._cut_short = find_rules(
            features[some],
            targets[some],
            weight[some],
            is_category=self._is_category,
            is_date=np.isin(self._names, self.problem.dates),
            max_rules=self.configuration["max_rules"],
            max_conditions=self.configuration["max_conditions"],
            min_weight=max(_MIN_ROWS, _MIN_SHARE * len(some)),
            work=work,
        )
        self._answer(targets, weight, self._first(features))
        return self

    def _targets(self, rows: Rows) -> Doubles:
        if self.problem.task == "regression":
            return rows.target[:, None]
        shares = np.zeros((len(rows.target), self.problem.num_classes))
        shares[np.arange(len(shares)), rows.target.astype(np.int64)] = 1.0
        return shares

    def _answer(self, targets: Doubles, weight: Doubles, first: NDArray[np.int64]) -> None:
        """The raw scores of each rule and of what no rule covers [R + 1, S]; to classes one row of all is added."""
        num_places = len(self._rules) + 1
        self._covered = np.bincount(first, minlength=num_places)
        totals = np.bincount(first, weight, minlength=num_places)
        sums = np.stack([np.bincount(first, weight * part, minlength=num_places) for part in targets.T], axis=1)
        overall = sums.sum(axis=0) / max(totals.sum(), 1e-300)
        if self.problem.task == "regression":
            self._scores = np.where(totals[:, None] > 0, sums / np.maximum(totals[:, None], 1e-300), overall)
            return
        logs = np.log(np.maximum((sums + overall) / (totals[:, None] + 1.0), _LEAST_SHARE))
        self._scores = logs[:, 1:] - logs[:, :1] if self.problem.task == "binary" else logs

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the search for rules."""
        return self._cut_short

    def _first(self, features: Doubles) -> NDArray[np.int64]:
        """The first rule that holds for each row [N]; R where none does."""
        first = np.full(len(features), len(self._rules))
        for place in reversed(range(len(self._rules))):
            holds = np.logical_and.reduce([condition.holds(features) for condition in self._rules[place]])
            first[holds] = place
        return first

    def raw(self, block: Block) -> Doubles:
        """The scores of the first rule that holds."""
        scores: Doubles = self._scores[self._first(apply_steps(self.steps, block).numbers)]
        return scores

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """All conditions side by side, how many of each rule hold, and the first rule of which all do."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        conditions = [condition for rule in self._rules for condition in rule] or [Condition(0)]
        values = builder.node("Gather", [features, builder.constant(np.array([c.column for c in conditions]))], axis=1)
        # No number is at least infinite and at most negatively so: such a condition is for missing values alone.
        lower = builder.constant(np.array([np.inf if c.missing else c.lower for c in conditions]))
        upper = builder.constant(np.array([-np.inf if c.missing else c.upper for c in conditions]))
        within = builder.node(
            "And",
            [builder.node("GreaterOrEqual", [values, lower]), builder.node("LessOrEqual", [values, upper])],
        )
        wanted = builder.constant(np.array([c.missing for c in conditions]))
        holds = builder.node("Or", [within, builder.node("And", [builder.node("IsNaN", [values]), wanted])])
        # One more rule without a condition holds always.
        belongs = np.zeros((len(conditions), len(self._rules) + 1))
        belongs[np.arange(sum(map(len, self._rules))), np.repeat(np.arange(len(self._rules)), self._lengths[:-1])] = 1.0
        counts = builder.node("MatMul", [builder.node("Cast", [holds], to=_DOUBLE), builder.constant(belongs)])
        full = builder.node("Equal", [counts, builder.constant(self._lengths.astype(np.float64)[None, :])])
        first = builder.node("ArgMax", [builder.node("Cast", [full], to=_INT64)], axis=1, keepdims=0)
        return builder.mark("raw", builder.node("Gather", [builder.constant(self._scores), first], axis=0))

    @property
    def _lengths(self) -> NDArray[np.int64]:
        return np.array([*map(len, self._rules), 0])

    # --- in words ----------------------------------------------------------------------------------------------

    def told(self, answers: Callable[[Doubles], Sequence[str]]) -> tuple[str, ...]:
        """The rules, each with what it answers and of how many rows."""
        lines = []
        for place, answer in enumerate(answers(self._scores)):
            start = "ELSE " if place else ""
            if place < len(self._rules):
                start += f"IF {self._said(self._rules[place])} THEN "
            lines.append(f"{start}{answer} ({self._covered[place]:,} rows)")
        return tuple(lines)

    def _said(self, rule: Rule) -> str:
        columns = dict.fromkeys(condition.column for condition in rule)
        return " AND ".join(self._about(column, [c for c in rule if c.column == column]) for column in columns)

    def _about(self, column: int, conditions: Sequence[Condition]) -> str:
        """All that is asked of one column."""
        name = self._names[column]
        if any(condition.missing for condition in conditions):
            return f"{name} is missing"
        lower = max(condition.lower for condition in conditions)
        upper = min(condition.upper for condition in conditions)
        if self._is_category[column]:
            return f"{name} is {self._texts[name][int(lower)]!r}"
        if lower == upper:
            return f"{name} is {lower:g}"
        if np.isinf(lower):
            return f"{name} <= {self._shown(column, upper)}"
        border = self._shown(column, float(np.nextafter(lower, -np.inf)))  # below the least that passes
        return f"{name} > {border}" if np.isinf(upper) else f"{border} < {name} <= {self._shown(column, upper)}"

    def _shown(self, column: int, value: float) -> str:
        if self._names[column] in self.problem.dates:
            return str(np.datetime_as_string(np.datetime64(int(value), "us"), unit="auto"))
        return repr(float(value)).removesuffix(".0")
