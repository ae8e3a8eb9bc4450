"""Short texts as numbers: n-grams of characters or words with tf-idf weights, for every language.

Texts come as codec `characters/1` gives them: their characters with U+001F between. So a graph can take them into
characters, and into words by the spaces, with `StringSplit` alone; nothing depends on a locale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.bundle.codecs import SEPARATOR
from lepton.core import ErrorCode, MissingExtraError, UsageError
from lepton.data.steps.base import Block, Step, Tensors, concatenated, unique_names

__all__ = ["DropTexts", "TextGrams", "TextLength", "num_characters", "split_texts"]

_SEPARATORS = {"character": SEPARATOR, "word": f"{SEPARATOR} {SEPARATOR}"}
_LEARNED_TOKENS = 4_000_000  # a vocabulary is hardly another one with more
_TOKENS_AT_ONCE = 1_000_000
_DOUBLE = 11  # onnx.TensorProto

Gram = tuple[str, ...]


@dataclass(frozen=True)
class TextGrams(Step):
    """Adds the tf-idf weights of the n-grams of text columns: a row's weights of a column have the length 1.

    The weight of an n-gram is how often it stands in the text, times `log((1 + rows) / (1 + rows with it)) + 1`
    (scikit-learn's smooth idf), divided by the length of all those of the row.

    Attributes:
        columns: the text columns, each with a vocabulary of its own.
        unit: `character` or `word`.
        grams: the known n-grams of each column, as tuples of pieces, shorter ones first, then in their order.
        weights: the idf of each.
    """

    name: ClassVar[str] = "text-grams"
    columns: tuple[str, ...]
    unit: str
    grams: tuple[tuple[Gram, ...], ...]
    weights: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls,
        block: Block,
        *,
        columns: Sequence[str] | None = None,
        unit: str = "character",
        longest: int = 4,
        min_count: int = 2,
        max_grams: int = 8_000,
    ) -> Self:
        """Learn the `max_grams` n-grams of 1 to `longest` pieces that stand in the most rows.

        Args:
            block: rows; evenly spaced ones are looked at where they hold more than 4 million pieces.
            columns: text columns; all by default.
            unit: `character` or `word`.
            longest: pieces of the longest n-gram, 1 to 4.
            min_count: rows that an n-gram must stand in.
            max_grams: n-grams that are kept of each column; of equally frequent ones the shorter, then the first.

        Raises:
            UsageError: no such unit or length.
        """
        if unit not in _SEPARATORS or not 1 <= longest <= 4:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the unit {unit!r} and the longest n-gram {longest}",
                wanted="character or word, and 1 to 4 pieces",
            )
        columns = block.string_names if columns is None else tuple(columns)
        learned = [_learn(block.strings[c], unit, longest, min_count, max_grams) for c in columns]
        return cls(columns, unit, tuple(grams for grams, _ in learned), tuple(weights for _, weights in learned))

    @property
    def num_grams(self) -> int:
        """Columns that the step adds."""
        return sum(map(len, self.grams))

    def sparse(self, block: Block) -> Any:
        """The weights as a SciPy CSR matrix [N, num_grams] of doubles: what learners of many n-grams fit on."""
        try:
            import scipy.sparse
        except ImportError:
            raise MissingExtraError("scipy", "train", "Learning from texts") from None
        parts = []
        for column, grams, weights in zip(self.columns, self.grams, self.weights, strict=True):
            rows, places, values = self._weighted(block.strings[column], grams, weights)
            shape = (block.num_rows, len(grams))
            parts.append(scipy.sparse.csr_array((values, (rows, places)), shape=shape))
        return scipy.sparse.hstack(parts, format="csr") if parts else scipy.sparse.csr_array((block.num_rows, 0))

    def apply(self, block: Block) -> Block:
        """Put the weights behind the numbers."""
        parts = [block.numbers]
        for column, grams, weights in zip(self.columns, self.grams, self.weights, strict=True):
            part = np.zeros((block.num_rows, len(grams)))
            rows, places, values = self._weighted(block.strings[column], grams, weights)
            part[rows, places] = values
            parts.append(part)
        return Block(np.hstack(parts), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`emit_weights` behind the numbers."""
        numbers = concatenated(builder, [tensors.numbers, self.emit_weights(builder, tensors)])
        return Tensors(numbers, self._names(tensors), tensors.strings, tensors.string_names)

    def emit_weights(self, builder: GraphBuilder, tensors: Tensors) -> str | None:
        """`StringSplit`, `LabelEncoder`, `TfIdfVectorizer`, divided by the length; None where nothing is known.

        Returns:
            Name of the double tensor [N, num_grams].
        """
        parts: list[str | None] = []
        for column, grams, weights in zip(self.columns, self.grams, self.weights, strict=True):
            if not grams:
                continue
            split, _ = split_texts(builder, tensors, column, self.unit)
            pieces = _pieces(grams)
            numbers = builder.node(
                "LabelEncoder",
                [split],
                domain=ML_DOMAIN,
                keys_tensor=np.array(pieces, dtype=object),
                values_tensor=np.arange(1, len(pieces) + 1),
                default_tensor=np.array([0]),  # stands in no n-gram
            )
            counts = builder.node("TfIdfVectorizer", [numbers], **_attributes(grams))
            # Its own weighting adds up in single precision; counts are exact.
            doubles = builder.node("Cast", [counts], to=_DOUBLE)
            weighted = builder.node("Mul", [doubles, builder.constant(np.array([weights]))])
            length = builder.node("ReduceL2", [weighted, builder.constant(np.array([1]))], keepdims=1)
            # Weights are at least 1: a length below 1 is that of a row without known n-grams.
            parts.append(builder.node("Div", [weighted, builder.node("Max", [length, builder.constant(1.0)])]))
        return concatenated(builder, parts)

    def _weighted(
        self, texts: pl.Series, grams: tuple[Gram, ...], weights: tuple[float, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Row, place and weight of each known n-gram of each text, by row."""
        if not grams or not len(texts):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        pieces = {piece: number for number, piece in enumerate(_pieces(grams), start=1)}
        base = len(pieces) + 1
        by_length = {
            size: {_code([pieces[p] for p in gram], base): i for i, gram in enumerate(grams) if len(gram) == size}
            for size in {len(gram) for gram in grams}
        }
        found: list[NDArray[np.int64]] = []
        counts: list[NDArray[np.int64]] = []
        for first, numbers, rows in _tokens(texts, self.unit, pieces):
            cells = []  # row and place as one number: counting such is ten times as fast as grouping by both
            for size, known in by_length.items():
                codes, where = _codes(numbers, rows, size, base)
                order = np.array(sorted(known), dtype=np.int64)
                at = np.minimum(np.searchsorted(order, codes), len(order) - 1)
                hit = order[at] == codes
                places = np.array([known[code] for code in order.tolist()], dtype=np.int64)[at[hit]]
                cells.append((where[hit] + first) * len(grams) + places)
            distinct, times = np.unique(np.concatenate(cells), return_counts=True)
            found.append(distinct)
            counts.append(times)
        rows, places = np.divmod(np.concatenate(found), len(grams))
        values = np.concatenate(counts) * np.array(weights)[places]
        squares = np.bincount(rows, weights=values**2, minlength=len(texts))
        return rows, places, values / np.sqrt(squares)[rows]

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        wanted = [
            f"{column}:{(' ' if self.unit == 'word' else '').join(gram).replace(SEPARATOR, '')}"
            for column, grams in zip(self.columns, self.grams, strict=True)
            for gram in grams
        ]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))


@dataclass(frozen=True)
class TextLength(Step):
    """Adds the number of characters of text columns; a missing text has none.

    Attributes:
        columns: the text columns.
    """

    name: ClassVar[str] = "text-length"
    columns: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Remember the columns; all of kind text by default."""
        return cls(block.string_names if columns is None else tuple(columns))

    def apply(self, block: Block) -> Block:
        """Put the lengths behind the numbers."""
        lengths = [num_characters(block.strings[column]).astype(np.float64) for column in self.columns]
        return Block(np.column_stack([block.numbers, *lengths]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """What `StringSplit` counts."""
        parts = [tensors.numbers]
        for column in self.columns:
            _, counts = split_texts(builder, tensors, column, "character")
            doubles = builder.node("Cast", [counts], to=_DOUBLE)
            parts.append(builder.node("Reshape", [doubles, builder.constant(np.array([-1, 1]))]))
        numbers = concatenated(builder, parts)
        return Tensors(numbers, self._names(tensors), tensors.strings, tensors.string_names)

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        wanted = [f"length({column})" for column in self.columns]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))


@dataclass(frozen=True)
class DropTexts(Step):
    """Takes text columns away, after others have made numbers of them.

    Attributes:
        columns: which.
    """

    name: ClassVar[str] = "drop-texts"
    columns: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Remember the columns; all of kind text by default."""
        return cls(block.string_names if columns is None else tuple(columns))

    def apply(self, block: Block) -> Block:
        """The block without them."""
        return Block(block.numbers, block.number_names, block.strings.drop(self.columns))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Gather` the other text columns."""
        kept = tuple(name for name in tensors.string_names if name not in self.columns)
        if kept == tensors.string_names:
            return tensors
        strings = None
        if kept:
            places = np.array([tensors.string_names.index(name) for name in kept])
            strings = builder.node("Gather", [str(tensors.strings), builder.constant(places)], axis=1)
        return Tensors(tensors.numbers, tensors.number_names, strings, kept)


def _learn(
    texts: pl.Series, unit: str, longest: int, min_count: int, max_grams: int
) -> tuple[tuple[Gram, ...], tuple[float, ...]]:
    """The n-grams of one column and their idf."""
    texts = texts.gather_every(max(1, -(-int(num_characters(texts).sum()) // _LEARNED_TOKENS)))
    split = texts.filter(texts != "").str.split(_SEPARATORS[unit]).explode()
    counts = split.rename("piece").value_counts(name="count").filter(pl.col("count") >= min_count)
    names = sorted(piece for piece in counts["piece"].to_list() if piece)
    pieces = {piece: number for number, piece in enumerate(names, start=1)}
    base = len(pieces) + 1
    tables = []
    for size in range(1, longest + 1):
        if base**size >= 2**63:
            break  # codes of so many pieces have no room; such long n-grams of so many are rare anyway
        found = [
            pl.DataFrame({"row": where[known] + first, "code": codes[known]})
            for first, numbers, rows in _tokens(texts, unit, pieces)
            for codes, where in [_codes(numbers, rows, size, base)]
            for known in [codes >= 0]
        ]
        counted = pl.concat(found).unique().group_by("code").len(name="rows") if found else pl.DataFrame()
        if counted.height:
            tables.append(counted.filter(pl.col("rows") >= min_count).with_columns(size=pl.lit(size, pl.Int64)))
    if not tables:
        return (), ()
    table = pl.concat(tables).sort(["rows", "size", "code"], descending=[True, False, False]).head(max_grams)
    table = table.sort("size", "code")
    grams = tuple(
        tuple(names[number - 1] for number in _numbers_of(code, size, base))
        for code, size in table.select("code", "size").iter_rows()
    )
    idf = np.log((1.0 + len(texts)) / (1.0 + table["rows"].to_numpy())) + 1.0
    return grams, tuple(idf.tolist())


def num_characters(texts: pl.Series) -> NDArray[np.int64]:
    """How many characters spelt-out texts have [N]."""
    counts = texts.str.count_matches(SEPARATOR, literal=True).cast(pl.Int64) + (texts != "").cast(pl.Int64)
    numbers: NDArray[np.int64] = counts.to_numpy()
    return numbers


def split_texts(builder: GraphBuilder, tensors: Tensors, column: str, unit: str) -> Any:
    """The pieces of a text column [N, L] and how many each row has [N]."""
    place = builder.constant(np.array(tensors.string_names.index(column)))
    text = builder.node("Gather", [str(tensors.strings), place], axis=1)
    return builder.node("StringSplit", [text], outputs=2, delimiter=_SEPARATORS[unit])


def _tokens(texts: pl.Series, unit: str, pieces: dict[str, int]) -> Any:
    """Pieces of some texts at a time as numbers, 0 for unknown ones, and the row of each, counted from the first."""
    lengths = num_characters(texts).cumsum()
    first = 0
    while first < len(texts):
        limit = (lengths[first - 1] if first else 0) + _TOKENS_AT_ONCE
        end = max(first + 1, int(np.searchsorted(lengths, limit, side="right")))
        part = pl.DataFrame({"row": np.arange(end - first), "text": texts[first:end]})
        split = part.filter(pl.col("text") != "").with_columns(pl.col("text").str.split(_SEPARATORS[unit]))
        flat = split.explode("text", empty_as_null=True) if split.height else split.select("row", text=pl.lit(""))
        numbers = (
            flat["text"].replace_strict(list(pieces), list(pieces.values()), default=0, return_dtype=pl.Int64)
            if pieces
            else pl.Series(np.zeros(flat.height, dtype=np.int64))
        )
        yield first, numbers.to_numpy(), flat["row"].to_numpy()
        first = end


def _codes(
    numbers: NDArray[np.int64], rows: NDArray[np.int64], size: int, base: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A whole number for each n-gram of `size` pieces, -1 for one with an unknown piece, and its row."""
    num_grams = max(0, len(numbers) - size + 1)
    codes = np.zeros(num_grams, dtype=np.int64)
    whole = rows[:num_grams] == rows[size - 1 : size - 1 + num_grams]
    known = np.ones(num_grams, dtype=bool)
    for offset in range(size):
        part = numbers[offset : offset + num_grams]
        codes = codes * base + part
        known &= part > 0
    return np.where(known, codes, -1)[whole], rows[:num_grams][whole]


def _code(numbers: Sequence[int], base: int) -> int:
    code = 0
    for number in numbers:
        code = code * base + number
    return code


def _numbers_of(code: int, size: int, base: int) -> list[int]:
    numbers = []
    for _ in range(size):
        code, number = divmod(code, base)
        numbers.append(number)
    return numbers[::-1]


def _pieces(grams: Sequence[Gram]) -> list[str]:
    return sorted({piece for gram in grams for piece in gram})


def _attributes(grams: Sequence[Gram]) -> dict[str, Any]:
    """Attributes of `TfIdfVectorizer` for n-grams of numbered pieces; the n-grams stand by their length."""
    numbers = {piece: number for number, piece in enumerate(_pieces(grams), start=1)}
    longest = max(map(len, grams))
    sizes = [len(gram) for gram in grams]
    starts = [sum(size for size in sizes if size < n) for n in range(1, longest + 1)]
    return {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": longest,
        "max_skip_count": 0,
        "ngram_counts": starts,
        "ngram_indexes": list(range(len(grams))),
        "pool_int64s": [numbers[piece] for gram in grams for piece in gram],
    }
