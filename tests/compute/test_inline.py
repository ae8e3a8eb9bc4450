"""The inline engine keeps the contract."""

from __future__ import annotations

import os
import threading

import pytest

from lepton.compute import InlineEngine
from lepton.core import WorkerError
from tests.compute.engine_contract import ONE, TASKS, EngineContract, begin, wait_for


class TestInlineEngine(EngineContract):
    @pytest.fixture
    def engine(self):
        with InlineEngine() as engine:
            yield engine
        wait_for(lambda: all(thread.name != "lepton-call" for thread in threading.enumerate()))

    def test_it_is_this_process(self, engine):
        assert self.run(engine, "describe")["process"] == os.getpid()

    def test_killed_work_is_asked_to_stop(self, engine):
        begin(engine, "until_stopped").kill()  # the fixture waits for its thread to end

    def test_the_cause_is_the_error_itself(self, engine):
        handle = engine.submit(f"{TASKS}:divide", {}, ONE)
        with pytest.raises(WorkerError, match="ZeroDivisionError") as caught:
            handle.result(30)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
