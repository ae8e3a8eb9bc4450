"""What an operator wants done at an alarm: a web hook called, a command run; at most once in a window."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lepton.core import ErrorCode, UsageError, printable
from lepton.serving.watching.feedback import JUDGED_ROWS, against_training
from lepton.serving.watching.recorder import ModelWatch
from lepton.serving.watching.state import StateStore

__all__ = ["NoRedirect", "Triggers"]

_logger = logging.getLogger("lepton.serving")
_VOLUME_PAUSE = 60.0  # in which no other process of the server tells the same
_HOOK_TIME = 10.0
_COMMAND_TIME = 600.0


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is named is called, and nothing that it names in turn."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


class Triggers:
    """Tells of alarms, in threads of its own; what fails is logged and not tried again before the next window.

    Args:
        state: remembers what was told, for all processes of the server.
        pause: seconds in which a model's alarm is told once.
        webhook: address that the alarm is posted to as JSON; None calls none.
        command: words of a command, as a shell would read them, that gets the alarm as JSON on its standard input;
            no shell runs it. None runs none.
        volume: new truths after which their number is told; 0 never tells it.

    Raises:
        UsageError: an address that is no http or https, a command without a word, a number below 0, or one without
            anybody to tell it.
    """

    def __init__(
        self,
        state: StateStore,
        pause: float,
        *,
        webhook: str | None = None,
        command: str | None = None,
        volume: int = 0,
    ) -> None:
        if volume < 0 or (volume and webhook is None and command is None):
            raise UsageError(
                ErrorCode.BAD_SETTING,
                f"got {volume} truths after which to tell"
                + ("" if webhook is not None or command is not None else ", and nobody to tell"),
                wanted="a number from 1, and --alarm-webhook or --alarm-command",
            )
        self._state, self._pause, self._volume = state, pause, volume
        self._actions: list[Callable[[bytes], None]] = []
        self._threads: list[threading.Thread] = []
        if webhook is not None:
            if urlsplit(webhook).scheme not in {"http", "https"} or not urlsplit(webhook).hostname:
                raise UsageError(ErrorCode.BAD_SETTING, "the web hook is no address", wanted="http://… or https://…")
            self._webhook = webhook
            self._actions.append(self._call)
        if command is not None:
            try:
                self._command = shlex.split(command)
            except ValueError as error:
                raise UsageError(ErrorCode.BAD_SETTING, f"the command cannot be read: {error}") from None
            if not self._command:
                raise UsageError(ErrorCode.BAD_SETTING, "the command at alarms is empty", wanted="a command")
            self._actions.append(self._run)

    def judged(self, watch: ModelWatch) -> None:
        """A model was compared with its training."""
        report = watch.report
        if not self._actions or report is None or report.state != "alarm":
            return
        if self._state.fire(f"drift/{watch.key}", self._pause):
            told = {"event": "drift", "model_name": watch.name, "model_version": watch.version}
            self._tell(told | {"model_id": watch.model_id} | report.to_dict())

    def fed(self, watch: ModelWatch) -> None:
        """New truths are known of a model's answers."""
        if not self._actions:
            return
        model = {"model_name": watch.name, "model_version": watch.version, "model_id": watch.model_id}
        found = against_training(watch, self._state.judged(watch.name, JUDGED_ROWS))
        if found is not None and found["decayed"] and self._state.fire(f"decay/{watch.key}", self._pause):
            self._tell({"event": "decay"} | model | found)
        rule = f"volume/{watch.name}"
        new = self._state.judged_since_fired(watch.name, rule) if self._volume else 0
        if self._volume and new >= self._volume and self._state.fire(rule, _VOLUME_PAUSE):
            self._tell({"event": "volume"} | model | {"new_truths": new})

    def close(self, seconds: float = 5.0) -> None:
        """Wait a moment for what is under way."""
        for thread in self._threads:
            thread.join(seconds)

    def _tell(self, event: Mapping[str, Any]) -> None:
        body = json.dumps(event).encode()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for action in self._actions:
            thread = threading.Thread(target=action, args=(body,), name="lepton-alarm", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _call(self, body: bytes) -> None:
        request = urllib.request.Request(self._webhook, body, {"content-type": "application/json"})  # noqa: S310 - checked
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=_HOOK_TIME):
                pass
        except (OSError, ValueError) as error:
            reason = f"it answered {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
            _logger.error("the web hook at alarms failed: %s", printable(reason, 300))

    def _run(self, body: bytes) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - what the operator has typed
                self._command,
                check=False,
                input=body,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_COMMAND_TIME,
            )
        except (OSError, subprocess.SubprocessError) as error:
            _logger.error("the command at alarms failed: %s", printable(str(error), 300))
            return
        if done.returncode:
            said = printable(done.stderr.decode("utf-8", "replace").strip(), 300)
            _logger.error("the command at alarms ended with %d: %s", done.returncode, said)
