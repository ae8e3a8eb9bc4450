"""Engines for tests of the search: threads of this process, and no more than the search asks of an engine."""

import importlib
import pickle
import random
import threading
import time

from lepton.compute import State
from lepton.core import LeptonError, Work


class PlainHandle:
    """The state, the result, and two ways to end: all that a search asks of a piece of work."""

    def __init__(self):
        self.state = State.QUEUED
        self.work = Work()
        self._given = self._error = None
        self._done = threading.Event()

    def run(self, function, args, wait):
        self.state = State.RUNNING
        time.sleep(wait)
        try:
            self._given = pickle.loads(pickle.dumps(function(**args, work=self.work)))
        except LeptonError as error:
            self._error = error
        if self.state is State.RUNNING:
            self.state = State.DONE if self._error is None else State.FAILED
        self._done.set()

    def result(self, timeout=None):
        self._done.wait(timeout)
        if self._error is not None:
            raise self._error
        return self._given

    def cancel(self):
        self.work.cancel.set()

    def kill(self):
        if not self.state.final:
            self.state = State.KILLED
            self.work.cancel.set()


class PlainEngine:
    """Runs each call in a thread, after a while that `seed` draws: what began first may well end last.

    Args:
        num_threads: calls at a time.
        seed: of the waits; None to begin at once.
    """

    def __init__(self, num_threads=2, seed=None):
        self._turn = threading.Semaphore(num_threads)
        self._random = None if seed is None else random.Random(seed)
        self.submitted = []

    def submit(self, entry_point, args, resources, *, seed=0, within=None, reporter=None):
        module, _, name = entry_point.partition(":")
        function = getattr(importlib.import_module(module), name)
        handle = PlainHandle()
        handle.work = Work(within, resources=resources, seed=seed)
        args = pickle.loads(pickle.dumps(dict(args)))
        wait = 0.0 if self._random is None else self._random.choice([0.0, 0.0, 0.1, 0.3])
        self.submitted.append((entry_point, args))
        threading.Thread(target=self._run, args=(handle, function, args, wait), daemon=True).start()
        return handle

    def _run(self, handle, function, args, wait):
        with self._turn:
            handle.run(function, args, wait)

    def close(self):
        self.submitted.append(("closed", {}))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
