"""How a delimited text is written: encoding, delimiter, quoting, spaces and header, decided on its beginning."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lepton.core import DataError, ErrorCode, UsageError
from lepton.data.decisions import DecisionRecord

__all__ = [
    "MAX_RECORD",
    "Dialect",
    "bad_encoding",
    "choose_encoding",
    "csv_options",
    "decide_dialect",
    "long_fields",
    "parse_records",
]

MAX_RECORD = 32 * 2**20
"""Bytes that one row may take."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8", "a UTF-8 byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "a UTF-32 byte order mark"),
    (codecs.BOM_UTF32_BE, "utf-32", "a UTF-32 byte order mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "a UTF-16 byte order mark"),
    (codecs.BOM_UTF16_BE, "utf-16", "a UTF-16 byte order mark"),
)
_DELIMITERS = ("\t", ";", "|", ",")
NO_DELIMITER = "\x1f"
"""Stands where a table has one column and no delimiter: a byte that text does not hold."""
_SNIFFED_RECORDS = 200
_LIKE_VALUE = re.compile(r"[+-]?[0-9][0-9.,:/ +-]*|[+-]?\.[0-9]+|[+-]?(inf|nan)|\?|-+", re.IGNORECASE)
_MAYBE_MISSING = re.compile(r"n/?a|null|none", re.IGNORECASE)  # or the name of a column


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited text is written.

    Attributes:
        encoding: a Python codec name.
        delimiter: one ASCII character.
        quote: `"` or None where quote marks are plain characters.
        header: whether the first record names the columns.
        spaces: whether spaces after delimiters are padding.
        carriage_return: whether lines end with a lone carriage return.
    """

    encoding: str
    delimiter: str
    quote: str | None
    header: bool
    spaces: bool
    carriage_return: bool


def decide_dialect(
    head: bytes, *, file: str, delimiter: str | None, encoding: str | None, header: bool | None, whole: bool
) -> tuple[Dialect, list[list[str]], list[DecisionRecord]]:
    """The dialect of a text that begins with `head`, its first records, and what was decided.

    Args:
        head: the first bytes of the file.
        file: its name, for messages.
        delimiter: as the caller says, or None.
        encoding: as the caller says, or None.
        header: as the caller says, or None.
        whole: whether `head` is all there is.

    Raises:
        UsageError: a delimiter or encoding that cannot be one.
        DataError: `BAD_ENCODING`, `EMPTY_DATA`.
    """
    decisions = []
    encoding, record = choose_encoding(head, encoding)
    decisions.append(record)
    text = _decoded(head, encoding, whole, file)
    if "\0" in text:
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{file} holds NUL bytes, so it is no text in {encoding}",
            fix="if it is UTF-16, say encoding='utf-16'",
        )
    carriage_return = "\r" in text and "\n" not in text
    if carriage_return:
        text = text.replace("\r", "\n")
    delimiter, quote, record = _decide_delimiter(text, delimiter, whole)
    decisions.append(record)
    if quote is None:
        decisions.append(
            DecisionRecord(None, "quoting", "quote marks are plain text", "as quotes they would break the rows")
        )
    spaces = _has_padding(text, delimiter, quote)
    if spaces:
        decisions.append(
            DecisionRecord(None, "spaces", "dropped after delimiters", f"a space follows each {delimiter!r}")
        )
    records = parse_records(text, delimiter, quote, spaces, complete=whole)
    if not records:
        raise DataError(ErrorCode.EMPTY_DATA, f"{file} holds no records", wanted="a header or rows")
    has_header, record = _decide_header(records, header)
    decisions.append(record)
    dialect = Dialect(encoding, delimiter, quote, has_header, spaces, carriage_return)
    return dialect, records, decisions


def parse_records(
    text: str, delimiter: str, quote: str | None, spaces: bool, *, complete: bool, limit: int = _SNIFFED_RECORDS
) -> list[list[str]]:
    """The first records of `text`, blank lines left out; the last one is dropped unless the text is `complete`."""
    reader = csv.reader(io.StringIO(text, newline=""), **csv_options(delimiter, quote, spaces))  # type: ignore[arg-type]
    records = []
    try:
        with long_fields():
            for fields in reader:
                if fields:
                    records.append(fields)
                if len(records) > limit:
                    break
            else:
                if not complete and len(records) > 1:
                    records.pop()
    except csv.Error:
        return records
    return records[:limit]


@contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module take fields as long as a record may be; it has one limit for the process."""
    before = csv.field_size_limit(MAX_RECORD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def csv_options(delimiter: str, quote: str | None, spaces: bool) -> dict[str, object]:
    """The dialect as arguments of `csv.reader`."""
    quoting = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    return {"delimiter": delimiter, "quotechar": quote, "quoting": quoting, "skipinitialspace": spaces}


def choose_encoding(head: bytes, encoding: str | None) -> tuple[str, DecisionRecord]:
    """The encoding of a text that begins with `head`: as asked, by its mark, or by what its bytes allow."""
    if encoding is not None:
        try:
            name = codecs.lookup(encoding).name
            " ,\n".encode(name)
        except (LookupError, UnicodeError, TypeError):
            raise UsageError(
                ErrorCode.USAGE, f"got the encoding {encoding!r}", wanted="a name such as 'utf-8', 'cp1252', 'gb18030'"
            ) from None
        return name, DecisionRecord(None, "encoding", name, "as asked", f"encoding={encoding!r}")
    for mark, name, evidence in _BOMS:
        if head.startswith(mark):
            return name, DecisionRecord(None, "encoding", name, f"begins with {evidence}", "encoding=")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        name, evidence = _guess_legacy(head)
        evidence = f"byte {error.start:,} is not UTF-8; {evidence}"
        return name, DecisionRecord(None, "encoding", name, evidence, "encoding=")
    evidence = "all ASCII so far" if head.isascii() else "every byte is valid UTF-8 so far"
    return "utf-8", DecisionRecord(None, "encoding", "utf-8", evidence, "encoding=")


def _guess_legacy(head: bytes) -> tuple[str, str]:
    """GB18030 where nearly all high bytes form pairs of its common plane, else Windows-1252, else Latin-1."""
    high = len(re.findall(rb"[\x80-\xff]", head))
    paired = 2 * len(re.findall(rb"[\xa1-\xf7][\xa1-\xfe]", head))
    if paired >= 0.9 * high:
        try:
            codecs.getincrementaldecoder("gb18030")().decode(head)
        except UnicodeDecodeError:
            pass
        else:
            return "gb18030", f"{paired:,} of {high:,} high bytes form Chinese characters"
    if re.search(rb"[\x81\x8d\x8f\x90\x9d]", head) is None:
        return "cp1252", "every byte is a character of Windows-1252"
    return "latin-1", "it holds bytes that Windows-1252 lacks"


def _decoded(head: bytes, encoding: str, whole: bool, file: str) -> str:
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        return codecs.getincrementaldecoder(name)().decode(head, final=whole)
    except UnicodeDecodeError as error:
        raise bad_encoding(encoding, error.start, head[error.start : error.start + 1], file) from None


def bad_encoding(encoding: str, offset: int, found: bytes, file: str) -> DataError:
    """The error for a byte that `encoding` does not allow."""
    return DataError(
        ErrorCode.BAD_ENCODING,
        f"byte {offset:,} of {file} is 0x{found.hex()}, which is not valid {encoding}",
        fix="say which encoding it is, for example encoding='cp1252' or encoding='gb18030'",
        details={"offset": offset, "encoding": encoding},
    )


def _decide_delimiter(text: str, delimiter: str | None, whole: bool) -> tuple[str, str | None, DecisionRecord]:
    """Delimiter and quote mark: the pair under which nearly all records have the same number of fields."""
    if delimiter is not None:
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            raise UsageError(ErrorCode.USAGE, f"got the delimiter {delimiter!r}", wanted="one ASCII character")
        share, _, quote = _best_quoting(text, delimiter, whole)
        return (
            delimiter,
            quote,
            DecisionRecord(None, "delimiter", repr(delimiter), "as asked", f"delimiter={delimiter!r}"),
        )
    found = []
    for rank, candidate in enumerate(_DELIMITERS):
        share, width, quote = _best_quoting(text, candidate, whole)
        if width > 1:
            found.append((share == 1.0, share, -rank, width, candidate, quote))
    if not found or max(found)[1] < 0.5:
        chosen = NO_DELIMITER if "," in text else ","
        quote = _best_quoting(text, chosen, whole)[2]
        return chosen, quote, DecisionRecord(None, "delimiter", "none", "one column", "delimiter=")
    _, share, _, width, chosen, quote = max(found)
    evidence = f"{width} fields in {share:.0%} of the first records"
    return chosen, quote, DecisionRecord(None, "delimiter", repr(chosen), evidence, "delimiter=")


def _best_quoting(text: str, delimiter: str, whole: bool) -> tuple[float, int, str | None]:
    """Share of records with the commonest width, that width, and the quote mark under which it is so."""
    share, width = _consistency(parse_records(text, delimiter, '"', True, complete=whole))
    if '"' in text:
        plain_share, plain_width = _consistency(parse_records(text, delimiter, None, False, complete=whole))
        if plain_share == 1.0 and not _quotes_match(text, delimiter, whole):
            return plain_share, plain_width, None
    return share, width, '"'


def _quotes_match(text: str, delimiter: str, whole: bool) -> bool:
    """Whether quote marks, where they open a field, close it, so that all records have the same number of fields."""
    opened = re.search(rf'(^|{re.escape(delimiter)}) *"', text, re.MULTILINE)
    if opened is None:
        return False  # quotes stand within fields only
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, **csv_options(delimiter, '"', True))  # type: ignore[arg-type]
    widths = []
    try:
        with long_fields():
            widths = [len(fields) for fields in reader if fields]
    except csv.Error as error:
        return "unexpected end" in str(error) and not whole and _one_width(widths)
    return _one_width(widths if whole else widths[:-1])


