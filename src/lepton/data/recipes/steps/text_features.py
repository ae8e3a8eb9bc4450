"""Free texts as numbers: how long they are and what they are made of, and which words or pieces stand in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.bundle.build import ML_DOMAIN
from lepton.bundle.codecs import SEPARATOR, characters, map_distinct, stable_hash
from lepton.core import DataError, ErrorCode, Kind, LeptonError, Schema, UsageError, check_label
from lepton.data.recipes.base import Applied, BoundStep, Learner, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.steps.lookup import Replaced, with_replaced
from lepton.data.steps import Block, DropTexts, Tensors, TextGrams
from lepton.data.steps.base import concatenated
from lepton.data.steps.text import num_characters, split_texts

__all__ = ["TextFeatures"]

_TEXTS = (Kind.TEXT, Kind.CATEGORY, Kind.IDENTIFIER)
_MOST_COLUMNS = 1_000
_MOST_CHARACTERS = 4_000_000
"""Characters of different texts that n-grams are learned from; of more texts a part is drawn by their hash."""
_MOST_ROWS = 1_000_000
_HASHES = 2**48
_DOUBLE = 11  # onnx.TensorProto
_WORD_END = f"{SEPARATOR} {SEPARATOR}"
_DIGITS = tuple(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isdecimal())
_CAPITALS = r"\p{Lu}"

Count = Literal["characters", "words", "digits", "capitals"]


@dataclass(frozen=True)
class TextFeatures(RecipeStep):
    """Replace free texts by numbers: counts, and the weights of their most frequent words or pieces of words.

    A weight is tf-idf: how often an n-gram stands in the text, times the logarithm of how rare it is among all texts,
    on a scale on which a row's weights have the length 1. Texts are taken without case, runs of white space as one
    space, and cut after 2,000 characters. A missing text counts as an empty one. Which n-grams are frequent is learned
    from texts of at most 4 million characters, of more from a part that their hashes choose.

    Attributes:
        columns: the columns; () for every free text.
        counts: what is counted: `characters`, `words`, `digits`, and `capitals`, for which model files have no form.
        grams: n-grams of `words`, of `characters` (for texts without spaces between words), or `none`.
        longest: words or characters of the longest n-gram, 1 to 4.
        max_columns: at most so many n-grams of a column, the most frequent; 1,000 at most.
        min_rows: texts that an n-gram must stand in.
    """

    name: ClassVar[str] = "text_features"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    counts: tuple[Count, ...] = ("characters", "words", "digits")
    grams: Literal["words", "characters", "none"] = "words"
    longest: int = 1
    max_columns: int = 50
    min_rows: int = 2

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        if not (1 <= self.longest <= 4 and 1 <= self.max_columns <= _MOST_COLUMNS and self.min_rows >= 1):
            came = f"got longest={self.longest}, max_columns={self.max_columns} and min_rows={self.min_rows}"
            wanted = f"1 to 4, 1 to {_MOST_COLUMNS:,}, and at least 1"
            raise UsageError(ErrorCode.BAD_RECIPE, f"text_features: {came}", wanted=wanted)
        if len(set(self.counts)) < len(self.counts) or (not self.counts and self.grams == "none"):
            came = f"text_features: got counts={list(self.counts)} and grams={self.grams!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="something to make of texts, each once")
        return chosen_columns(schema, self.columns, _TEXTS, self.name, default=(Kind.TEXT,))

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The n-grams."""
        return None if self.grams == "none" else _Grams(self.reads(schema), self)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        made, steps = [], []
        for name in columns:
            grams, weights = learned["grams"][name] if self.grams != "none" else ((), ())
            pieces = tuple(tuple(map(SEPARATOR.join, gram)) for gram in grams)  # words are spelt out, too
            if len(pieces) != len(weights) or not all(1 <= len(gram) <= 4 and all(gram) for gram in pieces):
                raise ValueError(f"the n-grams of {name!r} and their weights do not fit")
            if not all(1.0 <= weight < 1_000.0 for weight in weights):
                raise ValueError(f"the weights of {name!r} are no tf-idf")
            made.append((*(f"{name}: number of {count}" for count in self.counts), *self._titles(name, pieces)))
            steps.append(TextGrams((name,), self.grams.removesuffix("s"), (pieces,), (tuple(map(float, weights)),)))
        after = with_replaced(self.name, schema, columns, made)
        return _Featured(schema, columns, tuple(made), after, self.counts, tuple(steps))

    def _titles(self, column: str, grams: Sequence[tuple[str, ...]]) -> list[str]:
        """A name for each n-gram: itself, or its number where that is no name."""
        found: list[str] = []
        for number, gram in enumerate(grams, 1):
            text = (" " if self.grams == "words" else "").join(gram).replace(SEPARATOR, "")
            try:
                title = check_label(f'{column}: "{text}"')
            except LeptonError:
                title = ""
            found.append(title if title and title not in found else f"{column}: n-gram {number}")
        return found


