"""`check`: all rules in one pass over the rows, with the rows that break them kept aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.core import ErrorCode, LeptonError, Schema, UsageError, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.media.check import FileRule, check_files, file_columns
from lepton.data.quality.against import DriftRecord, SchemaChange, SharedRows, Statistics, held_against
from lepton.data.quality.check_page import check_page
from lepton.data.quality.personal import PersonalData, find_personal
from lepton.data.quality.results import RuleResult
from lepton.data.quality.rules import (
    CellRule,
    ExistsIn,
    Fresh,
    HasKind,
    MeanBetween,
    RowCount,
    Rule,
    Severity,
    Unique,
)
from lepton.data.recipes.hashes import first_rows, row_hashes
from lepton.data.recipes.run import memory_limit
from lepton.report import Gallery, Page, plain_table, show_number, show_share
from lepton.store import scratch_folder

__all__ = ["MAX_KEPT", "Check", "RuleResult", "check"]

MAX_KEPT = 1_000
"""Rows that are kept aside for each rule."""
_ROW = "\0row"
_EXAMPLES = 5


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        rows: rows that were looked at.
        results: one for each rule.
        schema_changes: against the baseline.
        drift: of each column that both tables have.
        failures: rows that break rules, with the columns `rule`, `file` and `row`; at most 1,000 for each rule.
        personal: personal data in the first rows; None where it was not looked for.
        statistics: of the columns of `drift`, in the baseline and in the table.
        shared: rows that stand in the baseline, too; None without one.
        pictures: some of the files that break rules.
    """

    rows: int
    results: tuple[RuleResult, ...] = ()
    schema_changes: tuple[SchemaChange, ...] = ()
    drift: tuple[DriftRecord, ...] = ()
    failures: pl.DataFrame = field(default_factory=pl.DataFrame)
    personal: PersonalData | None = None
    statistics: Statistics = field(default_factory=dict, repr=False, compare=False)
    shared: SharedRows | None = None
    pictures: tuple[Gallery, ...] = field(default=(), repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether no rule of severity `error` is broken."""
        return not any(not each.passed and each.severity == Severity.ERROR for each in self.results)

    @property
    def shifted(self) -> tuple[str, ...]:
        """Columns whose distribution has shifted."""
        return tuple(each.column for each in self.drift if each.verdict == "shifted")

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "rules": [asdict(each) for each in self.results],
            "schema_changes": [asdict(each) for each in self.schema_changes],
            "drift": [each.to_dict() for each in self.drift],
            "failures": self.failures.height,
            **({} if self.personal is None else {"personal": self.personal.to_dict()}),
            **({} if self.shared is None else {"shared": self.shared.to_dict()}),
        }

    def text(self) -> str:
        """Tables for a terminal."""
        parts = [f"{self.rows:,} rows: {'passed' if self.passed else 'NOT PASSED'}"]
        if self.results:
            parts.append(plain_table(_RULE_HEAD, self._rule_rows()))
            parts += [
                "\n  ".join([printable(each.rule, 100), *each.examples]) for each in self.results if each.examples
            ]
        if self.schema_changes:
            rows = [(c.column, c.what, c.before, c.after) for c in self.schema_changes]
            parts.append("Columns against the baseline\n" + plain_table(("column", "what", "before", "now"), rows))
        if self.drift:
            parts.append("Distributions against the baseline\n" + plain_table(_DRIFT_HEAD, self._drift_rows()))
        if self.shared is not None:
            parts.append(self.shared.text())
        if self.personal is not None:
            parts.append(self.personal.text())
        return "\n\n".join(parts)

    def _rule_rows(self) -> list[tuple[object, ...]]:
        return [(each.number, each.rule, each.verdict, each.broken, each.observed) for each in self.results]

    def _drift_rows(self) -> list[tuple[object, ...]]:
        order = {"shifted": 0, "moved": 1, "stable": 2}
        return [
            (e.column, e.verdict, e.psi, e.kolmogorov_smirnov, e.jensen_shannon, show_share(e.missing_after), e.note)
            for e in sorted(self.drift, key=lambda each: (order[each.verdict], -(each.psi or 0.0)))
        ]

    def page(self) -> Page:
        """One HTML page: rules with some of the rows that break them, what has moved and how, personal data."""
        page = check_page(self.rows, self.results, self.schema_changes, self.drift, self.statistics, self.personal)
        if self.shared is not None:
            page.section("Rows in both tables", *self.shared.blocks())
        if self.pictures:
            page.section("Some of the files", *self.pictures)
        return page

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


_RULE_HEAD = ("", "rule", "", "broken rows", "observed")
_DRIFT_HEAD = ("column", "verdict", "PSI", "KS", "JS", "missing", "")


def check(
    table: Dataset,
    rules: Sequence[Rule] = (),
    *,
    against: Dataset | None = None,
    tables: Mapping[str, Dataset] | None = None,
    personal: bool = False,
    work: Work | None = None,
) -> Check:
    """Hold a table against rules, and against a baseline; the files that it names are decoded and compared.

    Args:
        table: the rows.
        rules: that they must keep.
        against: rows of the same table from before.
        tables: other tables by the names that `exists_in` uses.
        personal: look for personal data too, in the first 20,000 rows.
        work: cancel, progress and the memory that keys may take.

    Raises:
        DataError: a rule speaks of a column that is not there or of another kind, or the rows cannot be read.
        UsageError: there is neither a rule nor a baseline nor a file, or a rule names a table that was not given.
    """
    has_files = bool(file_columns(table))
    if not rules and against is None and not has_files and not personal:
        raise UsageError(ErrorCode.USAGE, "got neither rules nor a baseline", fix="rules=..., or against=...")
    work = Work.of(work)
    beside = held_against(table, against, work)
    private = find_personal(table, work=work) if personal else None
    told = (beside.schema_changes, beside.drift)
    of_files = check_files(table, work) if has_files else ()
    own = tuple(_of_files(len(rules) + number, each) for number, each in enumerate(of_files, 1))
    lost = [each.failures for each in of_files if each.failures.height]
    shown = tuple(each.pictures for each in of_files if each.pictures is not None)
    if not rules:
        failures = pl.concat(lost, how="diagonal") if lost else pl.DataFrame()
        return Check(table.num_rows, own, *told, failures, private, beside.statistics, beside.shared, shown)
    with scratch_folder(work.resources.scratch) as folder:
        run = _Run(table, rules, dict(tables or {}), work, folder)
        failures = pl.concat([run.failures, *lost], how="diagonal") if lost else run.failures
        return Check(run.rows, (*run.results, *own), *told, failures, private, beside.statistics, beside.shared, shown)


def _of_files(number: int, found: FileRule) -> RuleResult:
    """A rule about files as one of the check's own."""
    return RuleResult(
        number,
        found.rule,
        found.columns,
        found.severity,
        not found.broken,
        found.broken,
        found.rows,
        found.observed,
        found.examples,
    )


class _Run:
    """One pass over the rows for all rules."""

    def __init__(
        self, table: Dataset, rules: Sequence[Rule], tables: Mapping[str, Dataset], work: Work, folder: Path
    ) -> None:
        self._table, self._rules, self._tables, self._work, self._folder = table, rules, tables, work, folder
        schema = table.schema
        self._columns = {number: self._asked(number, rule, schema) for number, rule in enumerate(rules, 1)}
        self._cells = {n: self._compiled(n, r, schema) for n, r in enumerate(rules, 1) if isinstance(r, CellRule)}
        self._keys = {n: self._other_keys(n, r) for n, r in enumerate(rules, 1) if isinstance(r, ExistsIn)}
        self._broken: dict[int, int] = dict.fromkeys(range(1, len(rules) + 1), 0)
        self._seen: dict[int, int] = dict.fromkeys(self._broken, 0)
        self._kept: dict[int, list[pl.DataFrame]] = {number: [] for number in self._broken}
        self._latest: dict[int, dt.datetime] = {}
        self._sums: dict[int, tuple[float, int]] = {}
        self._starts: list[tuple[int, str, int]] = []
        self._hashes: dict[int, list[pl.DataFrame]] = {n: [] for n, r in enumerate(rules, 1) if isinstance(r, Unique)}
        self.rows = 0
        self._pass()
        for number in self._hashes:
            self._duplicates(number)
        self.results = tuple(self._result(number, rule) for number, rule in enumerate(rules, 1))
        self.failures = self._failures()

    def _asked(self, number: int, rule: Rule, schema: Schema) -> tuple[str, ...]:
        try:
            return rule.reads(schema)
        except LeptonError as error:
            raise _numbered(error, number) from None

    def _compiled(self, number: int, rule: CellRule, schema: Schema) -> pl.Expr:
        try:
            return rule.broken(schema).fill_null(False)
        except LeptonError as error:
            raise _numbered(error, number) from None

    def _other_keys(self, number: int, rule: ExistsIn) -> pl.DataFrame:
        if rule.table not in self._tables:
            raise UsageError(
                ErrorCode.BAD_RULE,
                f"rule {number}: there is no table {rule.table!r}",
                wanted="one of " + ", ".join(self._tables) if self._tables else "",
                fix=f"give it: --table {rule.table}=FILE, or tables={{{rule.table!r}: ...}}",
            )
        other, names = self._tables[rule.table], self._columns[number]
        frame = other.frame(rule.key or names).unique()
        frame.columns = list(names)
        kinds = self._table.schema
        for name, key in zip(names, rule.key or names, strict=True):
            if frame[name].dtype.is_numeric() != (kinds[name].dtype in ("float64", "int64")):
                came = f"rule {number}: column {name!r} is a {kinds[name].kind}, but {key!r} of {rule.table!r} is not"
                raise UsageError(ErrorCode.BAD_RULE, came, wanted="keys of the same kind")
        return frame

    # --- the pass ------------------------------------------------------------------------------------------------

    def _pass(self) -> None:
        wanted = [name for names in self._columns.values() for name in names]
        columns = list(dict.fromkeys(wanted)) or list(self._table.schema.names[:1])
        counts = [expression.sum().alias(str(number)) for number, expression in self._cells.items()]
        for frame in self._table.select(columns).numbered(_ROW, self._starts):
            self._work.check()
            if counts:
                found = frame.select(counts).row(0)
                for number, count in zip(self._cells, found, strict=True):
                    self._seen[number] += frame.height
                    self._take(number, count, frame, self._cells[number])
            for number, rule in enumerate(self._rules, 1):
                self._watch(number, rule, frame)
            self.rows += frame.height
            self._work.report(self.rows, self._table.num_rows if self.rows else None, "rows", note="rules")

    def _take(self, number: int, count: int, frame: pl.DataFrame, broken: pl.Expr) -> None:
        self._broken[number] += count
        left = MAX_KEPT - sum(each.height for each in self._kept[number])
        if count and left > 0:
            self._kept[number].append(frame.filter(broken).head(left))

    def _watch(self, number: int, rule: Rule, frame: pl.DataFrame) -> None:
        names = self._columns[number]
        if isinstance(rule, ExistsIn):
            keys = self._keys[number]
            known = frame.select(_ROW, *names).drop_nulls()
            keys = keys.cast({name: known.schema[name] for name in names})
            lost = known.join(keys, on=names, how="anti")
            self._seen[number] += known.height
            self._take(number, lost.height, frame, pl.col(_ROW).is_in(lost[_ROW].implode()))
        elif isinstance(rule, Unique):
            known = frame.filter(~pl.all_horizontal(pl.col(name).is_null() for name in names))
            self._seen[number] += known.height
            hashes = row_hashes(known.select(names), 0)
            self._hashes[number].append(hashes.with_columns(known[_ROW].alias("row")))
        elif isinstance(rule, Fresh):
            latest = frame[names[0]].dt.replace_time_zone(None).max() if frame.height else None
            if isinstance(latest, dt.datetime):
                self._latest[number] = max(latest, self._latest.get(number, latest))
        elif isinstance(rule, MeanBetween):
            total, count = self._sums.get(number, (0.0, 0))
            present = frame[names[0]].drop_nulls()
            self._sums[number] = (total + float(present.cast(pl.Float64).sum()), count + len(present))

    def _duplicates(self, number: int) -> None:
        """Rows whose key was there before; those to show are read again."""
        start = 0
        rows: list[np.ndarray[Any, Any]] = []

        def placed() -> Any:
            nonlocal start
            for part in self._hashes[number]:
                rows.append(part["row"].to_numpy())
                yield part.select("low", "high").with_columns(
                    pl.int_range(start, start + part.height, dtype=pl.Int64).alias("place")
                )
                start += part.height

        keep = first_rows(placed(), memory_limit(self._work), self._folder, self._work)
        if keep.all():
            return
        again = np.concatenate(rows)[~keep]
        self._broken[number] = len(again)
        chosen = again[:MAX_KEPT]
        self._kept[number] += self._chosen(self._table.select(self._columns[number]), chosen.tolist())

    @staticmethod
    def _chosen(table: Dataset, rows: Sequence[int]) -> Iterator[pl.DataFrame]:
        """The rows with the given numbers, which rise; reads no further than the last of them."""
        for frame in table.numbered(_ROW, []):
            if frame[_ROW][0] > rows[-1]:
                return
            yield frame.filter(pl.col(_ROW).is_in(rows))

    # --- what came of it -----------------------------------------------------------------------------------------

    def _result(self, number: int, rule: Rule) -> RuleResult:
        broken: int | None = self._broken[number]
        rows = self._seen[number]
        if isinstance(rule, CellRule | ExistsIn | Unique):
            share = (broken or 0) / rows if rows else 0.0
            passed, observed = share <= rule.allowed, f"{show_share(share)} of the rows"
        else:
            broken = None
            passed, observed = self._of_table(number, rule)
        return RuleResult(
            number,
            str(rule),
            self._columns[number],
            str(rule.severity),
            passed,
            broken,
            rows,
            observed,
            () if passed else self._examples(number),
        )

    def _of_table(self, number: int, rule: Rule) -> tuple[bool, str]:
        if isinstance(rule, RowCount):
            few, many = self.rows < rule.least, rule.most is not None and self.rows > rule.most
            return not few and not many, f"{self.rows:,} rows"
        if isinstance(rule, HasKind):
            schema = self._table.schema
            other = [name for name in rule.columns if schema[name].kind is not rule.kind]
            return not other, ", ".join(f"{name} is {schema[name].kind}" for name in other) or "as wanted"
        if isinstance(rule, MeanBetween):
            total, count = self._sums.get(number, (0.0, 0))
            if not count:
                return False, "no values"
            mean = total / count
            low, high = rule.least is not None and mean < rule.least, rule.most is not None and mean > rule.most
            return not low and not high, f"mean {show_number(mean)}"
        if isinstance(rule, Fresh):
            if number not in self._latest:
                return False, "no times"
            now = rule.moment or dt.datetime.now(dt.UTC).replace(tzinfo=None)
            age = (now - self._latest[number]).total_seconds()
            return age <= rule.seconds, f"latest {self._latest[number].isoformat(sep=' ', timespec='seconds')}"
        raise UsageError(ErrorCode.BAD_RULE, f"rule {number}: {rule.name} is of no shape that a check knows")

    def _place(self, row: int) -> tuple[str, int]:
        start, file, first = max((each for each in self._starts if each[0] <= row), default=(0, "", 1))
        return file, first + row - start

    def _examples(self, number: int) -> tuple[str, ...]:
        lines: list[str] = []
        names = self._columns[number]
        for frame in self._kept[number]:
            for row in frame.head(_EXAMPLES - len(lines)).iter_rows(named=True):
                file, place = self._place(row[_ROW])
                values = ", ".join(f"{name} = {printable(str(row[name]), 40)}" for name in names[:5])
                lines.append(f"row {place:,}{f' of {file}' if file else ''}: {values}")
            if len(lines) == _EXAMPLES:
                break
        return tuple(lines)

    def _failures(self) -> pl.DataFrame:
        """The rows that break rules, whole, with the rule, the file and the row."""
        marks = [
            (row, text)
            for number, text in enumerate(map(str, self._rules), 1)
            for frame in self._kept[number]
            for row in frame[_ROW].to_list()
        ]
        if not marks:
            return pl.DataFrame()
        rows = sorted({row for row, _ in marks})
        found = list(self._chosen(self._table, rows))
        places = [self._place(row) for row, _ in marks]
        told = pl.DataFrame(
            {
                "rule": [text for _, text in marks],
                "file": [file for file, _ in places],
                "row": [place for _, place in places],
                _ROW: [row for row, _ in marks],
            },
            schema_overrides={_ROW: pl.Int64},
        )
        clash = {name: f"{name} (of the table)" for name in ("rule", "file", "row") if name in self._table.schema}
        return told.join(pl.concat(found).rename(clash), on=_ROW, how="left").drop(_ROW)


def _numbered(error: LeptonError, number: int) -> LeptonError:
    return type(error)(
        error.code, f"rule {number}: {error.came}", wanted=error.wanted, fix=error.fix, details=error.details
    )
