"""Rules about the rows: how many, how old, how far from those of the training, and whether the test is a fair one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lepton.core import Kind, LeptonError, parse_duration, printable
from lepton.data.quality import find_personal
from lepton.data.quality.drift import compare_statistics
from lepton.data.quality.leakage import find_leakage
from lepton.data.quality.overlap import shared_rows
from lepton.evaluation.verify.base import Finding, Rule, Unknown
from lepton.evaluation.verify.examined import Examined
from lepton.evaluation.verify.rules_file import provenance
from lepton.report import show_number, show_share

__all__ = [
    "Age",
    "Drift",
    "Giveaways",
    "Missing",
    "Personal",
    "Rows",
    "RowsPerLabel",
    "SharedRowsRule",
    "Unseen",
]

_CHANCE = 1.2
"""Times the share of rows that repeat each other within the training, that are no sign of a leak."""
_GIVEN_AWAY = ("copy", "encoding", "alone", "missing")


def _check_share(rule: Rule, **shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise rule.refused(f"got {name}={share:g}", wanted="a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Age(Rule):
    """The data that the model was trained on is not older than a duration.

    Attributes:
        within: such as `365d`.
        column: a datetime column whose newest value counts: of the training's rows where they are given, else of the
            statistics in the file. Without it, the time `collected` of the lineage or the report `provenance` counts.
        now: the time to compare with, such as `2026-11-21`; by default that of the check, in UTC.
    """

    name: ClassVar[str] = "age"
    within: str
    column: str | None = None
    now: str | None = None

    def validate(self) -> None:
        """Duration and time must be such."""
        _ = self.seconds, self.moment

    @property
    def seconds(self) -> float:
        """The duration."""
        try:
            return parse_duration(self.within)
        except LeptonError as error:
            raise self.refused(error.came, wanted="a duration such as 90d") from None

    @property
    def moment(self) -> dt.datetime:
        """The time to compare with, in UTC without zone."""
        if self.now is None:
            return dt.datetime.now(dt.UTC).replace(tzinfo=None)
        found = _moment(self.now)
        if found is None:
            raise self.refused(f"got now={self.now!r}", wanted="a time such as 2026-11-21")
        return found

    def check(self, examined: Examined) -> None:
        """The column must be there, in what is known of the training."""
        if self.column is None:
            return
        schema = None if examined.training_data is None else examined.training_data.schema
        known = {column.name: column.kind for column in examined.predictor.manifest.inputs}
        if schema is not None:
            known |= {column.name: column.kind for column in schema}
        if self.column not in known:
            if schema is not None:
                _ = schema[self.column]
            raise self.refused(
                f"the column {self.column!r} is no input of the model",
                wanted="an input, or the rows of the training with it",
            )
        if known[self.column] is not Kind.DATETIME:
            raise self.refused(f"column {self.column!r} is of kind {known[self.column]}", wanted="datetime")

    def judge(self, examined: Examined) -> Finding:
        """The newest time of the training's data."""
        newest, where = self._newest(examined)
        age = (self.moment - newest).total_seconds()
        if age < -86_400:
            raise Unknown(f"the newest time is {newest:%Y-%m-%d}, which is still to come")
        days = age / 86_400
        evidence = f"the newest is of {newest:%Y-%m-%d} ({where}), {days:,.0f} days before {self.moment:%Y-%m-%d}"
        return Finding(age <= self.seconds, f"{days:,.0f} days", f"at most {self.within}", evidence)

    def _newest(self, examined: Examined) -> tuple[dt.datetime, str]:
        if self.column is None:
            told = provenance(examined, "collected")
            found = None if told is None else _moment(told)
            if found is None:
                raise Unknown("neither the lineage nor the report 'provenance' says when the data was collected")
            return found, "as it is told"
        if examined.training_data is not None and self.column in examined.training_data.schema:
            values = [
                batch[self.column].dt.replace_time_zone(None).max()
                for batch in examined.training_data.batches(columns=[self.column])
            ]
            times = [each for each in values if isinstance(each, dt.datetime)]
            if not times:
                raise Unknown(f"every row of {self.column!r} is missing")
            return max(times), f"{self.column} of the rows of the training"
        known = examined.baseline.get(self.column)
        if known is None or known.numbers is None or known.numbers.sketch.maximum is None:
            raise Unknown(f"the model file holds no statistics of {self.column!r}")
        newest = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=float(known.numbers.sketch.maximum))  # noqa: DTZ001
        return newest, f"{self.column} in the statistics of the file"


def _moment(text: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True, kw_only=True)
class Rows(Rule):
    """There are enough rows to judge by.

    Attributes:
        least: rows with a truth.
    """

    name: ClassVar[str] = "rows"
    least: int

    def judge(self, examined: Examined) -> Finding:
        """Rows that are judged."""
        rows = examined.answers
        left = rows.num_missing + sum(rows.unseen.values())
        evidence = f"{rows.num_rows:,} rows are judged" + (f"; {left:,} have no truth the model knows" if left else "")
        return Finding(rows.num_rows >= self.least, rows.num_rows, f"at least {self.least:,}", evidence)


