"""What happens to the cells of a table: noise, gaps, wrong units, strange categories, slips, and values that move.

Every perturbation takes the columns that it acts on, so that all of them can be spoilt together, as a curve shows it,
or one alone, which tells whose errors hurt most. Random numbers are the same at every strength: what strength 2 spoils
is among what strength 3 spoils.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import Kind
from lepton.data import Baseline
from lepton.evaluation.classification import Floats
from lepton.evaluation.robustness.texts import TEXTS

__all__ = ["TABLES", "Facts", "TablePerturbation", "facts_of", "numbers_of", "with_numbers"]

CELLS = (0.05, 0.1, 0.2, 0.4, 0.8)
NOISE = (0.05, 0.1, 0.2, 0.4, 0.8)
SHIFTS = (0.1, 0.25, 0.5, 1.0, 2.0)
GONE = (0.05, 0.1, 0.2, 0.35, 0.5)
WRONG_UNITS = (0.02, 0.05, 0.1, 0.25, 0.5)
TILTS = (0.25, 0.5, 0.75, 1.0, 1.5)
_MIDDLE = 2  # place of strength 3
_DRAWS = 8  # choices of columns, or of directions, that the rows of a table are shared out to
_MEMBERS = ("inputs.json", "outputs.json")


@dataclass(frozen=True, slots=True)
class Facts:
    """What perturbations have to know about the columns that a model takes.

    Attributes:
        columns: all of them that the rows have.
        numbers: those that hold numbers.
        dates: those that hold datetimes.
        categories: those that hold categories or identifiers.
        texts: those that hold texts.
        spreads: standard deviation of each number (and of dates, in microseconds), in training where the model carries
            it; columns without any are left out.
    """

    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    categories: tuple[str, ...]
    texts: tuple[str, ...]
    spreads: Mapping[str, float]

    @property
    def spread_out(self) -> tuple[str, ...]:
        """Numbers that differ at all."""
        return tuple(name for name in self.numbers if name in self.spreads)


def facts_of(predictor: Predictor, frame: pl.DataFrame) -> Facts:
    """Kinds of the model's columns, as far as the rows hold them so, and how far their values spread."""
    found: dict[Kind, list[str]] = {}
    schema = frame.schema
    for column in predictor.manifest.inputs:
        if column.name not in schema:
            continue
        dtype = schema[column.name]
        fits = column.kind is not Kind.NUMBER or dtype.is_numeric()
        if fits and (column.kind is not Kind.DATETIME or dtype.is_temporal()):
            found.setdefault(column.kind, []).append(column.name)
    numbers, dates = found.get(Kind.NUMBER, []), found.get(Kind.DATETIME, [])
    return Facts(
        tuple(column.name for column in predictor.manifest.inputs if column.name in schema),
        tuple(numbers),
        tuple(dates),
        (*found.get(Kind.CATEGORY, []), *found.get(Kind.IDENTIFIER, [])),
        tuple(found.get(Kind.TEXT, [])),
        _spreads(predictor, frame, (*numbers, *dates)),
    )


def _spreads(predictor: Predictor, frame: pl.DataFrame, names: Sequence[str]) -> dict[str, float]:
    bundle = predictor.bundle
    known: dict[str, float] = {}
    if names and all(f"baseline/{name}" in bundle.names for name in _MEMBERS):
        baseline = Baseline.from_members({name: bundle.member(f"baseline/{name}") for name in _MEMBERS})
        for column in baseline.inputs:
            if column.numbers is not None and column.numbers.moments.deviation:
                known[column.name] = column.numbers.moments.deviation
    out: dict[str, float] = {}
    matrix = numbers_of(frame, names)
    for place, name in enumerate(names):
        spread = known.get(name)
        if spread is None:
            finite = matrix[np.isfinite(matrix[:, place]), place]
            spread = float(finite.std()) if len(finite) else 0.0
        if math.isfinite(spread) and spread > 0:
            out[name] = spread
    return out


