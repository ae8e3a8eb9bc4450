"""One line of the log for each request: what it was and how it went, and nothing of what was in it."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from lepton.core import printable
from lepton.serving.protocols.base import Request, Response

__all__ = ["JsonLines", "access_line", "follow_log_form", "log_as_json", "log_form"]

_TEXT = "%(levelname)s %(name)s: %(message)s"


def access_line(request: Request, response: Response, seconds: float) -> str:
    """A request as a JSON object; body and headers are not in it.

    Args:
        request: that was answered.
        response: what was sent.
        seconds: from the read request to the sent answer.
    """
    record = {
        "request_id": request.id,
        "client": request.client,
        "method": request.method,
        "path": printable(request.path),
        "status": response.status,
        "ms": round(seconds * 1e3, 3),
        "bytes_in": len(request.body) or request.size,
        "bytes_out": len(response.body) if response.stream is None else response.stream.size,
    }
    if response.code:
        record["code"] = response.code
    if request.answered is not None:
        record |= {"model": request.answered.name, "version": request.answered.version, "rows": request.num_rows}
    return json.dumps(record)


class JsonLines(logging.Formatter):
    """Every record of the log as one JSON object on one line; what is one already has its fields beside the time."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = time.gmtime(record.created)
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03d}Z"
        out = {"time": stamp, "level": record.levelname.lower(), "logger": record.name}
        message = record.getMessage()
        if record.name.endswith(".access"):
            out |= json.loads(message)
        else:
            out["message"] = message
        if record.exc_info:
            out["exception"] = self.formatException(record.exc_info)
        return json.dumps(out, ensure_ascii=False)


def log_form() -> dict[str, Any]:
    """How this process's log is set up, in JSON, for processes that it starts."""
    root = logging.getLogger()
    return {"level": root.level, "json": any(isinstance(handler.formatter, JsonLines) for handler in root.handlers)}


def follow_log_form(form: dict[str, Any]) -> None:
    """Set the log of a process up as `log_form` told it."""
    logging.basicConfig(level=form["level"], format=_TEXT)
    if form["json"]:
        log_as_json()


def log_as_json() -> None:
    """Have every line of this process's log be a JSON object."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
