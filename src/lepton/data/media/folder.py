"""What lies in a folder: its files of one kind, in order, and what their folders say of them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lepton.core import DataError, ErrorCode, Kind, UsageError, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.media.signatures import (
    FORMAT_WORDS,
    FRAME_WORDS,
    HEAD,
    REFUSED,
    WORD_OF_FORMAT,
    format_of_bytes,
    format_of_name,
    looks_like_text,
)
from lepton.data.references import label_of
from lepton.store.files import open_read

__all__ = ["MAX_FILES", "Listing", "list_folder", "list_frames"]

MAX_FILES = 5_000_000
_SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev"})
_NOT_CONTENT = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass
class Listing:
    """The files of a folder.

    Attributes:
        root: the folder.
        kind: `IMAGE`, `AUDIO` or `TEXT`.
        word: the key of `FORMAT_WORDS` for its files.
        paths: of the files below the folder, as a table can hold them, in order.
        odd: path → path as the system has it, where they differ.
        labels: of each file, from the folder that it is in; None where it lies in none. Empty without such folders.
        splits: of each file, `train`, `test` and the like, from the folder above. Empty without such folders.
        decisions: what was decided, and what was left out.
        archive: that the folder was unpacked from, if it was; or the only file.
        holder: what keeps an unpacked folder there.
    """

    root: Path
    kind: Kind
    word: str
    paths: list[str]
    odd: dict[str, str]
    labels: list[str | None] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    decisions: list[DecisionRecord] = field(default_factory=list)
    archive: Path | None = None
    holder: object = None


class _LeftOut:
    """Files that are not read: how many, for which reason, with an example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str, name: str) -> None:
        self._counts[reason] += 1
        self._examples.setdefault(reason, printable(label_of(name), 60))

    def decisions(self) -> Iterator[DecisionRecord]:
        for reason, count in sorted(self._counts.items()):
            yield DecisionRecord(None, "left out", reason, f"{count:,} files, such as '{self._examples[reason]}'")


def list_folder(root: Path, kind_word: str | None = None, shown: str = "") -> Listing:
    """The files of one kind below a folder: that of most of them, or the one that is asked for.

    Links are not followed, and hidden files are left out.

    Args:
        root: the folder.
        kind_word: a key of `FORMAT_WORDS`, if the caller says so.
        shown: what it is called in messages; by default as the folder.

    Raises:
        DataError: it holds no such files, or too many.
        UsageError: `kind_word` is none.
    """
    if kind_word is not None and kind_word not in FORMAT_WORDS:
        came = f"got format={kind_word!r} for a folder"
        raise UsageError(ErrorCode.USAGE, came, wanted="one of " + ", ".join(map(repr, FORMAT_WORDS)))
    left_out = _LeftOut()
    by_word: dict[str | None, list[str]] = {}
    for name in _walk(root, left_out):
        by_word.setdefault(_word(root, name), []).append(name)
    counts = {word: len(by_word.get(word, ())) for word in FORMAT_WORDS}
    word = kind_word or max(counts, key=lambda each: counts[each])
    others = by_word.get(None, [])
    if not counts[word] or (kind_word is None and len(others) > sum(counts.values())):
        raise _nothing_to_read(shown or f"the folder {printable(root.name)}", others, counts, word)
    for other in by_word.keys() - {word}:
        for name in by_word[other]:
            left_out.add(_why_not(other, name), name)
    names = sorted(by_word[word])
    why = "as asked" if kind_word else f"of {sum(map(len, by_word.values())):,} files, {len(names):,} are {word}"
    decision = DecisionRecord(None, "format", word, why, f"format={word!r}")
    listing = Listing(root, FORMAT_WORDS[word], word, [], {}, decisions=[decision])
    _take(listing, names, left_out)
    listing.decisions += left_out.decisions()
    _name_labels(listing)
    return listing


def list_frames(path: Path, kind_word: str | None = None) -> Listing | None:
    """A single scan or video as a listing; None for any other file.

    Args:
        path: a file.
        kind_word: `scans` or `videos`, if the caller says so.
    """
    word = kind_word if kind_word in FRAME_WORDS else _word(path.parent, path.name)
    if word not in FRAME_WORDS or (kind_word is not None and kind_word != word):
        return None
    why = "as asked" if kind_word else "by its name" if format_of_name(path.name) else "by its first bytes"
    decision = DecisionRecord(None, "format", word, why, f"format={word!r}")
    listing = Listing(path.parent, FORMAT_WORDS[word], word, [], {}, decisions=[decision], archive=path)
    _take(listing, [path.name], _LeftOut())
    return listing


