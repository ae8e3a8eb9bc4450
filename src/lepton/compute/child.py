"""The worker's side: a process that makes one call after another until its parent is gone."""

from __future__ import annotations

import io
import os
import queue
import threading
import time
import traceback
from collections import defaultdict

from lepton.compute.calls import Call, pack, perform, unpack
from lepton.compute.channel import CANCEL, ERROR, PROGRESS, RESULT, Channel
from lepton.core import DataError, ErrorCode, LeptonError, ProgressRecord
from lepton.core.imports import own_process

__all__ = ["main"]

_REPORT_SECONDS = 0.05  # work may report every row; the parent is told at most this often, and always the last
_FAREWELL_SECONDS = 2.0  # for a call to stop and clean up once the parent is gone


def main() -> None:
    """Serve the parent at the other end of standard input and output."""
    own_process()
    child = _Child(_own_pipes())
    threading.Thread(target=child.listen, name="lepton-listen", daemon=True).start()
    child.serve()


def _own_pipes() -> Channel:
    """The parent's pipes, out of reach of what is called: its prints go to standard error, its input is empty."""
    channel = Channel(io.FileIO(os.dup(0), "rb"), io.FileIO(os.dup(1), "wb"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return channel


class _Child:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._calls: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        # A cancel may overtake the call that it is for, so its event is there before the call is.
        self._cancels: defaultdict[int, threading.Event] = defaultdict(threading.Event)

    def listen(self) -> None:
        """Read what the parent sends, in a thread of its own: a busy worker can be asked to stop."""
        try:
            while True:
                kind, data = self._channel.receive()
                if kind == CANCEL:
                    self._cancels[int.from_bytes(data, "big")].set()
                else:
                    self._calls.put(data)
        except EOFError:
            self._calls.put(None)
            for cancel in list(self._cancels.values()):
                cancel.set()
            time.sleep(_FAREWELL_SECONDS)
            os._exit(1)

    def serve(self) -> None:
        while (request := self._calls.get()) is not None:
            reports = _Reports(self._channel)
            kind, data = self._answer(request, reports)
            self._cancels.clear()
            try:
                reports.flush()
                self._channel.send(kind, data)
            except OSError:
                return  # the parent is gone

    def _answer(self, request: bytearray, reports: _Reports) -> tuple[bytes, bytes]:
        try:
            number, call = unpack(request, "the call")
            _enter(call)
            value = perform(call, self._cancels[number], reports.take)
            return RESULT, pack(value, f"the result of {call.entry_point}")
        except LeptonError as error:
            return ERROR, _pack_error(error)


class _Reports:
    """Progress on its way to the parent: the latest, not too often, and always the last."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._latest: ProgressRecord | None = None
        self._sent = float("-inf")

    def take(self, record: ProgressRecord) -> None:
        with self._lock:
            self._latest = record
        if time.monotonic() - self._sent >= _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            record, self._latest = self._latest, None
        if record is not None:
            self._sent = time.monotonic()
            self._channel.send(PROGRESS, pack(record, "a progress report"))


def _enter(call: Call) -> None:
    try:
        os.chdir(call.folder)
    except OSError:
        raise DataError(ErrorCode.NOT_FOUND, "the working folder of the caller is gone") from None


def _pack_error(error: LeptonError) -> bytes:
    trace = "" if error.__cause__ is None else "".join(traceback.format_exception(error.__cause__))
    try:
        return pack((error, trace), "the error")
    except LeptonError:
        error.details = {name: repr(value) for name, value in error.details.items()}
        return pack((error, trace), "the error")
