"""What watching keeps over a restart: one SQLite file in the server's state folder, shared by its processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, printable
from lepton.serving.strict_json import dump
from lepton.store import database_errors, make_folder, open_database

__all__ = ["Answered", "Batch", "Judged", "StateStore"]

_NAME = "watching.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS panes (
    pane TEXT PRIMARY KEY, watch TEXT NOT NULL, started REAL NOT NULL, ended REAL NOT NULL, rows INTEGER NOT NULL,
    statistics TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS panes_by_watch ON panes (watch, ended);
CREATE TABLE IF NOT EXISTS answers (
    model TEXT NOT NULL, request TEXT NOT NULL, row INTEGER NOT NULL, version TEXT NOT NULL, model_id TEXT NOT NULL,
    at REAL NOT NULL, answer TEXT NOT NULL, input TEXT, truth TEXT, judged REAL, PRIMARY KEY (model, request, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (at);
CREATE INDEX IF NOT EXISTS answers_by_truth ON answers (model, judged) WHERE judged IS NOT NULL;
CREATE TABLE IF NOT EXISTS batches (
    batch INTEGER PRIMARY KEY, model TEXT NOT NULL, ended REAL NOT NULL, rows INTEGER NOT NULL, requests TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (ended);
CREATE TABLE IF NOT EXISTS targets (model TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fired (rule TEXT PRIMARY KEY, at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one row.

    Attributes:
        model: its name.
        request: id of the request.
        row: position of the row in it.
        version: of the model.
        model_id: that answered.
        at: when, in seconds since 1970.
        answer: `prediction` and, of a classifier, `probabilities`, in JSON.
        input: columns of the row by name in JSON, where rows are kept; else None.
    """

    model: str
    request: str
    row: int
    version: str
    model_id: str
    at: float
    answer: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers of one version of a model, kept as one text: most of them nobody ever asks for.

    Attributes:
        model: its name.
        version: of the model.
        model_id: that answered.
        requests: id of each request.
        at: when each was answered, in seconds since 1970.
        counts: rows of each.
        predictions: of all rows, one behind the other.
        probabilities: of all rows, of a classifier that gave them; else None.
    """

    model: str
    version: str
    model_id: str
    requests: Sequence[str]
    at: Sequence[float]
    counts: Sequence[int]
    predictions: Sequence[Any]
    probabilities: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A row with its answer and what was true.

    Attributes:
        model_id: that answered.
        answer: as in `Answered`.
        input: as in `Answered`.
        truth: in JSON.
        judged: when the truth came, in seconds since 1970.
    """

    model_id: str
    answer: dict[str, Any]
    input: dict[str, Any] | None
    truth: Any
    judged: float


