"""The small language of expressions over the columns of a row: `amount / 100 if currency == 'ct' else amount`.

A text is parsed by Python's grammar and nothing of it is ever run: the tree is rebuilt from a short list of forms, and
each form has a Polars expression and, where there is one, nodes of a graph that give the same answer.

What every form keeps:

- Numbers are doubles. A result that is not finite is missing: a division by zero, the logarithm of 0, an overflow.
- Missing goes in, missing comes out, but for `is missing`, `coalesce`, `min` and `max` (which pass over it), `and` and
  `or` (`false and missing` is false), and the condition of an `if` (missing takes the `else`).
- Datetimes are compared and taken apart in UTC. An empty text is a missing one.
"""

from __future__ import annotations

import ast
import datetime as dt
import math
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, Kind, LeptonError, Schema, UsageError, printable
from lepton.data.recipes.expression_forms import FORMS, MEMBER, Form, Graph, Value, without_zone
from lepton.data.steps import Tensors

__all__ = ["FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "Expression", "parse"]

MAX_LENGTH = 4_000
"""Characters of an expression."""

MAX_DEPTH = 100
"""Levels of brackets and operators inside one another."""

_MAX_EXPONENT = 64
_EQUALS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|[=!<>:]=+|=""", re.DOTALL)
"""Quoted parts, operators, and the lone `=` of SQL, which is read as `==`."""

FUNCTIONS = {
    "abs": (1, 1), "log": (1, 1), "exp": (1, 1), "sqrt": (1, 1), "floor": (1, 1), "ceil": (1, 1), "round": (1, 2),
    "min": (2, 50), "max": (2, 50), "clip": (3, 3), "coalesce": (2, 50), "is_missing": (1, 1),
    "length": (1, 1), "lower": (1, 1), "upper": (1, 1), "contains": (2, 2), "starts_with": (2, 2), "ends_with": (2, 2),
    "year": (1, 1), "month": (1, 1), "day": (1, 1), "weekday": (1, 1), "hour": (1, 1), "days_between": (2, 2),
    "date": (1, 1),
}  # fmt: skip
"""Each function with the fewest and the most arguments that it takes."""

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.And: "and", ast.Or: "or", ast.Not: "not", ast.USub: "negative", ast.UAdd: "positive",
}  # fmt: skip

_KINDS = {
    Kind.NUMBER: Kind.NUMBER,
    Kind.BOOLEAN: Kind.BOOLEAN,
    Kind.DATETIME: Kind.DATETIME,
    Kind.CATEGORY: Kind.TEXT,
    Kind.TEXT: Kind.TEXT,
    Kind.IDENTIFIER: Kind.TEXT,
}

_WHOLE = frozenset({"year", "month", "day", "weekday", "hour", "length"})
_PASSING = frozenset({"if", "coalesce", "min", "max", "clip"})
"""Forms whose answer is one of their arguments."""

_FOLDED = frozenset({"min", "max", "coalesce"})

_GIVEN_TEXT = frozenset({"contains", "starts_with", "ends_with"})
"""Functions whose second argument is a text that is written out, so that it cannot be a pattern from the data."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression; made by `parse`.

    >>> from lepton.core import ColumnRecord, Kind, Schema
    >>> schema = Schema((ColumnRecord("price", Kind.NUMBER), ColumnRecord("floor area", Kind.NUMBER)))
    >>> expression = parse("price / `floor area`")
    >>> expression.columns, str(expression.kind(schema))
    (('price', 'floor area'), 'number')
    >>> frame = pl.DataFrame({"price": [6.0, 1.0], "floor area": [2.0, 0.0]})
    >>> frame.select(each=expression.polars(schema))["each"].to_list()
    [3.0, None]

    Attributes:
        text: as it was written.
    """

    text: str
    _tree: _Node = field(repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, in the order in which they first appear."""
        return tuple(dict.fromkeys(node.value for node in _walk(self._tree) if node.form == "column"))  # type: ignore[misc]

    def kind(self, schema: Schema) -> Kind:
        """What its values are: number, boolean, datetime, text, or category where only categories and words flow in.

        Raises:
            DataError: a column that `schema` has not, or that is of another kind than its place wants; the message
                names the position.
        """
        typed = _typed(self.text, self._tree, schema)
        if typed.kind is Kind.TEXT and _is_category(typed, schema):
            return Kind.CATEGORY
        return typed.known

    def dtype(self, schema: Schema) -> str:
        """Storage type of its values, as in `ColumnRecord.dtype`: `int64` where the numbers can only be whole."""
        typed = _typed(self.text, self._tree, schema)
        if typed.kind is Kind.NUMBER:
            return "int64" if _is_whole(typed) else "float64"
        return {Kind.BOOLEAN: "bool", Kind.DATETIME: "datetime"}.get(typed.known, "string")

    def polars(self, schema: Schema) -> pl.Expr:
        """The expression on frames of `schema`: Float64 or Int64, Boolean, Datetime (UTC, without zone) or String.

        Raises:
            DataError: as `kind`.
        """
        typed = _typed(self.text, self._tree, schema)
        made = _as_polars(typed, schema)
        return made.cast(pl.Int64) if typed.known is Kind.NUMBER and _is_whole(typed) else made

    def emit(self, builder: GraphBuilder, tensors: Tensors, schema: Schema) -> str:
        """The expression as nodes of a graph.

        Args:
            builder: the graph.
            tensors: where the columns are in it.
            schema: their kinds.

        Returns:
            Name of a tensor [N, 1]: string for texts (missing is empty), else double (missing is NaN).

        Raises:
            DataError: as `kind`, and `NO_GRAPH_FORM` for a form that graphs do not have.
        """
        typed = _typed(self.text, self._tree, schema)
        graph = Graph(builder, tensors)
        made = _as_nodes(self.text, typed, graph)
        return graph.repeated(made) if not self.columns else made

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Expression:
    """Read an expression; nothing of it is run, and no column need be there yet.

    Args:
        text: at most `MAX_LENGTH` characters: numbers, `'texts'`, `true`, `false`, `missing`, column names (in
            backquotes where they are not one plain word), `+ - * / // % **`, comparisons, `in (…)`, `is missing`,
            `and`, `or`, `not`, `a if condition else b`, and the functions of `FUNCTIONS`.

    Raises:
        UsageError: anything else; the message names the position.
    """
    if not isinstance(text, str):
        raise UsageError(ErrorCode.USAGE, f"got an expression of type {type(text).__name__}", wanted="text")
    if len(text) > MAX_LENGTH:
        raise _refusal(text, 0, f"the expression has {len(text):,} characters", f"at most {MAX_LENGTH:,}")
    text = _EQUALS.sub(lambda found: "==" if found[0] == "=" else found[0], text.strip())
    if not text:
        raise _refusal(text, 0, "the expression is empty", "for example: amount / 100")
    return Expression(text, _Reader(text).read())


# --- the tree ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """One part of an expression.

    Attributes:
        form: `literal`, `column`, `member`, or a name of `FORMS`.
        at: where it begins in the text, from 0.
        value: the literal (None: missing), the column's name, or the choices of a member test.
        parts: what it is applied to.
    """

    form: str
    at: int
    value: Value | tuple[Value, ...] | None = None
    parts: tuple[_Node, ...] = ()


@dataclass(frozen=True)
class _Typed:
    """A part whose kind is known; None is the kind of a bare `missing`."""

    node: _Node
    kind: Kind | None
    parts: tuple[_Typed, ...] = ()
    form: Form | None = None

    @property
    def known(self) -> Kind:
        """Its kind, where it is not a bare `missing`."""
        if self.kind is None:
            raise UsageError(ErrorCode.USAGE, "the expression is always missing", wanted="a value in at least one case")
        return self.kind


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for part in node.parts:
        yield from _walk(part)


def _refusal(text: str, at: int, came: str, wanted: str = "", fix: str = "") -> UsageError:
    return UsageError(ErrorCode.USAGE, f"{_place(text, at)}: {came}", wanted=wanted, fix=fix, details={"position": at})


def _place(text: str, at: int) -> str:
    shown = printable(text, 80)
    return f"expression '{shown}', position {at + 1}" if text else "expression ''"


class _Reader:
    """From a text to a tree: Python's grammar, and of its forms only those that are listed here."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.quoted: dict[int, str] = {}

    def read(self) -> _Node:
        plain = self._without_backquotes().replace("\n", " ").replace("\r", " ")
        self.encoded = plain.encode("utf-8", "surrogatepass")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what Python only warns of, such as '\d', is refused
                tree = ast.parse(plain, mode="eval")
        except SyntaxError as error:
            at = min(max((error.offset or 1) - 1, 0), len(self.text) - 1)
            raise _refusal(
                self.text, at, "it cannot be read", "for example: amount / 100 if unit == 'ct' else amount"
            ) from None
        except (ValueError, RecursionError, MemoryError, Warning):
            raise _refusal(self.text, 0, "it cannot be read", "a shorter and flatter expression") from None
        return self._node(tree.body, 1)

    def _without_backquotes(self) -> str:
        """The text with each name in backquotes as underscores of the same length, noted in `quoted` by position."""
        out, position, text = [], 0, self.text
        while position < len(text):
            char = text[position]
            end = position
            if char in "'\"`":
                end = position + 1
                while end < len(text) and text[end] != char:
                    end += 2 if text[end] == "\\" and char != "`" else 1
                if end >= len(text):
                    raise _refusal(text, position, f"the {char} is not closed")
            piece = text[position : end + 1]
            if char == "`":
                if len(piece) < 3:
                    raise _refusal(text, position, "there is no name between the backquotes")
                self.quoted[position] = piece[1:-1]
                piece = "_" * len(piece)
            out.append(piece)
            position = end + 1
        return "".join(out)

    def _at(self, tree: ast.expr) -> int:
        return len(self.encoded[: tree.col_offset].decode("utf-8", "surrogatepass"))

    def _refusal(self, tree: ast.expr, came: str, wanted: str = "", fix: str = "") -> UsageError:
        return _refusal(self.text, self._at(tree), came, wanted, fix)

    def _node(self, tree: ast.expr, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._refusal(tree, "it is nested too deeply", f"at most {MAX_DEPTH} levels")
        reader = getattr(self, f"_{type(tree).__name__.lower()}", None)
        if reader is None:
            raise self._refusal(
                tree,
                f"got what Python calls {type(tree).__name__}",
                "numbers, texts, columns, operators and the functions " + ", ".join(FUNCTIONS),
            )
        node: _Node = reader(tree, depth)
        return node

    def _constant(self, tree: ast.Constant, _depth: int) -> _Node:
        return _Node("literal", self._at(tree), self._literal(tree))

    def _literal(self, tree: ast.expr) -> Value:
        """The value that is written out: a number, with a sign or not, a text, a truth or a date."""
        if isinstance(tree, ast.Call) and self._is_date(tree):
            return self._date(tree)
        if isinstance(tree, ast.Name) and self._word(tree) in {"true", "false"}:
            return self._word(tree) == "true"
        sign = 1
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
            sign, tree = (-1 if isinstance(tree.op, ast.USub) else 1), tree.operand
        value = tree.value if isinstance(tree, ast.Constant) else None
        if isinstance(value, bool | str) and sign == 1:
            return self._text(tree, value) if isinstance(value, str) else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(sign * value)
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise self._refusal(tree, "got a number that no double holds")
            return number
        raise self._refusal(
            tree, "this is not a value that is written out", "a number, a text, true, false or a date('2024-01-31')"
        )

    def _text(self, tree: ast.expr, text: str) -> str:
        if not text or any(c == "\0" or unicodedata.category(c) == "Cs" for c in text):
            raise self._refusal(
                tree, "got a text that is empty, holds a NUL or is not valid Unicode", fix="write: is missing"
            )
        return unicodedata.normalize("NFC", text)

    def _word(self, tree: ast.Name) -> str:
        """A name as it is written, for Python folds compatible characters; "" for one in backquotes."""
        end = len(self.encoded[: tree.end_col_offset].decode("utf-8", "surrogatepass"))
        return "" if self._at(tree) in self.quoted else self.text[self._at(tree) : end]

    def _name(self, tree: ast.Name, _depth: int) -> _Node:
        at, word = self._at(tree), self._word(tree)
        if word in {"missing", "true", "false"}:
            return _Node("literal", at, {"missing": None, "true": True, "false": False}[word])
        return _Node("column", at, word or self.quoted[at])

    def _unaryop(self, tree: ast.UnaryOp, depth: int) -> _Node:
        if type(tree.op) not in _OPERATORS:
            raise self._refusal(tree, "got the operator ~", "not")
        if isinstance(tree.op, ast.USub) and isinstance(tree.operand, ast.Constant):
            return _Node("literal", self._at(tree), self._literal(tree))
        return self._apply(_OPERATORS[type(tree.op)], tree, depth, tree.operand)

    def _binop(self, tree: ast.BinOp, depth: int) -> _Node:
        operator = _OPERATORS.get(type(tree.op))
        if operator is None:
            raise self._refusal(
                tree, f"got the operator that Python calls {type(tree.op).__name__}", "+ - * / // % or **"
            )
        if operator == "**":
            exponent = self._literal(tree.right)
            if type(exponent) is not float or abs(exponent) > _MAX_EXPONENT:
                raise self._refusal(
                    tree.right, "got that exponent", f"a number from -{_MAX_EXPONENT} to {_MAX_EXPONENT}"
                )
        return self._apply(operator, tree, depth, tree.left, tree.right)

    def _boolop(self, tree: ast.BoolOp, depth: int) -> _Node:
        parts = [self._node(value, depth + 1) for value in tree.values]
        return _folded(_OPERATORS[type(tree.op)], self._at(tree), parts)

    def _ifexp(self, tree: ast.IfExp, depth: int) -> _Node:
        return self._apply("if", tree, depth, tree.test, tree.body, tree.orelse)

    def _compare(self, tree: ast.Compare, depth: int) -> _Node:
        """`a < b <= c` is `a < b and b <= c`."""
        for middle in tree.comparators[:-1]:
            if not isinstance(middle, ast.Constant | ast.Name):  # it is read twice
                raise self._refusal(
                    middle, "the middle of two comparisons is neither a column nor a value", "two with 'and'"
                )
        lefts = [tree.left, *tree.comparators[:-1]]
        tests = [self._test(*each, depth) for each in zip(lefts, tree.ops, tree.comparators, strict=True)]
        return _folded("and", self._at(tree), tests)

    def _test(self, left: ast.expr, operator: ast.cmpop, right: ast.expr, depth: int) -> _Node:
        at, value = self._at(left), self._node(left, depth + 1)
        if isinstance(operator, ast.Is | ast.IsNot):
            if not isinstance(right, ast.Name) or self._word(right) != "missing":
                raise self._refusal(
                    right, "got something else than missing after 'is'", "is missing, is not missing, or =="
                )
            test = _Node("is_missing", at, parts=(value,))
        elif isinstance(operator, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
                raise self._refusal(
                    right, "got something else than a list after 'in'", "for example: town in ('Ulm', 'Bonn')"
                )
            test = _Node("member", at, tuple(self._literal(choice) for choice in right.elts), (value,))
        else:
            return _Node(_OPERATORS[type(operator)], at, parts=(value, self._node(right, depth + 1)))
        return _Node("not", at, parts=(test,)) if isinstance(operator, ast.IsNot | ast.NotIn) else test

    def _call(self, tree: ast.Call, depth: int) -> _Node:
        name = self._word(tree.func) if isinstance(tree.func, ast.Name) else ""
        if name not in FUNCTIONS:
            now = "write the day as date('2024-01-31'): a recipe gives the same answer every day"
            raise self._refusal(
                tree,
                f"there is no function '{printable(name, 40)}'"
                if name
                else "got a call of something else than a function",
                "one of " + ", ".join(FUNCTIONS),
                now if name in {"now", "today"} else "",
            )
        fewest, most = FUNCTIONS[name]
        arguments, at = tree.args, self._at(tree)
        if tree.keywords or any(isinstance(a, ast.Starred) for a in arguments) or not fewest <= len(arguments) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise self._refusal(tree, f"'{name}' got other arguments than it takes", f"{wanted}, without names")
        if name == "date":
            return _Node("literal", at, self._date(tree))
        if name == "round":
            digits = self._literal(arguments[1]) if len(arguments) == 2 else 0.0
            if type(digits) is not float or digits not in range(16):
                raise self._refusal(arguments[-1], "got that number of digits", "a whole number from 0 to 15")
            return _Node(name, at, digits, (self._node(arguments[0], depth + 1),))
        if name in _GIVEN_TEXT:
            given = self._literal(arguments[1])
            if not isinstance(given, str):
                raise self._refusal(arguments[1], f"the second argument of '{name}' is not a text", "for example: 'km'")
            return _Node(name, at, given, (self._node(arguments[0], depth + 1),))
        parts = [self._node(argument, depth + 1) for argument in arguments]
        return _folded(name, at, parts) if name in _FOLDED else _Node(name, at, parts=tuple(parts))

    def _is_date(self, tree: ast.Call) -> bool:
        return isinstance(tree.func, ast.Name) and self._word(tree.func) == "date" and len(tree.args) == 1

    def _date(self, tree: ast.Call) -> dt.datetime:
        written = tree.args[0].value if isinstance(tree.args[0], ast.Constant) else None
        try:
            when = dt.datetime.fromisoformat(written)  # type: ignore[arg-type]  # TypeError is caught
            return when if when.tzinfo is None else when.astimezone(dt.UTC).replace(tzinfo=None)
        except (TypeError, ValueError, OverflowError):
            raise self._refusal(tree, "got that date", "a text such as '2024-01-31' or '2024-01-31 12:30'") from None

    def _apply(self, form: str, tree: ast.expr, depth: int, *parts: ast.expr) -> _Node:
        return _Node(form, self._at(tree), parts=tuple(self._node(part, depth + 1) for part in parts))


def _folded(form: str, at: int, parts: Sequence[_Node]) -> _Node:
    """A form of many parts as one of two, again and again: half by half, so that the tree stays flat."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _Node(form, at, parts=(_folded(form, at, parts[:half]), _folded(form, at, parts[half:])))


# --- kinds ------------------------------------------------------------------------------------------------------------


def _typed(text: str, node: _Node, schema: Schema) -> _Typed:
    if node.form == "literal":
        return _Typed(node, None if node.value is None else _kind_of(node.value))  # type: ignore[arg-type]
    if node.form == "column":
        return _Typed(node, _column_kind(text, node, schema))
    node = _in_digits(node, schema)
    parts = tuple(_typed(text, part, schema) for part in node.parts)
    if node.form == "member":
        both = list(dict.fromkeys([parts[0].kind, *map(_kind_of, node.value)]))  # type: ignore[arg-type]
        if len(both) != 1:
            raise _misfit(text, node, f"'in' got {_named(both)}", "values of one kind on both sides")
        return _Typed(node, Kind.BOOLEAN, parts, MEMBER)
    kinds = [part.kind for part in parts]
    for form in FORMS[node.form]:
        if form.fits(kinds):
            shared = form.shared(kinds)
            known = zip(parts, form.takes, strict=True)
            told = tuple(part if part.kind else replace(part, kind=wanted or shared) for part, wanted in known)
            return _Typed(node, form.gives or shared, told, form)
    wanted = " or ".join(form.wanted for form in FORMS[node.form])
    fix = ""
    if set(kinds) == {Kind.DATETIME, Kind.TEXT}:
        fix = "write the date as date('2024-01-31')"
    elif Kind.BOOLEAN in kinds and Kind.NUMBER in FORMS[node.form][0].takes:
        fix = "write (1 if it holds else 0)"
    raise _misfit(text, node, f"'{node.form}' got {_named(kinds)}", wanted, fix)


def _in_digits(node: _Node, schema: Schema) -> _Node:
    """A test of an identifier against numbers as one against their digits, which is how they are written."""
    if node.form == "member" and _is_spelled(node.parts[0], schema):
        return replace(node, value=tuple(map(_digits, node.value)))  # type: ignore[arg-type]
    if node.form in {"==", "!="} and any(_is_spelled(part, schema) for part in node.parts):
        parts = (replace(p, value=_digits(p.value)) if p.form == "literal" else p for p in node.parts)  # type: ignore[arg-type]
        return replace(node, parts=tuple(parts))
    return node


def _is_spelled(node: _Node, schema: Schema) -> bool:
    if node.form != "column" or node.value not in schema:
        return False
    return schema[str(node.value)].kind is Kind.IDENTIFIER


def _digits(value: Value | None) -> Value | None:
    """A number as it is spelled in a column of texts: 17, not 17.0."""
    return f"{value:.15g}" if type(value) is float else value


def _column_kind(text: str, node: _Node, schema: Schema) -> Kind:
    try:
        record = schema[str(node.value)]
    except LeptonError as error:
        raise DataError(
            error.code, f"{_place(text, node.at)}: {error.came}", fix=error.fix, details={"position": node.at}
        ) from None
    if record.kind not in _KINDS:
        raise _misfit(
            text, node, f"column '{printable(record.name)}' is of the kind {record.kind}", "values of a table"
        )
    return _KINDS[record.kind]


def _kind_of(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, dt.datetime):
        return Kind.DATETIME
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _named(kinds: Iterable[Kind | None]) -> str:
    return " and ".join("missing" if kind is None else str(kind) for kind in kinds)


def _misfit(text: str, node: _Node, came: str, wanted: str, fix: str = "") -> DataError:
    return DataError(
        ErrorCode.WRONG_KIND,
        f"{_place(text, node.at)}: {came}",
        wanted=wanted,
        fix=fix,
        details={"position": node.at},
    )


def _is_whole(typed: _Typed) -> bool:
    """Whether a number can only be a whole one that an Int64 holds."""
    node = typed.node
    if node.form == "literal":
        return node.value is None or (
            isinstance(node.value, float) and node.value.is_integer() and abs(node.value) < 2**53
        )
    parts = typed.parts[1:] if node.form == "if" else typed.parts
    return node.form in _WHOLE or (node.form in _PASSING and all(_is_whole(part) for part in parts))


def _is_category(typed: _Typed, schema: Schema) -> bool:
    """Whether all texts that flow into a text are categories or written out."""
    if typed.node.form == "column":
        return schema[str(typed.node.value)].kind is Kind.CATEGORY
    return all(_is_category(part, schema) for part in typed.parts if part.kind is Kind.TEXT)


# --- the two forms ----------------------------------------------------------------------------------------------------


def _as_polars(typed: _Typed, schema: Schema) -> pl.Expr:
    node = typed.node
    if node.form == "literal":
        dtypes = {Kind.NUMBER: pl.Float64(), Kind.BOOLEAN: pl.Boolean(), Kind.DATETIME: pl.Datetime("us")}
        return pl.lit(node.value, dtype=dtypes.get(typed.kind, pl.String()))  # type: ignore[arg-type]
    if node.form == "column":
        column = pl.col(str(node.value))
        if typed.kind is Kind.NUMBER:
            return column.cast(pl.Float64)
        if typed.kind is Kind.DATETIME:
            return without_zone(column)
        return pl.when(column != "").then(column) if typed.kind is Kind.TEXT else column
    parts = [_as_polars(part, schema) for part in typed.parts]
    form = typed.form.polars  # type: ignore[union-attr]
    return form(*parts) if node.value is None else form(*parts, node.value)


def _as_nodes(text: str, typed: _Typed, graph: Graph) -> str:
    node = typed.node
    if node.form == "literal":
        return graph.literal(node.value, typed.kind)  # type: ignore[arg-type]
    if node.form == "column":
        return graph.column(str(node.value))
    form = typed.form
    kinds = [part.kind for part in typed.parts]
    shared = form.shared(kinds)  # type: ignore[union-attr]
    if form.graph is None or (shared is not None and shared not in form.graph_among):  # type: ignore[union-attr]
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"{_place(text, node.at)}: '{node.form}' has no form in a graph for {_named(kinds)}",
            fix="keep the column out of what a model is trained on, or derive it before the rows are sent",
        )
    parts = [_as_nodes(text, part, graph) for part in typed.parts]
    given = () if node.value is None else (node.value,)
    return form.graph(graph, *([shared] if None in form.takes else []), *parts, *given)  # type: ignore[union-attr]
