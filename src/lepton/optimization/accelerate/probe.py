"""What runs in a child process, of this Python or another: it opens a graph as it is told, answers, and times itself.

It is started as a file, needs onnxruntime alone, and imports nothing of Lepton, which that other Python may not have.
A line of JSON on standard input is a request, a line on standard output its answer. An execution provider that brings
the process down takes nothing with it.
"""

import base64
import json
import os
import statistics
import sys
import time
from typing import Any

import numpy
import onnxruntime

_sessions: list[Any] = []
_rows: dict[str, Any] = {}


def _about(request: dict[str, Any]) -> dict[str, Any]:
    return {"onnxruntime": onnxruntime.__version__, "providers": onnxruntime.get_available_providers()}


def _rows_are(request: dict[str, Any]) -> dict[str, Any]:
    for name, told in request["tensors"].items():
        if "texts" in told:
            _rows[name] = numpy.array(told["texts"], dtype=object).reshape(told["shape"])
        else:
            data = numpy.frombuffer(base64.b64decode(told["data"]), dtype=told["dtype"])
            _rows[name] = data.reshape(told["shape"]).copy()
    return {}


def _open(request: dict[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(request["graph"], options, providers=request["providers"])
    session.disable_fallback()
    _sessions.append(session)
    return {"id": len(_sessions) - 1, "providers": session.get_providers()}


def _answers(request: dict[str, Any]) -> dict[str, Any]:
    session = _sessions[request["id"]]
    feeds = {each.name: _rows[each.name] for each in session.get_inputs()}
    given = session.run(None, feeds)
    told: dict[str, Any] = {}
    for output, answer in zip(session.get_outputs(), given, strict=True):
        if answer.dtype.kind in "fiub":
            data = base64.b64encode(numpy.ascontiguousarray(answer).tobytes()).decode("ascii")
            told[output.name] = {"dtype": answer.dtype.name, "shape": list(answer.shape), "data": data}
        else:
            told[output.name] = {"texts": [str(each) for each in answer.ravel()], "shape": list(answer.shape)}
    return {"answers": told}


def _block(request: dict[str, Any]) -> dict[str, Any]:
    session = _sessions[request["id"]]
    feeds = {each.name: _rows[each.name][: request["rows"]] for each in session.get_inputs()}
    for _ in range(2):
        session.run(None, feeds)
    times = []
    for _ in range(request["calls"]):
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(times)}


_DO = {"about": _about, "rows": _rows_are, "open": _open, "answers": _answers, "block": _block}


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what providers print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            told = _DO[request["do"]](request)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common class
            told = {"error": " ".join(str(error).split())[:500] or type(error).__name__}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