def _one_width(widths: list[int]) -> bool:
    return len(set(widths)) <= 1


def _consistency(records: list[list[str]]) -> tuple[float, int]:
    if not records:
        return 0.0, 0
    width, count = Counter(map(len, records)).most_common(1)[0]
    return count / len(records), width


def _has_padding(text: str, delimiter: str, quote: str | None) -> bool:
    """Whether a space follows every delimiter of the first records."""
    records = parse_records(text, delimiter, quote, False, complete=True, limit=50)
    inner = [field for record in records for field in record[1:]]
    return bool(inner) and all(field.startswith(" ") for field in inner)


def _decide_header(records: list[list[str]], header: bool | None) -> tuple[bool, DecisionRecord]:
    def decision(has: bool, evidence: str) -> tuple[bool, DecisionRecord]:
        decided = "first row" if has else "none: columns are column_1, column_2, ..."
        return has, DecisionRecord(None, "header", decided, evidence, f"header={not has}")

    if header is not None:
        return decision(header, "as asked")
    first, rest = [cell.strip() for cell in records[0]], records[1:]
    for cell in first:
        if _LIKE_VALUE.fullmatch(cell):
            return decision(False, f"the first row holds the value {cell[:40]!r}")
    for index, cell in enumerate(records[0]):
        if cell.strip() and any(index < len(record) and record[index] == cell for record in rest):
            return decision(False, f"{cell.strip()[:40]!r} of the first row comes again below")
    words = [cell for cell in first if _MAYBE_MISSING.fullmatch(cell)]
    if words and not _stands_over_values(first, rest):
        return decision(False, f"the first row holds {words[0]!r}, which may mean missing, and no name over numbers")
    return decision(True, "the first row holds names only")


def _stands_over_values(first: list[str], rest: list[list[str]]) -> bool:
    """Whether some column has a name in its first row and nothing but numbers below."""
    for index, cell in enumerate(first):
        below = [record[index].strip() for record in rest if index < len(record)]
        told = [text for text in below if text and not _MAYBE_MISSING.fullmatch(text)]
        if cell and not _MAYBE_MISSING.fullmatch(cell) and told and all(map(_LIKE_VALUE.fullmatch, told)):
            return True
    return False