def numbers_of(frame: pl.DataFrame, columns: Sequence[str]) -> Floats:
    """Numbers (and datetimes, as microseconds since 1970) as float64 [N, k]; missing is NaN."""
    if not columns:
        return np.empty((frame.height, 0))
    schema = frame.select(columns).schema
    casts = [
        (pl.col(name).dt.timestamp("us") if dtype.is_temporal() else pl.col(name)).cast(pl.Float64)
        for name, dtype in schema.items()
    ]
    matrix: Floats = frame.select(casts).fill_null(float("nan")).to_numpy(writable=True)
    return matrix


def with_numbers(frame: pl.DataFrame, columns: Sequence[str], values: Floats) -> pl.DataFrame:
    """The frame with other numbers [N, k] in these columns; NaN is missing."""
    schema = frame.select(columns).schema
    made = pl.DataFrame(values, schema=list(columns), orient="row").fill_nan(None)
    dates = [name for name, dtype in schema.items() if dtype.is_temporal()]
    return frame.with_columns(
        made.with_columns(pl.col(n).cast(pl.Int64, strict=False).cast(pl.Datetime("us")).cast(schema[n]) for n in dates)
    )


Change = Callable[[pl.DataFrame, Sequence[str], int, Facts, np.random.Generator], pl.DataFrame]
Alone = Callable[[pl.DataFrame, str, Facts, np.random.Generator], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class TablePerturbation:
    """One perturbation of tables.

    Attributes:
        name: as it is asked for.
        title: as it is shown.
        says: what each of the five strengths means.
        columns: the columns that it can act on.
        needs: what these are, in words.
        change: `(frame, columns, strength, facts, generator) -> frame`.
        alone: what is done to a single column to see whose errors hurt most: in words, and how.
    """

    name: str
    title: str
    says: tuple[str, ...]
    columns: Callable[[Facts], tuple[str, ...]]
    needs: str
    change: Change
    alone: tuple[tuple[str, Alone], ...] = ()

    def said(self, strength: int) -> str:
        """What a strength means."""
        return self.says[strength - 1]


def _says(words: str, amounts: Sequence[float]) -> tuple[str, ...]:
    return tuple(words.format(f"{each:g}") for each in amounts)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _scaled(facts: Facts, columns: Sequence[str]) -> Floats:
    return np.array([facts.spreads.get(name, 0.0) for name in columns], dtype=np.float64)


def _noise(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    values = numbers_of(frame, columns)
    moved = values + NOISE[strength - 1] * _scaled(facts, columns) * generator.standard_normal(values.shape)
    return with_numbers(frame, columns, moved)


def _shift(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    """Every number up or down by a share of its spread, the directions drawn for an eighth of the rows at a time."""
    signs = generator.choice((-1.0, 1.0), size=(_DRAWS, len(columns)))
    signs[:, [place for place, name in enumerate(columns) if name in facts.dates]] = 1.0  # time goes on
    own = signs[generator.integers(_DRAWS, size=frame.height)]
    values = numbers_of(frame, columns)
    return with_numbers(frame, columns, values + SHIFTS[strength - 1] * _scaled(facts, columns) * own)


def _up(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
    step = SHIFTS[_MIDDLE] * facts.spreads.get(column, 0.0)
    return with_numbers(frame, (column,), numbers_of(frame, (column,)) + step)


def _down(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
    step = SHIFTS[_MIDDLE] * facts.spreads.get(column, 0.0)
    return with_numbers(frame, (column,), numbers_of(frame, (column,)) - step)


UNITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"× 1000": (1000.0, 0.0), "× 0.001": (0.001, 0.0), "× 2.54": (2.54, 0.0), "°C taken for °F": (1.8, 32.0)}
)
"""Units that are mixed up: factor and offset."""


def _unit_errors(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    """In a share of the rows one number stands in a wrong unit."""
    factors = np.array(list(UNITS.values()))
    values = numbers_of(frame, columns)
    hit = np.flatnonzero(generator.random(frame.height) < WRONG_UNITS[strength - 1])
    places = generator.integers(len(columns), size=frame.height)[hit]
    kinds = generator.integers(len(factors), size=frame.height)[hit]
    values[hit, places] = values[hit, places] * factors[kinds, 0] + factors[kinds, 1]
    return with_numbers(frame, columns, values)


def _in_unit(factor: float, offset: float) -> Alone:
    def change(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
        return with_numbers(frame, (column,), numbers_of(frame, (column,)) * factor + offset)

    return change


# --- cells of any kind ------------------------------------------------------------------------------------------------


def _emptied(frame: pl.DataFrame, columns: Sequence[str], hit: NDArray[np.bool_]) -> pl.DataFrame:
    gone = [pl.Series(hit[:, place]) for place in range(len(columns))]
    return frame.with_columns(
        pl.when(mask).then(None).otherwise(pl.col(name)).alias(name) for name, mask in zip(columns, gone, strict=True)
    )


def _missing_cells(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    return _emptied(frame, columns, generator.random((frame.height, len(columns))) < CELLS[strength - 1])


def _missing_columns(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    """Some columns are empty, others for each eighth of the rows, so that every column has its turn."""
    num_gone = math.ceil(GONE[strength - 1] * len(columns))
    order, first = generator.permutation(len(columns)), np.arange(_DRAWS)[:, None] * len(columns) // _DRAWS
    gone = (order[None, :] - first) % len(columns) < num_gone
    return _emptied(frame, columns, gone[generator.integers(_DRAWS, size=frame.height)])


def _all_missing(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, dtype=frame.schema[column]).alias(column))


def _stranger(values: pl.Series) -> str:
    """A value that the column does not hold."""
    known, name = set(values.unique().to_list()), "not seen before"
    while name in known:
        name += "."
    return name


def _unseen(
    frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
) -> pl.DataFrame:
    hit = generator.random((frame.height, len(columns))) < CELLS[strength - 1]
    return _replaced(frame, columns, hit)


def _replaced(frame: pl.DataFrame, columns: Sequence[str], hit: NDArray[np.bool_]) -> pl.DataFrame:
    out = []
    for place, name in enumerate(columns):
        texts = frame[name].cast(pl.String)
        out.append(texts.set(pl.Series(hit[:, place]), _stranger(texts)))
    return frame.with_columns(out)


def _all_unseen(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
    return _replaced(frame, (column,), np.ones((frame.height, 1), dtype=bool))


# --- texts in cells ---------------------------------------------------------------------------------------------------


def _in_texts(name: str, of_category: Callable[[str, np.random.Generator], str] | None) -> Change:
    """A perturbation of texts in every cell of a text, and of categories, where it has a form, in a share of them."""
    perturbation = TEXTS[name]

    def change(
        frame: pl.DataFrame, columns: Sequence[str], strength: int, facts: Facts, generator: np.random.Generator
    ) -> pl.DataFrame:
        out = []
        for column in columns:
            own = np.random.default_rng(generator.integers(2**62))
            values = frame[column].cast(pl.String)
            if column in facts.texts:
                amount = perturbation.amounts[strength - 1]
                cells = [None if v is None else perturbation.change(v, amount, own) for v in values.to_list()]
                out.append(pl.Series(column, cells, dtype=pl.String))
            elif of_category is not None:
                hit = own.random(frame.height) < CELLS[strength - 1]
                out.append(_respelled(values, hit, of_category, own))
        return frame.with_columns(out)

    return change


def _respelled(
    values: pl.Series,
    hit: NDArray[np.bool_],
    change: Callable[[str, np.random.Generator], str],
    generator: np.random.Generator,
) -> pl.Series:
    """Another spelling for the cells that are hit, the same for equal values."""
    known = values.drop_nulls().unique(maintain_order=True).to_list()
    spelled = {value: change(value, generator) for value in known}
    other = values.replace(known, [spelled[value] for value in known]) if known else values
    return other.zip_with(pl.Series(hit), values).rename(values.name)


def _slip(value: str, generator: np.random.Generator) -> str:
    return TEXTS["typos"].change(value, 0.1, generator)  # type: ignore[no-any-return]


def _case(value: str, generator: np.random.Generator) -> str:
    forms = [form for form in (value.upper(), value.lower(), value.title()) if form != value]
    return forms[int(generator.integers(len(forms)))] if forms else value


def _space(value: str, generator: np.random.Generator) -> str:
    return (f" {value}", f"{value} ", f"{value}\u00a0")[int(generator.integers(3))]


def _spelled(name: str, of_category: Callable[[str, np.random.Generator], str] | None) -> Alone:
    in_texts = _in_texts(name, of_category)

    def change(frame: pl.DataFrame, column: str, facts: Facts, generator: np.random.Generator) -> pl.DataFrame:
        if column in facts.texts or of_category is None:
            return in_texts(frame, (column,), _MIDDLE + 1, facts, generator)
        values = frame[column].cast(pl.String)
        return frame.with_columns(_respelled(values, np.ones(len(values), dtype=bool), of_category, generator))

    return change


def _written(facts: Facts) -> tuple[str, ...]:
    return (*facts.categories, *facts.texts)


def _of_text(name: str, of_category: Callable[[str, np.random.Generator], str] | None) -> TablePerturbation:
    of_texts = TEXTS[name]
    says = [f"texts: {of_texts.said(strength)}" for strength in range(1, 6)]
    if of_category is not None:
        says = [f"{share:g} of the categories; {text}" for share, text in zip(CELLS, says, strict=True)]
    return TablePerturbation(
        name,
        of_texts.title,
        tuple(says),
        _written if of_category is not None else lambda facts: facts.texts,
        "texts" if of_category is None else "categories or texts",
        _in_texts(name, of_category),
        (("a slip in every cell", _spelled(name, of_category)),) if name == "typos" else (),
    )


TABLES: Mapping[str, TablePerturbation] = MappingProxyType(
    {
        each.name: each
        for each in (
            TablePerturbation(
                "noise",
                "Noise on numbers",
                _says("normal noise, {} of the column's spread", NOISE),
                lambda facts: facts.spread_out,
                "numbers that differ",
                _noise,
                (
                    (
                        f"noise of {NOISE[_MIDDLE]:g} of its spread",
                        lambda frame, column, facts, generator: _noise(frame, (column,), _MIDDLE + 1, facts, generator),
                    ),
                ),
            ),
            TablePerturbation(
                "missing_cells",
                "Missing cells",
                _says("{} of the cells missing", CELLS),
                lambda facts: facts.columns,
                "columns",
                _missing_cells,
            ),
            TablePerturbation(
                "missing_columns",
                "Missing columns",
                _says("{} of the columns empty, one at least", GONE),
                lambda facts: facts.columns,
                "columns",
                _missing_columns,
                (("all of it missing", _all_missing),),
            ),
            TablePerturbation(
                "unit_errors",
                "Wrong units",
                _says("one number in a wrong unit in {} of the rows", WRONG_UNITS),
                lambda facts: facts.numbers,
                "numbers",
                _unit_errors,
                tuple((f"all of it {name}", _in_unit(*unit)) for name, unit in UNITS.items()),
            ),
            TablePerturbation(
                "unseen_categories",
                "Unseen categories",
                _says("{} of the categories replaced by one that nobody has seen", CELLS),
                lambda facts: facts.categories,
                "categories",
                _unseen,
                (("all of it unseen", _all_unseen),),
            ),
            _of_text("typos", _slip),
            _of_text("case", _case),
            _of_text("whitespace", _space),
            _of_text("punctuation", None),
            _of_text("paraphrase", None),
            TablePerturbation(
                "shift",
                "Shifted numbers",
                _says("every number moved by {} of its spread", SHIFTS),
                lambda facts: tuple(name for name in (*facts.numbers, *facts.dates) if name in facts.spreads),
                "numbers or dates that differ",
                _shift,
                (
                    (f"all of it up by {SHIFTS[_MIDDLE]:g} of its spread", _up),
                    (f"all of it down by {SHIFTS[_MIDDLE]:g} of its spread", _down),
                ),
            ),
        )
    }
)
"""Perturbations of tables by name."""
