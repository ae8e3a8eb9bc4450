"""Personal data, by column: what kind, how much, how sure, and examples that show nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lepton.core import ErrorCode, Kind, Schema, UsageError, Work
from lepton.data.dataset import Dataset
from lepton.data.quality.personal.names import CHINESE_SURNAMES, FAMILY_NAMES, GIVEN_NAMES, folded
from lepton.data.quality.personal.page import personal_page
from lepton.data.quality.personal.patterns import PATTERNS, Pattern, spaced
from lepton.data.quality.personal.records import PersonalFinding
from lepton.report import Page

__all__ = ["PersonalData", "find_personal", "masked"]

DEFAULT_ROWS = 20_000
MAX_CHARACTERS = 20_000
_EXAMPLES = 3
_WHOLE = 0.5  # share of a column's cells that are nothing else: it is a column of that kind
_BATCH = 20_000
_MOSTLY_NAMES = 0.8
_HALF_NAMES = 0.4

_BIRTH = re.compile(
    r"\b(dob|birth|birthday|birthdate|born|date of birth|geburt\w*|naissance|nacimiento|nascita|nascimento)\b|出生|生日"
)
_LATITUDE = re.compile(r"\b(lat|latitude|breitengrad|latitud|latitudine)\b|纬度")
_LONGITUDE = re.compile(r"\b(lon|lng|long|longitude|längengrad|longitud|longitudine)\b|经度")
_NAMED = re.compile(
    r"\b(name|first ?name|last ?name|full ?name|given ?name|surname|family ?name|forename|vorname|nachname|nom|prénom|"
    r"prenom|nombre|apellidos?|nome|cognome|customer|patient|employee|person|contact|author)\b|姓名|名字"
)


@dataclass(frozen=True)
class PersonalData:
    """What was found.

    Attributes:
        findings: in the order of the columns, the surest first.
        rows_seen: rows that were looked at, from the start.
        complete: whether those were all.
    """

    findings: tuple[PersonalFinding, ...]
    rows_seen: int
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "findings": [each.to_dict() for each in self.findings],
            "rows_seen": self.rows_seen,
            "complete": self.complete,
        }

    def text(self) -> str:
        """Lines for a terminal."""
        seen = f"{self.rows_seen:,} rows" if self.complete else f"the first {self.rows_seen:,} rows"
        if not self.findings:
            return f"No personal data found in {seen}."
        lines = [f"Personal data in {seen}:"]
        for each in self.findings:
            where = " in its texts" if each.in_text else ""
            shown = f", such as {each.examples[0]}" if each.examples else ""
            lines.append(
                f"  {each.column}: {each.kind}{where}, {each.count:,} cells ({each.share:.1%}), "
                f"confidence {each.confidence:.2f}{shown}"
            )
        return "\n".join(lines)

    def page(self) -> Page:
        """One HTML page."""
        return personal_page(self.findings, self.rows_seen, complete=self.complete)

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def find_personal(
    dataset: Dataset, *, columns: Sequence[str] = (), rows: int | None = DEFAULT_ROWS, work: Work | None = None
) -> PersonalData:
    """Look for personal data in columns.

    Args:
        dataset: the table.
        columns: where to look; by default everywhere.
        rows: how many rows to look at, from the start; None counts over all of them.
        work: cancel and progress.

    Raises:
        UsageError: `rows` is less than 1.
        DataError: there is no such column.
    """
    if rows is not None and rows < 1:
        raise UsageError(ErrorCode.USAGE, f"got rows={rows}", wanted="at least 1, or None for all")
    schema = dataset.schema.select(columns) if columns else dataset.schema
    work = work or Work()
    tallies: dict[tuple[str, int], _Tally] = {}
    seen, complete = 0, True
    for frame in dataset.batches(_BATCH, schema.names):
        work.check()
        if rows is not None and seen + frame.height > rows:
            complete = False
            frame = frame.head(rows - seen)
        if frame.height:
            _look(frame, schema, tallies)
        seen += frame.height
        work.report(seen, rows, "rows")
        if not complete:
            break
    return PersonalData(tuple(_findings(schema, tallies)), seen, complete)


def masked(text: str) -> str:
    """A text whose letters and digits are stars; its punctuation shows what form it has."""
    return re.sub(r"[^\W_]", "*", text[:60])


@dataclass
class _Tally:
    """Counts for one kind in one column.

    Attributes:
        cells: that are not missing.
        shaped: that hold the form.
        valid: that hold the form, and it checks.
        whole: of the valid ones, those that hold nothing else.
        examples: values, masked.
        distinct: up to 1,000 hashes of valid values.
    """

    cells: int = 0
    shaped: int = 0
    valid: int = 0
    whole: int = 0
    examples: list[str] = field(default_factory=list)
    distinct: set[int] = field(default_factory=set)

    def show(self, values: Iterable[str]) -> None:
        for value in values:
            if len(self.examples) < _EXAMPLES and (shown := masked(value)) not in self.examples:
                self.examples.append(shown)
            if len(self.distinct) < 1000:
                self.distinct.add(hash(value))


_NAMES, _DATES, _PLACES = len(PATTERNS), len(PATTERNS) + 1, len(PATTERNS) + 2
_SPECIAL = {_NAMES: "name of a person", _DATES: "date of birth", _PLACES: "geographic coordinates"}


def _look(frame: pl.DataFrame, schema: Schema, tallies: dict[tuple[str, int], _Tally]) -> None:
    """Count one frame."""
    for column in schema:
        values = frame[column.name].drop_nulls()
        if column.kind is Kind.NUMBER:
            _look_at_numbers(column.name, values, tallies)
        elif column.kind is Kind.DATETIME:
            if _BIRTH.search(spaced(column.name)):
                tally = tallies.setdefault((column.name, _DATES), _Tally())
                years = int(values.dt.year().is_between(1880, 2100).sum())
                _count(tally, len(values), years, years, years)
                tally.show(map(str, values.head(_EXAMPLES)))
        elif values.dtype == pl.String:
            _look_at_texts(column.name, values, tallies)


def _look_at_numbers(name: str, values: pl.Series, tallies: dict[tuple[str, int], _Tally]) -> None:
    words = spaced(name)
    for pattern, limit in ((_LATITUDE, 90), (_LONGITUDE, 180)):
        if pattern.search(words):
            tally = tallies.setdefault((name, _PLACES), _Tally())
            inside = int(values.is_between(-limit, limit).sum())
            exact = int((values != values.cast(pl.Float64).round(2)).sum())
            _count(tally, len(values), inside, min(inside, exact), inside)
            tally.show(map(str, values.head(_EXAMPLES)))
    whole = values.cast(pl.Float64).is_finite() & (values.cast(pl.Float64).abs() >= 10**8)
    if values.dtype.is_float():
        whole &= (values == values.round()) & (values < 2.0**53)
    # A column of numbers is asked only for the kinds that are written as a plain number.
    if whole.any():
        texts = values.filter(whole).cast(pl.Int64, strict=False).cast(pl.String)
        for position, pattern_of in enumerate(PATTERNS):
            if pattern_of.name != "telephone" or pattern_of.is_hinted(name):
                _match(name, position, pattern_of, texts, len(values), tallies)


def _look_at_texts(name: str, values: pl.Series, tallies: dict[tuple[str, int], _Tally]) -> None:
    counted = values.str.slice(0, MAX_CHARACTERS).str.strip_chars().rename("text").value_counts()
    texts, counts = counted.to_series(0), counted.to_series(1)
    for position, pattern in enumerate(PATTERNS):
        _match(name, position, pattern, texts, len(values), tallies, counts)
    _match_names(name, texts, counts, len(values), tallies)


def _match(
    name: str,
    position: int,
    pattern: Pattern,
    texts: pl.Series,
    cells: int,
    tallies: dict[tuple[str, int], _Tally],
    counts: pl.Series | None = None,
) -> None:
    """Count the cells of distinct `texts` that hold a pattern."""
    tally = tallies.setdefault((name, position), _Tally())
    tally.cells += cells
    if counts is None:
        counts = pl.repeat(1, len(texts), eager=True)
    hit = texts.str.contains(pattern.expression)
    if not hit.any():
        return
    table = pl.DataFrame({"text": texts, "count": counts}).filter(hit)
    table = table.with_columns(pl.col("text").str.extract_all(pattern.expression).alias("found")).explode("found")
    # The context characters are neither letters nor digits, nor part of a form but for a bracket or a plus in front.
    table = table.with_columns(pl.col("found").str.replace_all(r"^[^\w(+]+|[^\w]+$", "").alias("found"))
    found = table["found"].str.replace_all(r"[ .\-/()]", "") if pattern.compact else table["found"]
    right = pl.Series(pattern.check(found.to_list())) if pattern.check else pl.repeat(True, len(found), eager=True)
    is_whole = table["found"].str.len_chars() >= table["text"].str.len_chars() * 0.8
    cellwise = (
        table.with_columns(right.alias("right"), (right & is_whole).alias("whole"))
        .group_by("text", maintain_order=True)
        .agg(pl.col("count", "found").first(), pl.col("right", "whole").any())
    )
    tally.shaped += int(cellwise["count"].sum())
    tally.valid += int(cellwise.filter("right")["count"].sum())
    tally.whole += int(cellwise.filter("whole")["count"].sum())
    tally.show(table.filter(right)["found"])


_WORDS = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_TITLES = frozenset(
    ("mr", "mrs", "miss", "ms", "dr", "prof", "sir", "lady", "rev", "herr", "frau", "sig", "m", "mme", "mlle", "senor")
)


def _match_names(
    name: str, texts: pl.Series, counts: pl.Series, cells: int, tallies: dict[tuple[str, int], _Tally]
) -> None:
    tally = tallies.setdefault((name, _NAMES), _Tally())
    tally.cells += cells
    hinted = _NAMED.search(spaced(name)) is not None
    short = texts.str.len_chars().is_between(2, 80)
    for text, count in zip(texts.filter(short).to_list(), counts.filter(short).to_list(), strict=True):
        sure, half = _is_name(text, hinted), None if hinted else _may_be_name(text)
        if sure or half is not None:
            _count(tally, 0, count, count * sure, count * (sure or bool(half)))
            tally.show([text] if sure or half else [])


def _is_name(text: str, hinted: bool) -> bool:
    """A given and a family name, in any order; with a column name that says so, one of them is enough."""
    if re.fullmatch(r"[\u4e00-\u9fff]{2,4}", text):
        return hinted and text[0] in CHINESE_SURNAMES and len(text) <= 3
    words = _WORDS.findall(text)
    if not 1 <= len(words) <= 8 or any(letter.isdigit() for letter in text):
        return False
    if text == text.lower() and not hinted:
        return False
    lower = [folded(word) for word in words]
    rest = [word for word in lower if word not in _TITLES]
    given = [word in GIVEN_NAMES for word in rest]
    family = [word in FAMILY_NAMES for word in rest]
    if hinted:
        return len(rest) <= 6 and (any(given) or any(family))
    pairs = any(g and f for g, f in zip(given, family[1:], strict=False)) or (
        "," in text and any(given) and any(family)
    )
    return len(rest) in (2, 3, 4) and pairs


def _may_be_name(text: str) -> bool | None:
    """Whether one of two to four capitalised words is known as a name; None where it has not that form."""
    words = [word for word in text.replace(".", ". ").split() if folded(word.strip(".,")) not in _TITLES]
    if not 2 <= len(words) <= 4 or not all(word[0].isupper() and _WORDS.fullmatch(word.strip(".,")) for word in words):
        return None
    return folded(words[0].split("-")[0]) in GIVEN_NAMES or folded(words[-1]) in FAMILY_NAMES


def _count(tally: _Tally, cells: int, shaped: int, valid: int, whole: int) -> None:
    tally.cells += cells
    tally.shaped += shaped
    tally.valid += valid
    tally.whole += whole


def _findings(schema: Schema, tallies: dict[tuple[str, int], _Tally]) -> list[PersonalFinding]:
    found: list[PersonalFinding] = []
    for column in schema.names:
        best: dict[str, PersonalFinding] = {}
        for (name, position), tally in tallies.items():
            if name == column and (tally.valid or tally.whole):
                finding = (
                    _judged_special(column, position, tally)
                    if position in _SPECIAL
                    else _judged(column, PATTERNS[position], tally)
                )
                if finding is not None and finding.confidence > getattr(best.get(finding.kind), "confidence", 0.0):
                    best[finding.kind] = finding
        found += sorted(_without_shadows(best), key=lambda each: -each.confidence)
    return found


def _judged(column: str, pattern: Pattern, tally: _Tally) -> PersonalFinding | None:
    """How sure the counts of a pattern are; None where chance explains them."""
    hinted = pattern.is_hinted(column)
    share, right, whole = tally.valid / tally.cells, tally.valid / tally.shaped, tally.whole / tally.cells
    if pattern.needs_hint and not hinted:
        return None
    of_kind = whole >= _WHOLE or (hinted and whole >= 0.05)
    if not of_kind and not pattern.in_text:
        return None
    # Numbers of that form that carry no check digit pass at the rate of chance.
    surplus = (right - pattern.chance) / (1 - pattern.chance)
    if surplus < (0.3 if hinted else 0.6):
        return None
    if not of_kind and not hinted and (share < pattern.least_share or (pattern.chance >= 0.05 and tally.valid < 2)):
        return None
    if of_kind and not hinted and len(tally.distinct) < min(5, tally.valid) and pattern.name != "e-mail":
        return None  # the same few numbers again and again are codes
    if pattern.name == "telephone" and not (of_kind or hinted) and tally.whole > tally.valid / 2:
        return None  # some of a column of numbers look like one by accident
    confidence = surplus * ((0.9 if of_kind else 0.7) + (0.1 if hinted else 0.0))
    return PersonalFinding(
        column, pattern.name, tally.valid, share, round(confidence, 2), not of_kind, tuple(tally.examples)
    )


def _judged_special(column: str, position: int, tally: _Tally) -> PersonalFinding | None:
    count = tally.valid
    if position == _NAMES and tally.shaped >= _MOSTLY_NAMES * tally.cells and tally.whole >= _HALF_NAMES * tally.cells:
        count = tally.whole  # hardly anything but pairs of capitalised words, and many of these a name
    share = count / tally.cells
    hinted = position != _NAMES or _NAMED.search(spaced(column)) is not None
    least = 0.15 if hinted else 0.2
    if share < least or (position == _NAMES and len(tally.distinct) < min(5, tally.cells)):
        return None
    confidence = round(min(1.0, 0.5 + share / 2 + (0.1 if hinted else 0.0)), 2)
    return PersonalFinding(column, _SPECIAL[position], count, share, confidence, False, tuple(tally.examples))


def _without_shadows(found: dict[str, PersonalFinding]) -> list[PersonalFinding]:
    """Kinds without telephone numbers where the whole column is of a kind that has a form or check of its own."""
    whole = [each.share for each in found.values() if each.kind != "telephone" and not each.in_text]
    return [each for each in found.values() if each.kind != "telephone" or max(whole, default=0.0) < each.share]