@dataclass(frozen=True)
class _Featured(Replaced):
    counts: tuple[Count, ...]
    steps: tuple[TextGrams, ...]

    @property
    def codecs(self) -> Mapping[str, str]:
        return dict.fromkeys(self.columns, "characters/1")

    def apply(self, frame: pl.DataFrame) -> Applied:
        numbers: dict[str, pl.Series] = {}
        for name, names, step in zip(self.columns, self.made, self.steps, strict=True):
            spelt = _spelt(frame[name])
            parts = [_counted(count, frame[name], spelt) for count in self.counts]
            block = Block(np.empty((frame.height, 0)), (), pl.DataFrame({name: spelt}))
            weights = step.apply(block).numbers
            parts += [pl.Series(weights[:, place]) for place in range(weights.shape[1])]
            numbers |= dict(zip(names, parts, strict=True))
        return Applied(self.with_numbers(frame, numbers))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        if "capitals" in self.counts:
            raise DataError(
                ErrorCode.NO_GRAPH_FORM,
                "text_features: capitals cannot be counted in a model file, which takes texts without case",
                fix="leave capitals out of its counts, or train on table.without_recipe()",
            )
        parts: list[str | None] = [tensors.numbers]
        made: list[str] = []
        for name, names, step in zip(self.columns, self.made, self.steps, strict=True):
            if name in tensors.string_names:
                parts += [_counted_node(builder, tensors, name, count) for count in self.counts]
                parts.append(step.emit_weights(builder, tensors))
                made += names
        left = DropTexts(self.columns).emit(builder, tensors)
        return Tensors(concatenated(builder, parts), (*tensors.number_names, *made), left.strings, left.string_names)


def _spelt(texts: pl.Series) -> pl.Series:
    """Texts as the codec `characters/1` gives them."""
    return map_distinct(texts.fill_null(""), characters)


def _counted(count: Count, texts: pl.Series, spelt: pl.Series) -> pl.Series:
    if count == "characters":
        return pl.Series(num_characters(spelt).astype(np.float64))
    if count == "words":
        found = spelt.str.count_matches(_WORD_END, literal=True).cast(pl.Float64)
        return found + (spelt != "").cast(pl.Float64)
    if count == "digits":
        return spelt.str.count_matches("[" + "".join(_DIGITS) + "]").cast(pl.Float64)
    return texts.fill_null("").str.count_matches(_CAPITALS).cast(pl.Float64)


def _counted_node(builder: GraphBuilder, tensors: Tensors, column: str, count: Count) -> str:
    pieces, number = split_texts(builder, tensors, column, "word" if count == "words" else "character")
    if count == "digits":
        ones = builder.node(
            "LabelEncoder",
            [pieces],
            domain=ML_DOMAIN,
            keys_tensor=np.array(_DIGITS, dtype=object),
            values_tensor=np.ones(len(_DIGITS)),
            default_tensor=np.array([0.0]),
        )
        total: str = builder.node("ReduceSum", [ones, builder.constant(np.array([1]))], keepdims=1)
        return total
    doubles = builder.node("Cast", [number], to=_DOUBLE)
    column_of: str = builder.node("Reshape", [doubles, builder.constant(np.array([-1, 1]))])
    return column_of


class _Grams(Learner):
    """The frequent n-grams of columns, from different texts and how often each stands there.

    Where the texts are too many, those stay whose hash is below a bound, which is halved until they fit: the order of
    the rows, and how they were cut, have no say.
    """

    def __init__(self, columns: Sequence[str], step: TextFeatures) -> None:
        self.columns = tuple(columns)
        self._step = step
        empty = pl.DataFrame(schema={"text": pl.String, "rows": pl.Int64})
        self._texts = dict.fromkeys(self.columns, empty)
        self._bounds = dict.fromkeys(self.columns, _HASHES)

    def update(self, frame: pl.DataFrame) -> None:
        for name in self.columns:
            spelt = _spelt(frame[name])
            counted = spelt.filter(spelt != "").rename("text").value_counts(name="rows")
            self._add(name, counted.with_columns(pl.col("rows").cast(pl.Int64)))

    def merge(self, other: Self) -> None:
        for name, texts in other._texts.items():
            self._bounds[name] = min(self._bounds[name], other._bounds[name])
            self._add(name, texts)

    def _add(self, name: str, texts: pl.DataFrame) -> None:
        both = pl.concat([_below(each, self._bounds[name]) for each in (self._texts[name], texts)])
        kept = both.group_by("text").agg(pl.col("rows").sum())
        while kept.height > 1 and int(num_characters(kept["text"]).sum()) > _MOST_CHARACTERS:
            self._bounds[name] //= 2
            kept = _below(kept, self._bounds[name])
        self._texts[name] = kept

    def finish(self) -> dict[str, Any]:
        return {"grams": {name: self._learned(name) for name in self.columns}}

    def _learned(self, name: str) -> list[Any]:
        kept = self._texts[name].with_columns(_hashes(self._texts[name])).sort("hash", "text")
        ends = np.cumsum(kept["rows"].to_numpy())
        if not len(ends):
            return [[], []]
        places = np.arange(0, ends[-1], -(-int(ends[-1]) // _MOST_ROWS))
        texts = kept["text"].gather(np.searchsorted(ends, places, side="right"))
        found = TextGrams.fit(
            Block(np.empty((len(texts), 0)), (), pl.DataFrame({name: texts})),
            unit=self._step.grams.removesuffix("s"),
            longest=self._step.longest,
            min_count=self._step.min_rows,
            max_grams=self._step.max_columns,
        )
        plain = [[piece.replace(SEPARATOR, "") for piece in gram] for gram in found.grams[0]]
        return [plain, list(found.weights[0])]


def _hashes(texts: pl.DataFrame) -> pl.Series:
    return pl.Series("hash", map(stable_hash, texts["text"]), dtype=pl.Int64)


def _below(texts: pl.DataFrame, bound: int) -> pl.DataFrame:
    return texts if bound == _HASHES else texts.filter(_hashes(texts) < bound)