class StateStore:
    """The kept state; every method may be called from any thread, and other processes may have the same file open.

    Args:
        folder: of the server's state.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder cannot be written, here and in every method.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._connection = open_database(make_folder(folder) / _NAME, _TABLES)
        self._lock = threading.Lock()
        self.clock = clock

    @classmethod
    def found(cls, folder: Path) -> StateStore:
        """The state that a server has kept in a folder; `DataError` NOT_FOUND where there is none."""
        if not (folder / _NAME).is_file():
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"'{printable(str(folder))}' holds no state of a server",
                wanted="the folder of lepton serve --state",
            )
        return cls(folder)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def put_pane(self, pane: str, watch: str, started: float, rows: int, statistics: dict[str, Any]) -> None:
        """Keep a part of a window, in place of what was kept of it before."""
        values = (pane, watch, started, self.clock(), rows, json.dumps(statistics))
        self._run("INSERT OR REPLACE INTO panes VALUES (?, ?, ?, ?, ?, ?)", values)

    def panes(self, watch: str, since: float) -> list[tuple[str, float, float, int, dict[str, Any]]]:
        """Name, start, end, rows and statistics of what ended after `since`, latest first."""
        found = self._run(
            "SELECT pane, started, ended, rows, statistics FROM panes WHERE watch = ? AND ended > ?"
            " ORDER BY ended DESC",
            (watch, since),
        )
        return [(*row[:4], json.loads(row[4])) for row in found]

    def drop_panes(self, before: float) -> None:
        """Forget what ended before."""
        self._run("DELETE FROM panes WHERE ended < ?", (before,))

    def put_answers(self, answers: Iterable[Answered]) -> None:
        """Keep answers; the first to an id and a row stays."""
        rows = [(a.model, a.request, a.row, a.version, a.model_id, a.at, a.answer, a.input) for a in answers]
        with self._lock, database_errors(_NAME):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", rows
                )
            finally:
                self._connection.execute("COMMIT")

    def put_batch(self, batch: Batch) -> None:
        """Keep answers in one piece, until some of them are asked for by `unpack`."""
        content = {
            name: getattr(batch, name)
            for name in ("version", "model_id", "at", "counts", "predictions", "probabilities")
        }
        # Ids hold no space.
        requests = " ".join(batch.requests)
        values = (batch.model, batch.at[-1], len(batch.predictions), requests, dump(content).decode())
        self._run("INSERT INTO batches (model, ended, rows, requests, content) VALUES (?, ?, ?, ?, ?)", values)

    def unpack(self, model: str, requests: Collection[str]) -> None:
        """Make single answers of those in batches, for these requests; the first to an id stays."""
        wanted = set(requests)
        found: list[Answered] = []
        for batch, told in self._run("SELECT batch, requests FROM batches WHERE model = ? ORDER BY batch", (model,)):
            if wanted and not wanted.isdisjoint(ids := told.split(" ")):
                content = self._run("SELECT content FROM batches WHERE batch = ?", (batch,))
                found += [one for text, *_ in content for one in _unpacked(model, ids, json.loads(text), wanted)]
                wanted.difference_update(ids)
        if found:
            self.put_answers(found)

    def drop_answers(self, before: float, most: int) -> None:
        """Forget answers from before, and the oldest beyond so many; with them what was true."""
        self._run("DELETE FROM batches WHERE ended < ?", (before,))
        self._run(
            "DELETE FROM batches WHERE batch IN (SELECT batch FROM (SELECT batch,"
            " SUM(rows) OVER (ORDER BY batch DESC) - rows AS newer FROM batches) WHERE newer >= ?)",
            (most,),
        )
        self._run("DELETE FROM answers WHERE at < ?", (before,))
        self._run("DELETE FROM answers WHERE at <= (SELECT at FROM answers ORDER BY at DESC LIMIT 1 OFFSET ?)", (most,))

    def rows_of(self, model: str, request: str) -> dict[int, tuple[str, Any]]:
        """Of each kept row of a request its model's id and what is known to be true, or None."""
        found = self._run("SELECT row, model_id, truth FROM answers WHERE model = ? AND request = ?", (model, request))
        return {row: (model_id, None if truth is None else json.loads(truth)) for row, model_id, truth in found}

    def put_truths(self, model: str, truths: Sequence[tuple[str, int, Any]]) -> None:
        """Keep what was true of rows that are kept: all of it, on the disk, or none."""
        now = self.clock()
        values = [(json.dumps(truth), now, model, request, row) for request, row, truth in truths]
        with self._lock, database_errors(_NAME):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "UPDATE answers SET truth = ?, judged = ? WHERE model = ? AND request = ? AND row = ?", values
                )
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def judged(self, model: str, most: int) -> list[Judged]:
        """The rows whose truth came last, latest first."""
        found = self._run(
            "SELECT model_id, answer, input, truth, judged FROM answers WHERE model = ? AND judged IS NOT NULL"
            " ORDER BY judged DESC, request, row LIMIT ?",
            (model, most),
        )
        return [
            Judged(model_id, json.loads(answer), None if row is None else json.loads(row), json.loads(truth), at)
            for model_id, answer, row, truth, at in found
        ]

    def judged_since_fired(self, model: str, rule: str) -> int:
        """Rows of a model whose truth came since a rule fired last."""
        statement = (
            "SELECT COUNT(*) FROM answers WHERE model = ? AND judged IS NOT NULL"
            " AND judged > COALESCE((SELECT at FROM fired WHERE rule = ?), 0)"
        )
        return int(self._run(statement, (model, rule))[0][0])

    def put_target(self, model: str, name: str) -> None:
        """Keep what the column is called that a model predicts."""
        self._run("INSERT OR REPLACE INTO targets VALUES (?, ?)", (model, name))

    def targets(self) -> dict[str, str]:
        """Every model that was served with this state, and the column that it predicts."""
        return dict(self._run("SELECT model, name FROM targets ORDER BY model", ()))

    def fire(self, rule: str, pause: float) -> bool:
        """Whether a rule that fires at most once in `pause` seconds may fire now; the next who asks is told no."""
        now = self.clock()
        return bool(
            self._run(
                "INSERT INTO fired VALUES (?, ?) ON CONFLICT (rule) DO UPDATE SET at = excluded.at"
                " WHERE at <= excluded.at - ? RETURNING 1",
                (rule, now, pause),
            )
        )

    def _run(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self._lock, database_errors(_NAME):
            return self._connection.execute(statement, values).fetchall()


def _unpacked(
    model: str, ids: Sequence[str], content: Mapping[str, Any], wanted: Collection[str]
) -> Iterator[Answered]:
    """The wanted answers of a batch."""
    start = 0
    for request, at, count in zip(ids, content["at"], content["counts"], strict=True):
        if request in wanted:
            for row in range(count):
                answer = {"prediction": content["predictions"][start + row]}
                if content["probabilities"] is not None:
                    answer["probabilities"] = content["probabilities"][start + row]
                yield Answered(model, request, row, content["version"], content["model_id"], at, json.dumps(answer))
        start += count
