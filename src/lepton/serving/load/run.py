"""Runs a load: asks each question once for its answer, starts the generator, waits, and judges the answers."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from lepton.bundle import Predictor
from lepton.core import ErrorCode, ServingError, UsageError, Work, printable
from lepton.serving.load import generator
from lepton.serving.load.generator import Plan
from lepton.serving.load.questions import Question
from lepton.serving.load.result import LoadResult

__all__ = ["LoadShape", "own_server", "run_load"]

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 60.0
_START_SECONDS = 120.0
_TOLERANCE = 1e-9  # sums may differ in their last bits with the rows beside them


@dataclass(frozen=True, slots=True)
class LoadShape:
    """How much is asked.

    Attributes:
        seconds: how long.
        rate: requests a second, due at random times whatever the server does; 0 is as many as are answered.
        connections: that are open at once.
        seed: of the random times.
        timeout: seconds after which an answer is given up.
    """

    seconds: float
    rate: float = 0.0
    connections: int = 16
    seed: int = 0
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("timeout", self.timeout)):
            if not 0 < value < math.inf:
                raise UsageError(ErrorCode.USAGE, f"got {name}={value!r}", wanted="more than 0")
        if not 0 <= self.rate <= 1_000_000:
            raise UsageError(ErrorCode.USAGE, f"got rate={self.rate!r}", wanted="requests a second, at most 1,000,000")
        if not 1 <= self.connections <= 10_000:
            raise UsageError(ErrorCode.USAGE, f"got connections={self.connections}", wanted="1 to 10,000")


def run_load(
    url: str,
    model: str,
    questions: Sequence[Question],
    shape: LoadShape,
    *,
    form: str,
    predictor: Predictor | None = None,
    work: Work,
) -> LoadResult:
    """Ask a server as `shape` says, from a process of its own.

    Args:
        url: address of the server, `http://…`.
        model: name of the model, for what is told.
        questions: requests that are taken in turns; each is asked once before, and its answer kept to compare with.
        shape: how much is asked.
        form: of the questions, for what is told.
        predictor: the model itself, whose predictions the answers must be; None compares them with each other.
        work: cancel ends the load early and gives what there is.

    Raises:
        UsageError: an address of another form.
        ServingError: nothing answers there, or it refuses the questions.
    """
    host, port = _place(url)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    answers = [_answer(host, port, question) for question in questions]
    wrong = 0 if predictor is None else _wrong(questions, answers, predictor)
    plan = Plan(
        host,
        port,
        [base64.b64encode(question.http(authority)).decode() for question in questions],
        [base64.b64encode(answer).decode() for answer in answers],
        seconds=shape.seconds,
        connections=shape.connections,
        rate=shape.rate,
        seed=shape.seed,
        timeout=shape.timeout,
    )
    told, arrays, stopped = _generate(plan, work)
    odd = sum(
        count
        for index, body, count in told["odd"]
        if not _same(_decoded(base64.b64decode(body)), _decoded(answers[index]))
    )
    checks = {
        "compared": len(questions) + told["right"] + sum(count for *_, count in told["odd"]),
        "different": wrong + odd,
        "against": "those given without load" if predictor is None else "those of the file, opened here",
    }
    due, took = (np.frombuffer(part, np.float64) for part in arrays[:2])
    asked = {**asdict(shape), "rows": len(questions[0].rows), "form": form}
    return LoadResult(model, asked, told, checks, due, took, np.frombuffer(arrays[2], np.int16), stopped)


@contextlib.contextmanager
def own_server(model: Path, name: str) -> Iterator[str]:
    """A server of one model in a process of its own, as `lepton serve` starts it; yields its address.

    Raises:
        ServingError: it does not start, or cannot open the model.
    """
    command = [sys.executable, "-m", "lepton", "serve", f"{name}={model}", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        stuck = threading.Timer(_START_SECONDS, process.kill)
        stuck.start()
        line = process.stdout.readline().strip() if process.stdout is not None else ""
        stuck.cancel()
        if not line.startswith("http://"):
            process.terminate()
            said = line or process.communicate()[1].strip()
            raise ServingError(ErrorCode.NOT_READY, f"the server did not start: {printable(said, 2000)}")
        yield line.partition("/v2/")[0]
    finally:
        process.terminate()
        process.communicate()


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise UsageError(
            ErrorCode.USAGE, f"got the address {printable(url)!r}", wanted="one such as http://127.0.0.1:8080"
        )
    return parts.hostname, parts.port or 80


def _answer(host: str, port: int, question: Question) -> bytes:
    """The answer of a server that has nothing else to do."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", question.path, question.body, dict(question.headers))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(
            ErrorCode.NOT_READY, f"{printable(host)}:{port} does not answer: {error}", fix="is the server running?"
        ) from None
    finally:
        connection.close()
    if answer.status != 200:
        said = printable(body.decode("utf-8", "replace"), 1000)
        raise ServingError(ErrorCode.BAD_REQUEST, f"the server answered {answer.status} to the first request: {said}")
    return body


def _generate(plan: Plan, work: Work) -> tuple[dict[str, Any], list[bytes], bool]:
    """Run the generator in its process, out of reach of the terminal's Ctrl-C, which is passed on to it."""
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", generator.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    output: list[bytes] = []
    talk = threading.Thread(target=lambda: output.append(process.communicate(json.dumps(asdict(plan)).encode())[0]))
    talk.start()
    begun = time.monotonic()
    stopped = False
    try:
        while talk.is_alive():
            talk.join(_POLL_SECONDS)
            work.report(min(time.monotonic() - begun, plan.seconds), plan.seconds, "seconds")
            if work.cancel.is_set() and not stopped:
                stopped = True
                process.terminate()
    finally:
        if talk.is_alive():
            process.kill()
        talk.join()
    line, _, rest = output[0].partition(b"\n")
    told: dict[str, Any] = json.loads(line) if line else {"error": f"the generator ended with {process.returncode}"}
    if "error" in told:
        raise ServingError(ErrorCode.NOT_READY, f"the load could not be made: {printable(told['error'])}")
    count = int(told["answered"])
    return told, [rest[: 8 * count], rest[8 * count : 16 * count], rest[16 * count : 18 * count]], stopped


def _wrong(questions: Sequence[Question], answers: Sequence[bytes], predictor: Predictor) -> int:
    """How many answers are not what the model predicts."""
    wrong = 0
    for question, answer in zip(questions, answers, strict=True):
        right = predictor.predict(list(question.rows))
        given = _decoded(answer)
        found = given.get("predictions") if isinstance(given, dict) else None
        if found is None and isinstance(given, dict):
            found = next((o.get("data") for o in given.get("outputs", ()) if o["name"] == "prediction"), None)
        wrong += found is not None and not _same(found, _plain(right))
    return wrong


def _plain(predictions: Any) -> Any:
    return predictions.tolist() if hasattr(predictions, "tolist") else list(predictions)


def _decoded(body: bytes) -> Any:
    """An answer as values, or as its bytes where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are one but for the last bits of their numbers."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == other or math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