@dataclass(frozen=True, kw_only=True)
class RowsPerLabel(Rule):
    """Every label that the model knows occurs often enough among the rows.

    Attributes:
        least: rows of the rarest label.
    """

    name: ClassVar[str] = "rows_per_label"
    least: int

    def judge(self, examined: Examined) -> Finding:
        """The rarest label."""
        rows = examined.answers
        if not rows.labels:
            raise Unknown("the model answers numbers, not labels")
        several = rows.y.ndim == 2
        counts = rows.y.sum(axis=0).astype(int) if several else np.bincount(rows.y, minlength=len(rows.labels))
        rarest = int(counts.argmin())
        evidence = f"the rarest label is {rows.labels[rarest]!r} with {int(counts[rarest]):,} rows"
        return Finding(bool(counts.min() >= self.least), int(counts.min()), f"at least {self.least:,}", evidence)


@dataclass(frozen=True, kw_only=True)
class Missing(Rule):
    """Few cells of the model's inputs are missing.

    Attributes:
        most: largest share of missing cells of any input column.
    """

    name: ClassVar[str] = "missing"
    most: float

    def validate(self) -> None:
        """A share must be one."""
        _check_share(self, most=self.most)

    @property
    def wants_inputs(self) -> bool:
        """All of them."""
        return True

    def judge(self, examined: Examined) -> Finding:
        """The column with most missing cells."""
        frame = examined.frame
        shares = {name: frame[name].null_count() / max(frame.height, 1) for name in frame.columns}
        worst = max(shares, key=lambda name: shares[name])
        evidence = f"most are missing in {printable(worst)!r}: {show_share(shares[worst])} of {frame.height:,} rows"
        return Finding(shares[worst] <= self.most, shares[worst], f"at most {show_number(self.most)}", evidence)


@dataclass(frozen=True, kw_only=True)
class Unseen(Rule):
    """Few values of category columns are such as training had not seen.

    Attributes:
        most: largest share of unseen values of any category column.
    """

    name: ClassVar[str] = "unseen"
    most: float

    def validate(self) -> None:
        """A share must be one."""
        _check_share(self, most=self.most)

    def judge(self, examined: Examined) -> Finding:
        """The column with most of them."""
        num_rows = examined.rows.num_rows
        if not any(column.kind is Kind.CATEGORY for column in examined.inputs):
            return Finding(True, 0.0, f"at most {show_number(self.most)}", "the model takes no categories")
        if "assets/vocabulary.json" not in examined.predictor.bundle.names:
            raise Unknown("the model file does not say which categories training had seen")
        shares = {name: count / num_rows for name, count in examined.unseen.items()}
        if not shares:
            return Finding(True, 0.0, f"at most {show_number(self.most)}", "training had seen every category")
        worst = max(shares, key=lambda name: shares[name])
        evidence = f"most are unseen in {printable(worst)!r}: {show_share(shares[worst])} of {num_rows:,} rows"
        return Finding(shares[worst] <= self.most, shares[worst], f"at most {show_number(self.most)}", evidence)


@dataclass(frozen=True, kw_only=True)
class Drift(Rule):
    """The rows are distributed as those of the training, whose statistics the file holds.

    Attributes:
        most_psi: largest population stability index of any column, beyond what so few rows do by chance.
        allowed: columns that may move further.
    """

    name: ClassVar[str] = "drift"
    most_psi: float = 0.25
    allowed: tuple[str, ...] = ()

    def validate(self) -> None:
        """An index is above 0."""
        if not self.most_psi > 0:
            raise self.refused(f"got most_psi={self.most_psi:g}", wanted="a number above 0, such as 0.25")

    def columns(self) -> tuple[str, ...]:
        """Those that may move must be there."""
        return self.allowed

    @property
    def wants_inputs(self) -> bool:
        """All of them."""
        return True

    def judge(self, examined: Examined) -> Finding:
        """The column that moved furthest."""
        pairs = examined.statistics
        records = examined.once(
            "drift",
            lambda: compare_statistics(
                {name: each[0] for name, each in pairs.items()}, {name: each[1] for name, each in pairs.items()}
            ),
        )
        examined.told("drift", {each.column: each.to_dict() for each in records})
        # What the index is by chance alone when nothing has moved (Yurdakul 2018).
        beyond = {}
        for each in records:
            before, after = pairs[each.column]
            if each.psi is not None and before.rows and after.rows and each.column not in self.allowed:
                beyond[each.column] = max(each.psi - 9 * (1 / before.rows + 1 / after.rows), 0.0)
        if not beyond:
            raise Unknown("no column can be compared with the training")
        worst = max(beyond, key=lambda name: beyond[name])
        evidence = f"{printable(worst)!r} moved furthest of {len(beyond)} columns: PSI {show_number(beyond[worst])}"
        return Finding(beyond[worst] <= self.most_psi, beyond[worst], f"at most {show_number(self.most_psi)}", evidence)


