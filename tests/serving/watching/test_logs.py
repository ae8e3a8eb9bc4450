from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.watching.logs import JsonLines, access_line

BODY = b'{"rows": [{"town": "Oslo"}]}'


def record(name: str, message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, (), None)


def test_a_line_says_what_was_asked_and_nothing_of_what_was_in_it() -> None:
    served = ServedModel("rent", Path("rent.lepton"), "3")
    request = Request("POST", "/v2/models/rent/rows", {"authorization": "Bearer secret"}, BODY, "r1", "127.0.0.1")
    request.answered, request.num_rows = served, 1
    line = access_line(request, Response(200, b"[1.0]"), 0.0015)
    assert json.loads(line) == {
        "request_id": "r1",
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/v2/models/rent/rows",
        "status": 200,
        "ms": 1.5,
        "bytes_in": len(BODY),
        "bytes_out": 5,
        "model": "rent",
        "version": "3",
        "rows": 1,
    }


def test_a_refusal_has_its_code_and_no_model() -> None:
    told = json.loads(access_line(Request("GET", "/nowhere\n"), Response(404, b"", code="unknown-route"), 0.0))
    assert told["code"] == "unknown-route"
    assert "model" not in told
    assert "\n" not in told["path"]


def test_lines_of_requests_have_their_fields_beside_the_time() -> None:
    line = JsonLines().format(record("lepton.serving.access", '{"request_id": "r1", "status": 200}'))
    told = json.loads(line)
    assert (told["level"], told["request_id"], told["status"]) == ("info", "r1", 200)
    assert told["time"].endswith("Z")


def test_other_lines_are_one_line_too() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        broken = record("lepton.serving", "it failed", logging.ERROR)
        broken.exc_info = sys.exc_info()
    line = JsonLines().format(broken)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["message"], told["level"], told["logger"]) == ("it failed", "error", "lepton.serving")
    assert "ValueError: two" in told["exception"]
