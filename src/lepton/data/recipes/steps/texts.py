"""Texts made tidy: spaces, case, Unicode normal form, mojibake; parts replaced or taken out."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import polars as pl

from lepton.bundle.codecs import TextTidier, nfc
from lepton.core import ColumnRecord, ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundRowStep, OnError, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.bound import SameColumns

__all__ = ["ChangeCase", "Extract", "NormaliseUnicode", "RepairMojibake", "Replace", "Trim"]

_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_MOST_PATTERN = 1_000


@dataclass(frozen=True)
class _TextStep(RecipeStep):
    """What the steps on texts share."""

    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _TEXTS, self.name, default=(Kind.CATEGORY, Kind.TEXT))

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        return _Changed(schema, self.reads(schema), step=self)

    @abstractmethod
    def change(self, texts: pl.Series) -> pl.Series:
        """The texts as the step leaves them; an empty one becomes missing."""


class _TidyStep(_TextStep):
    """What the steps share that a codec does in model files: changes of `tidy-text/1`."""

    @property
    @abstractmethod
    def tidying(self) -> tuple[str, ...]:
        """The changes, as the codec calls them."""

    def change(self, texts: pl.Series) -> pl.Series:
        """The texts after them."""
        return TextTidier(self.tidying).tidy_series(texts)


@dataclass(frozen=True)
class Trim(_TidyStep):
    """Take white space from the ends of texts, and make one space of every run inside.

    White space is that of Unicode, with the zero-width space and the byte order mark. A text of white space alone
    becomes missing.

    Attributes:
        columns: the columns; () for every category and text.
        inside: whether runs of white space inside become one space.
    """

    name: ClassVar[str] = "trim"
    inside: bool = True

    @property
    def tidying(self) -> tuple[str, ...]:
        """The changes."""
        return ("trim", "squeeze") if self.inside else ("trim",)


@dataclass(frozen=True)
class ChangeCase(_TidyStep):
    """Write texts in lower case, in upper case, or folded so that only case is lost ("Straße" and "STRASSE" agree).

    Attributes:
        columns: the columns; () for every category and text.
        to: `lower`, `upper`, `title` (each word with a capital) or `fold`.
    """

    name: ClassVar[str] = "change_case"
    to: Literal["lower", "upper", "title", "fold"] = "lower"

    @property
    def tidying(self) -> tuple[str, ...]:
        """The change."""
        return (self.to,)


@dataclass(frozen=True)
class NormaliseUnicode(_TidyStep):
    """Write texts in one Unicode normal form, so that those that look the same are the same.

    `NFC` joins letters and accents; `NFKC` also makes plain characters of wide letters, ligatures and the like. With
    `plain`, quotes, dashes and spaces of every sort become those of a keyboard, and invisible characters go.

    Attributes:
        columns: the columns; () for every category and text.
        form: `NFC` or `NFKC`.
        plain: whether quotes, dashes and spaces become plain.
    """

    name: ClassVar[str] = "normalise_unicode"
    form: Literal["NFC", "NFKC"] = "NFC"
    plain: bool = False

    @property
    def tidying(self) -> tuple[str, ...]:
        """The changes; texts are in NFC already."""
        return ("plain",) * self.plain + ("nfkc",) * (self.form == "NFKC")


@dataclass(frozen=True)
class RepairMojibake(_TidyStep):
    """Undo texts in UTF-8 that were read as Windows-1252 or Latin-1 ("MÃ¼nchen"), where that is certain.

    Attributes:
        columns: the columns; () for every category and text.
    """

    name: ClassVar[str] = "repair_mojibake"

    @property
    def tidying(self) -> tuple[str, ...]:
        """The change."""
        return ("mojibake",)


@dataclass(frozen=True)
class Replace(_TextStep):
    """Replace a part of texts wherever it stands; the part is taken letter by letter.

    Attributes:
        columns: the columns; () for every category and text.
        part: what to look for.
        by: what to put there.
    """

    name: ClassVar[str] = "replace"
    part: str = ""
    by: str = ""

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        if not self.part:
            raise UsageError(ErrorCode.BAD_RECIPE, "replace: got part=''", wanted="a text to look for")
        return super().bind(schema, learned)

    def change(self, texts: pl.Series) -> pl.Series:
        """The texts with it."""
        return nfc(texts.str.replace_all(self.part, self.by, literal=True))


@dataclass(frozen=True)
class Extract(_TextStep):
    """Keep the part of texts that a pattern finds first; a text without it cannot be treated.

    Patterns are those of Rust's regex, whose time is linear in the text: no look-around, no back-references.

    Attributes:
        columns: the columns; () for every category and text.
        pattern: a regular expression of at most 1,000 characters; its first group is kept, or the whole without one.
        on_error: what becomes of texts in which it is not found.
    """

    name: ClassVar[str] = "extract"
    pattern: str = ""
    on_error: OnError = OnError.FAIL

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        if not 0 < len(self.pattern) <= _MOST_PATTERN:
            came = f"extract: got a pattern of {len(self.pattern):,} characters"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="1 to 1,000")
        try:
            self.change(pl.Series(["a"]))
        except pl.exceptions.PolarsError:
            came = f"extract: got the pattern {self.pattern[:100]!r}"
            wanted = "a regular expression of Rust: no look-around, no back-references"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted=wanted) from None
        return super().bind(schema, learned)

    def change(self, texts: pl.Series) -> pl.Series:
        """The part of each."""
        grouped = re.search(r"(?<!\\)(?:\\\\)*\((?!\?)|\(\?P?<", self.pattern) is not None
        return texts.str.extract(self.pattern, 1 if grouped else 0)


@dataclass(frozen=True)
class _Changed(SameColumns):
    step: _TextStep | None = None

    @property
    def fallible(self) -> tuple[str, ...]:
        return self.columns if isinstance(self.step, Extract) else ()

    def raw(self, column: ColumnRecord) -> ColumnRecord | None:
        if not isinstance(self.step, _TidyStep) or column.name not in self.columns:
            return None
        return replace(column, tidying=(*column.tidying, *self.step.tidying))

    def apply(self, frame: pl.DataFrame) -> Applied:
        assert self.step is not None  # noqa: S101 - given by `bind`
        made, bad = [], {}
        for name in self.columns:
            changed = self.step.change(frame[name])
            changed = changed.set(changed == "", None)
            made.append(changed.alias(name))
            if self.fallible:
                bad[name] = changed.is_null() & frame[name].is_not_null()
        return Applied(frame.with_columns(made), bad)