@dataclass(frozen=True, kw_only=True)
class Personal(Rule):
    """No input of the model holds personal data: names, addresses, numbers of cards and persons.

    Attributes:
        allowed: columns that may.
        confidence: how sure a finding must be, 0 to 1.
        rows: rows that are looked at, from the start.
    """

    name: ClassVar[str] = "personal"
    allowed: tuple[str, ...] = ()
    confidence: float = 0.5
    rows: int = 10_000

    def validate(self) -> None:
        """Numbers must be such."""
        _check_share(self, confidence=self.confidence)
        if self.rows < 1:
            raise self.refused(f"got rows={self.rows}", wanted="at least 1")

    def columns(self) -> tuple[str, ...]:
        """Those that may must be there."""
        return self.allowed

    def judge(self, examined: Examined) -> Finding:
        """What was found in the inputs."""
        dataset = examined.dataset
        names = examined.inputs_of(dataset)
        names = [name for name in names if name not in self.allowed]
        if not names:
            raise Unknown("the model takes no table")
        found = find_personal(dataset, columns=names, rows=self.rows, work=examined.work)
        sure = [each for each in found.findings if each.confidence >= self.confidence]
        columns = list(dict.fromkeys(each.column for each in sure))
        words = "; ".join(f"{printable(each.column)}: {each.kind}" for each in sure[:5])
        evidence = words or f"none was found in {found.rows_seen:,} rows of {len(names)} columns"
        return Finding(not columns, len(columns), "none", evidence)


@dataclass(frozen=True, kw_only=True)
class SharedRowsRule(Rule):
    """The rows are not those that the model was trained on.

    Where the rows of the training are given, rows that stand in both are counted, as many apart as repeat each other
    within the training anyway; else only the fingerprint of the training, which the lineage tells, is compared.

    Attributes:
        most: largest share of the rows that stand in both.
        near: count rows, too, that are equal but for case, punctuation and the last digits of numbers, or have nearly
            the same text. In tables of few columns some are so by chance.
    """

    name: ClassVar[str] = "shared_rows"
    most: float = 0.0
    near: bool = False

    def validate(self) -> None:
        """A share must be one."""
        _check_share(self, most=self.most)

    def judge(self, examined: Examined) -> Finding:
        """The share of shared rows."""
        wanted = "none" if not self.most else f"at most {show_number(self.most)}"
        dataset = examined.dataset
        if examined.training_data is None:
            learned = examined.predictor.manifest.lineage.get("dataset")
            known = learned.get("fingerprint") if isinstance(learned, dict) else None
            if known is not None and known == examined.fingerprint:
                return Finding(False, 1.0, wanted, "these are the rows that the model was trained on")
            raise Unknown("the rows of the training were not given: only that these are not all of them is known")
        found = examined.once("shared", lambda: shared_rows(dataset, examined.training, work=examined.work))
        text = " ".join(line.strip() for line in found.text().splitlines()[:4])
        if found.complete is False:
            text += " (not all rows were compared)"
        share = found.share if self.near else found.equal / max(found.rows, 1)
        passed = share <= max(self.most, _CHANCE * found.repeated)
        return Finding(passed, share, wanted, text)


@dataclass(frozen=True, kw_only=True)
class Giveaways(Rule):
    """No single input gives the truth away: as a copy, in another writing, or by a nearly perfect prediction.

    Attributes:
        allowed: columns that may, because they are known when the model answers.
    """

    name: ClassVar[str] = "giveaways"
    allowed: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Those that may must be there."""
        return self.allowed

    def judge(self, examined: Examined) -> Finding:
        """What was found among the inputs."""
        target = examined.target
        if examined.no_truth or target is None:
            raise Unknown(examined.no_truth or "there are several targets")
        dataset = examined.dataset if examined.training_data is None else examined.training_data
        names = examined.inputs_of(dataset)
        names = [name for name in names if name not in self.allowed and name != target]
        if not names or target not in dataset.schema:
            raise Unknown("the rows have no inputs and target of a table")
        table = dataset.select([*names, target])
        found = examined.asked(lambda: find_leakage(table, target, work=examined.work))
        given = [each for each in found.findings if each.what in _GIVEN_AWAY and each.level == "warning"]
        words = "; ".join(f"{printable(each.column or '')}: {each.text}" for each in given[:3])
        evidence = words or f"none was found among {len(names)} columns of {found.seen:,} rows"
        return Finding(not given, len(given), "none", evidence)
