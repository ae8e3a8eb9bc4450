"""What is wrong with the files of a table: every file is decoded once, and files are held against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import Kind, Role, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.media.alike import groups_alike
from lepton.data.media.gallery import picture_of
from lepton.data.media.inspect import Inspected, inspect_file
from lepton.data.media.parallel import in_parallel
from lepton.data.recipes.minhash import Corpus, folded, group
from lepton.data.recipes.run import memory_limit
from lepton.report import Gallery, Thumbnail, show_number, show_share
from lepton.store import scratch_folder

__all__ = ["FileRule", "check_files", "file_columns"]

_STEP = 512
_EXAMPLES = 5
_SHOWN = 6
_TEXT_SHARE = 4
_KEPT = 1_000
_FAR = 5.0
_LEAST_FACTOR = 3.0
_RARE = 0.1
_WORDS = {Kind.IMAGE: ("image", "images"), Kind.AUDIO: ("sound", "sounds"), Kind.TEXT: ("text", "texts")}
_SIZES = {Kind.IMAGE: "pixels", Kind.AUDIO: "seconds", Kind.TEXT: "characters"}


@dataclass(frozen=True)
class FileRule:
    """What became of one rule that files must keep.

    Attributes:
        rule: in words.
        columns: that it looked at.
        severity: `error` or `warn`.
        broken: rows that break it.
        rows: rows that it looked at.
        observed: what was found, in words.
        examples: some of the rows, each with what is wrong with it.
        failures: columns `rule`, `row` (from 1), the path, the label if there is one, and `why`; at most 1,000 rows.
        pictures: some of the files, each beside the one that it is like; None where there is nothing to see.
    """

    rule: str
    columns: tuple[str, ...]
    severity: str
    broken: int
    rows: int
    observed: str
    examples: tuple[str, ...]
    failures: pl.DataFrame
    pictures: Gallery | None = None


def file_columns(table: Dataset) -> dict[str, Kind]:
    """The columns of a table whose cells are files, and what those are."""
    found: dict[str, Kind] = {c.name: c.kind for c in table.schema if c.kind in (Kind.IMAGE, Kind.AUDIO)}
    texts = table.references.texts
    return {**found, texts: Kind.TEXT} if texts and texts in table.schema.names else found


def check_files(table: Dataset, work: Work) -> tuple[FileRule, ...]:
    """Decode every file of a table once, and tell what is wrong; one list of rules for each column of files.

    Some 500 bytes a file are held; the texts' letters in memory or in temporary files.

    Args:
        table: the rows; labels are the column whose role is target, else the one that is called `label`.
        work: cancel, progress and threads.
    """
    classes = [c for c in table.schema if c.dtype in ("string", "bool", "int64")]
    named = [c.name for c in classes if c.role is Role.TARGET] + [c.name for c in classes if c.name == "label"]
    label = next(iter(named), "")
    found: list[FileRule] = []
    for column, kind in file_columns(table).items():
        with scratch_folder(work.resources.scratch) as folder:
            corpus = Corpus(folder, memory_limit(work) // _TEXT_SHARE)
            found += _Files(table, column, kind, label, corpus, work).rules()
    return tuple(found)


class _Files:
    """All files of one column, inspected."""

    def __init__(self, table: Dataset, column: str, kind: Kind, label: str, corpus: Corpus, work: Work) -> None:
        self._column, self._kind, self._label, self._work = column, kind, label, work
        self._one, self._several = _WORDS[kind]
        self._cells: list[str | None] = []
        self._labels: list[str | None] = []
        self._found: list[Inspected] = []
        self._references = table.references
        self._corpus = corpus
        self._gather(table)
        self.rows = len(self._found)
        self._usable = np.array([not each.fault for each in self._found], dtype=bool)

    def _gather(self, table: Dataset) -> None:
        references = self._references
        names = list(dict.fromkeys([self._column, *([self._label] if self._label else [])]))

        def look(cell: str | None) -> Inspected:
            return inspect_file(cell, self._kind, references, references.encoding)

        for frame in table.batches(_STEP, names):
            self._work.check()
            cells = frame[self._column].to_list()
            inspected = in_parallel(look, cells, self._work)
            if self._kind is Kind.TEXT:
                self._corpus.add(folded(pl.Series([each.text for each in inspected], dtype=pl.String)))
                inspected = [replace(each, text="") for each in inspected]
            self._found += inspected
            # What stands in the cell itself is not a name to show.
            self._cells += [None if cell is None or len(cell) > 1_024 else cell for cell in cells]
            if self._label:
                self._labels += frame[self._label].cast(pl.String).to_list()
            self._work.report(len(self._found), table.num_rows, "files", note="checking")

    def rules(self) -> Iterator[FileRule]:
        """Every rule, kept or broken."""
        faults = {n: each.fault for n, each in enumerate(self._found) if each.fault}
        kinds = Counter(fault.partition(":")[0] for fault in faults.values())
        told = ", ".join(f"{count:,} {what}" for what, count in kinds.most_common())
        yield self._rule(f"every {self._one} can be read whole", "error", faults, told)
        formats = {n: f"it is {e.other_format}" for n, e in enumerate(self._found) if e.other_format}
        yield self._rule("names end as the format says", "warn", formats)
        same, alike = self._same(), self._alike()
        repeats = self._repeats(same)
        yield self._rule(f"no {self._one} is there twice", "warn", repeats, beside=same)
        looks = {n: first for n, first in self._repeats(alike).items() if n not in repeats}
        yield self._rule(f"no two {self._several} are nearly the same", "warn", looks, beside=alike)
        if self._label:
            conflicts = self._conflicts(same)
            yield self._rule(f"the same {self._one} has one label", "error", conflicts, beside=same)
            nearly = {n: why for n, why in self._conflicts(alike).items() if n not in conflicts}
            yield self._rule(f"nearly the same {self._several} have one label", "warn", nearly, beside=alike)
        yield self._rule(f"no {self._one} is far larger or smaller than most", "warn", self._outliers())
        if self._kind is Kind.AUDIO:
            silent = {n: "nothing is louder than -60 dB" for n, each in enumerate(self._found) if each.silent}
            yield self._rule("no sound is silent", "warn", silent)
            clipped = {
                n: f"{show_share(each.clipped)} of the samples stand at the limit"
                for n, each in enumerate(self._found)
                if each.clipped
            }
            yield self._rule("no sound is clipped", "warn", clipped)
        if self._label:
            yield self._balance()

    # --- files against each other --------------------------------------------------------------------------------

    def _same(self) -> NDArray[np.int64]:
        """The first row with the same bytes as each."""
        first: dict[bytes, int] = {}
        return np.array(
            [first.setdefault(each.digest, n) if each.digest else n for n, each in enumerate(self._found)],
            dtype=np.int64,
        )

    def _alike(self) -> NDArray[np.int64]:
        """The first row that looks or reads like each; by chains of pairs."""
        groups = np.arange(self.rows, dtype=np.int64)
        if self._kind is Kind.TEXT:
            places = np.flatnonzero(self._usable)
            found = group(self._corpus, seed=self._work.seed_for("media", "alike"), work=self._work)
            # Texts that cannot be read are empty ones here, and would all be the same.
            first: dict[int, int] = {}
            for place in places.tolist():
                groups[place] = first.setdefault(int(found[place]), place)
            return groups
        places = np.array([n for n, each in enumerate(self._found) if each.hash is not None], dtype=np.int64)
        if len(places):
            hashes = np.array([self._found[n].hash for n in places.tolist()], dtype=np.uint64)
            copies = np.stack([copy for n in places.tolist() if (copy := self._found[n].copy) is not None])
            lengths = np.array([self._found[n].size for n in places.tolist()]) if self._kind is Kind.AUDIO else None
            groups[places] = places[groups_alike(hashes, copies, self._work, lengths)]
        return groups

    def _repeats(self, groups: NDArray[np.int64]) -> dict[int, str]:
        return {n: f"as {self._name(int(groups[n]))}" for n in np.flatnonzero(groups != np.arange(self.rows)).tolist()}

    def _conflicts(self, groups: NDArray[np.int64]) -> dict[int, str]:
        """Rows of groups with several labels: what the others are called."""
        members: defaultdict[int, list[int]] = defaultdict(list)
        for n in np.flatnonzero(np.bincount(groups, minlength=self.rows)[groups] > 1).tolist():
            members[int(groups[n])].append(n)
        found = {}
        for rows in members.values():
            by_label = {self._labels[n]: n for n in reversed(rows) if self._labels[n] is not None}
            for n in rows if len(by_label) > 1 else ():
                other = next((row for label, row in by_label.items() if label != self._labels[n]), n)
                found[n] = f"{self._shown(self._labels[n])}; {self._name(other)} is {self._shown(self._labels[other])}"
        return dict(sorted(found.items()))

    def _outliers(self) -> dict[int, str]:
        """Sizes that lie 5 robust deviations, and at least a factor of 3, from the median, in logarithms."""
        places = np.flatnonzero(self._usable)
        sizes = np.array([self._found[n].size for n in places.tolist()], dtype=np.float64)
        if len(sizes) < 5:
            return {}
        logs = np.log(np.maximum(sizes, 1e-9))
        middle = float(np.median(logs))
        spread = 1.4826 * float(np.median(np.abs(logs - middle)))
        far = np.abs(logs - middle) > max(_FAR * spread, float(np.log(_LEAST_FACTOR)))
        what, usual = _SIZES[self._kind], show_number(float(np.exp(middle)), 3)
        return {
            int(places[n]): f"{show_number(float(sizes[n]), 3)} {what}, where {usual} are usual"
            for n in np.flatnonzero(far).tolist()
        }

    def _balance(self) -> FileRule:
        counts = Counter(label for label in self._labels if label is not None)
        unlabelled = self.rows - sum(counts.values())
        most = max(counts.values(), default=0)
        rare = {label: count for label, count in counts.items() if count < _RARE * most}
        told = f"{len(counts):,} classes" + (f" of {min(counts.values()):,} to {most:,} files" if counts else "")
        told += f", {unlabelled:,} files without a label" if unlabelled else ""
        lines = [f"{self._shown(label)}: {count:,} files" for label, count in sorted(rare.items(), key=lambda e: e[1])]
        rule = "no class has fewer than a tenth of the files of the largest"
        broken = sum(rare.values())
        return FileRule(rule, (self._label,), "warn", broken, self.rows, told, tuple(lines[:_EXAMPLES]), pl.DataFrame())

    # --- telling -------------------------------------------------------------------------------------------------

    def _rule(
        self,
        rule: str,
        severity: str,
        broken: dict[int, str],
        observed: str = "",
        *,
        beside: NDArray[np.int64] | None = None,
    ) -> FileRule:
        examples = [f"{self._name(n)}: {printable(why, 160)}" for n, why in list(broken.items())[:_EXAMPLES]]
        kept: Sequence[tuple[int, str]] = list(broken.items())[:_KEPT]
        columns: dict[str, list[object]] = {
            "rule": [rule] * len(kept),
            "row": [n + 1 for n, _ in kept],
            self._column: [self._cells[n] for n, _ in kept],
            **({self._label: [self._labels[n] for n, _ in kept]} if self._label else {}),
            "why": [why for _, why in kept],
        }
        share = show_share(len(broken) / self.rows) if self.rows else "0 %"
        return FileRule(
            rule,
            (self._column,),
            severity,
            len(broken),
            self.rows,
            observed or f"{share} of the files",
            tuple(examples),
            pl.DataFrame(columns, schema_overrides=dict.fromkeys((self._column, "why"), pl.String)),
            self._pictures(rule, broken, beside),
        )

    def _pictures(self, rule: str, broken: dict[int, str], beside: NDArray[np.int64] | None) -> Gallery | None:
        """Some of the files that break a rule, each behind the first one that it is like."""
        rows = [n for n in broken if not self._found[n].fault][:_SHOWN]
        if self._kind is Kind.TEXT or not rows:
            return None
        if beside is not None:
            rows = list(dict.fromkeys(place for n in rows for place in (int(beside[n]), n)))
        items = [(cell, self._name(n)) for n in rows if (cell := self._cells[n]) is not None]

        def picture(item: tuple[str, str]) -> Thumbnail:
            return picture_of(*item, self._kind, self._references)

        return Gallery(in_parallel(picture, items, self._work), f"Broken: {rule}")

    def _name(self, row: int) -> str:
        cell = self._cells[row]
        return printable(cell, 80) if cell else f"row {row + 1:,}"

    @staticmethod
    def _shown(label: str | None) -> str:
        return "without a label" if label is None else f"'{printable(label, 40)}'"
