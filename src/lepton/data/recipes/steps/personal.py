"""Steps that make personal data say less: masked, replaced by keyed pseudonyms, or made coarser."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import polars as pl

from lepton.core import ErrorCode, Kind, Schema, SecurityError, UsageError
from lepton.data.recipes.base import Applied, BoundStep, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.bound import SameColumns
from lepton.store import open_read

__all__ = ["KEY_FILE_VARIABLE", "KEY_VARIABLE", "Generalise", "Mask", "Pseudonymise"]

KEY_VARIABLE = "LEPTON_PSEUDONYM_KEY"
"""Environment variable that holds the key of pseudonyms."""
KEY_FILE_VARIABLE = "LEPTON_PSEUDONYM_KEY_FILE"
"""Environment variable that names a file with the key, which only its owner may read."""

_MIN_KEY_BYTES, _MAX_KEY_BYTES = 16, 4096
_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_NAMED = (*_TEXTS, Kind.NUMBER)


def _named(step: str, columns: tuple[str, ...]) -> None:
    if not columns:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{step}: no columns are named", wanted="at least one column")


def _as_texts(schema: Schema, columns: tuple[str, ...], kind: Kind | None = None) -> Schema:
    return Schema(
        tuple(
            replace(c, kind=kind or (c.kind if c.dtype == "string" else Kind.IDENTIFIER), dtype="string", unit=None)
            if c.name in columns
            else c
            for c in schema
        )
    )


def _written(values: pl.Series) -> pl.Series:
    """Values as texts; 17.0 and 17 are the same."""
    if values.dtype.is_float():
        whole = values.is_finite() & (values == values.round()) & (values.abs() < 2.0**53)
        table = pl.DataFrame({"value": values, "whole": whole})
        plain = pl.col("value").cast(pl.Int64, strict=False).cast(pl.String)
        return table.select(
            pl.when("whole").then(plain).otherwise(pl.col("value").cast(pl.String)).alias(values.name)
        ).to_series()
    return values.cast(pl.String)


@dataclass(frozen=True)
class Mask(RecipeStep):
    """Replace the letters and digits of texts but the last few by a character; punctuation stays.

    Attributes:
        columns: the columns.
        keep: how many letters and digits at the end stay as they are; a text of as many or fewer is masked whole.
        character: what stands for the others.
    """

    name: ClassVar[str] = "mask"
    scope: ClassVar[Scope] = Scope.ROW
    hides: ClassVar[bool] = True
    columns: tuple[str, ...]
    keep: int = 4
    character: str = "*"

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        _named(self.name, self.columns)
        if not 0 <= self.keep <= 100:
            raise UsageError(ErrorCode.BAD_RECIPE, f"mask: got keep={self.keep}", wanted="0 to 100")
        if len(self.character) != 1 or self.character.isalnum():
            came = f"mask: got character={self.character[:20]!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="one character that is no letter or digit")
        columns = chosen_columns(schema, self.columns, _NAMED, self.name)
        return _Masked(schema, columns, _as_texts(schema, columns), self.keep, self.character)


@dataclass(frozen=True)
class _Masked(SameColumns):
    keep: int = 4
    character: str = "*"

    def apply(self, frame: pl.DataFrame) -> Applied:
        return Applied(frame.with_columns(self._masked(_written(frame[name])) for name in self.columns))

    def _masked(self, values: pl.Series) -> pl.Series:
        # The tail is the shortest end with `keep` letters and digits, where more than those are there.
        tail = r"(?:[\p{L}\p{N}][^\p{L}\p{N}]*)" + f"{{{self.keep}}}$"
        enough = values.str.count_matches(r"[\p{L}\p{N}]") > self.keep
        kept = values.str.extract(f"({tail})", 1).fill_null("")
        table = pl.DataFrame({"all": values, "tail": kept, "enough": enough}).with_columns(
            pl.when("enough").then("tail").otherwise(pl.lit("")).alias("tail")
        )
        head = pl.col("all").str.head(
            pl.col("all").str.len_chars().cast(pl.Int64) - pl.col("tail").str.len_chars().cast(pl.Int64)
        )
        hidden = head.str.replace_all(r"[\p{L}\p{N}]", self.character.replace("$", "$$"))
        return table.select((hidden + pl.col("tail")).alias(values.name)).to_series()


@dataclass(frozen=True)
class Pseudonymise(RecipeStep):
    """Replace values by keyed pseudonyms: the first half of HMAC-SHA-256, as 32 hexadecimal digits.

    The key comes from the environment (`LEPTON_PSEUDONYM_KEY`, or `LEPTON_PSEUDONYM_KEY_FILE` with the name of a
    file), never from the recipe. The same value has the same pseudonym in every column and table under one key.

    Attributes:
        columns: the columns: texts, or numbers that name something.
    """

    name: ClassVar[str] = "pseudonymise"
    scope: ClassVar[Scope] = Scope.ROW
    hides: ClassVar[bool] = True
    columns: tuple[str, ...]

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        _named(self.name, self.columns)
        columns = chosen_columns(schema, self.columns, _NAMED, self.name)
        return _Pseudonymised(schema, columns, _as_texts(schema, columns, Kind.IDENTIFIER))


@dataclass(frozen=True)
class _Pseudonymised(SameColumns):
    def apply(self, frame: pl.DataFrame) -> Applied:
        key = _pseudonym_key()
        made = []
        for name in self.columns:
            values = _written(frame[name])
            distinct = values.drop_nulls().unique()
            names = [hmac.digest(key, text.encode(), "sha256")[:16].hex() for text in distinct]
            made.append(values.replace_strict(distinct, pl.Series(names, dtype=pl.String), default=None))
        return Applied(frame.with_columns(made))


def _pseudonym_key() -> bytes:
    """The key from the environment.

    Raises:
        SecurityError: there is none, it is too short, or others may read its file.
    """
    given, file_name = os.environ.get(KEY_VARIABLE), os.environ.get(KEY_FILE_VARIABLE)
    if given and file_name:
        raise SecurityError(ErrorCode.BAD_KEY, f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} are both set", fix="unset one")
    if not given and not file_name:
        raise SecurityError(
            ErrorCode.BAD_KEY,
            "pseudonymise has no key",
            wanted=f"{KEY_FILE_VARIABLE} with the name of a file, or {KEY_VARIABLE}",
            fix="make one with `openssl rand -hex 32` and keep it apart from the data",
        )
    key = given.encode() if given else _read_key(str(file_name))
    if not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        wanted = f"{_MIN_KEY_BYTES} to {_MAX_KEY_BYTES} bytes"
        raise SecurityError(ErrorCode.BAD_KEY, f"the key of pseudonyms has {len(key)} bytes", wanted=wanted)
    return key


def _read_key(name: str) -> bytes:
    with open_read(name) as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(_MAX_KEY_BYTES + 2)
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        came = f"others may read the key of pseudonyms: the mode of its file is {stat.S_IMODE(mode):04o}"
        raise SecurityError(ErrorCode.BAD_KEY, came, fix="chmod 600")
    return data.strip()


@dataclass(frozen=True)
class Generalise(RecipeStep):
    """Make values coarser: numbers as bands, dates as months or years, codes as their first characters.

    Attributes:
        columns: the columns, all of one kind.
        to: `band`, `month`, `year` or `prefix`.
        width: of a band: 10 makes 37 "30 to 40", which holds 30 and not 40.
        keep: how many characters of a prefix stay.
    """

    name: ClassVar[str] = "generalise"
    scope: ClassVar[Scope] = Scope.ROW
    hides: ClassVar[bool] = True
    columns: tuple[str, ...]
    to: Literal["band", "month", "year", "prefix"]
    width: float = 10.0
    keep: int = 3

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        _named(self.name, self.columns)
        if not 0 < self.width < float("inf"):
            raise UsageError(ErrorCode.BAD_RECIPE, f"generalise: got width={self.width}", wanted="more than 0")
        if not 0 <= self.keep <= 100:
            raise UsageError(ErrorCode.BAD_RECIPE, f"generalise: got keep={self.keep}", wanted="0 to 100")
        kinds = {"band": (Kind.NUMBER,), "prefix": _NAMED}.get(self.to, (Kind.DATETIME,))
        columns = chosen_columns(schema, self.columns, kinds, self.name)
        dates = self.to in ("month", "year")
        after = None if dates else _as_texts(schema, columns, Kind.CATEGORY)
        return _Generalised(schema, columns, after, self.to, self.width, self.keep)


@dataclass(frozen=True)
class _Generalised(SameColumns):
    to: str = "band"
    width: float = 10.0
    keep: int = 3

    def apply(self, frame: pl.DataFrame) -> Applied:
        return Applied(frame.with_columns(self._coarse(frame[name]) for name in self.columns))

    def _coarse(self, values: pl.Series) -> pl.Series:
        if self.to in ("month", "year"):
            return values.dt.truncate("1mo" if self.to == "month" else "1y")
        if self.to == "prefix":
            return _written(values).str.head(self.keep)
        number = values.cast(pl.Float64)
        step = (number / self.width).floor()
        low, high = step * self.width, (step + 1) * self.width
        text = _written(low.round(9)) + " to " + _written(high.round(9))
        return text.rename(values.name)