def _walk(root: Path, left_out: _LeftOut) -> Iterator[str]:
    """Paths of the regular files below `root`, with `/`, in no order."""
    folders = [""]
    seen = 0
    while folders:
        above = folders.pop()
        try:
            entries = os.scandir(root / above)
        except OSError:
            left_out.add("folders that may not be read", above)
            continue
        with entries:
            for entry in entries:
                name = f"{above}{entry.name}"
                if entry.name.startswith(".") or entry.name.lower() in _NOT_CONTENT:
                    left_out.add("hidden", name)
                elif entry.is_symlink():
                    left_out.add("links, which are not followed", name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    seen += 1
                    if seen > MAX_FILES:
                        came = f"the folder {printable(root.name)} holds more than {MAX_FILES:,} files"
                        raise DataError(ErrorCode.UNREADABLE, came, fix="read its folders one by one")
                    yield name
                else:
                    left_out.add("devices and the like", name)


def _word(root: Path, name: str) -> str | None:
    """What a file is, by its name; by its first bytes where the name has no ending."""
    if found := format_of_name(name):
        return WORD_OF_FORMAT.get(found)
    try:
        with open_read(root / name) as file:
            head = file.read(HEAD)
    except DataError:
        return None
    return WORD_OF_FORMAT.get(format_of_bytes(head), "texts" if looks_like_text(head) else None)


def _why_not(word: str | None, name: str) -> str:
    if word is not None:
        return "files of another kind"
    ending = format_of_name(name)
    return "formats that are not read" if ending in REFUSED else "no images, sounds or texts"


def _nothing_to_read(what: str, others: Iterable[str], counts: Mapping[str, int], word: str) -> DataError:
    endings = Counter(format_of_name(name) for name in others)
    told = ", ".join(f"{count:,} of '.{ending}'" for ending, count in endings.most_common(3) if ending)
    tables = next((ending for ending in ("csv", "parquet", "jsonl", "json", "xlsx") if endings[ending]), None)
    fix = f"use a glob such as 'FOLDER/*.{tables}' for the tables in it" if tables else ""
    if counts[word]:
        fix = f"format={word!r} for the {counts[word]:,} {word} in it" + (f"; {fix}" if fix else "")
    return DataError(
        ErrorCode.NOT_A_FILE,
        f"{what} holds {'few' if counts[word] else 'no'} images, sounds or texts" + (f", but {told}" if told else ""),
        wanted="a file, a folder of images, sounds, texts, scans or videos, or a table that save() wrote",
        fix=fix,
    )


def _take(listing: Listing, names: Iterable[str], left_out: _LeftOut) -> None:
    """Paths as a table holds them, in NFC; two that look the same are one too many."""
    taken = set()
    for name in names:
        label = unicodedata.normalize("NFC", label_of(name))
        if label in taken:
            left_out.add("names that look like another's", name)
            continue
        taken.add(label)
        if label != name:
            listing.odd[label] = name
        listing.paths.append(label)


def _name_labels(listing: Listing) -> None:
    """The label of a file is the folder that it is in; below folders such as `train` and `test`, the next one."""
    parts = [path.split("/")[:-1] for path in listing.paths]
    depth = 0
    while all(len(each) > depth for each in parts) and len({each[depth] for each in parts}) == 1:
        depth += 1  # folders that hold everything say nothing
    above = {each[depth] for each in parts if len(each) > depth}
    if len(above) > 1 and {name.casefold() for name in above} <= _SPLITS and all(len(each) > depth for each in parts):
        listing.splits = [each[depth] for each in parts]
        why = "the folders " + ", ".join(sorted(above))
        listing.decisions.append(DecisionRecord("split", "column", "split", why))
        depth += 1
    labels = [each[depth] if len(each) > depth else None for each in parts]
    distinct = {label for label in labels if label is not None}
    if not distinct:
        return
    listing.labels = labels
    shown = ", ".join(sorted(distinct)[:5]) + (", ..." if len(distinct) > 5 else "")
    why = f"{len(distinct):,} folders: {printable(shown, 80)}"
    listing.decisions.append(DecisionRecord("label", "column", "name of the folder", why, "labels="))
