"""`lepton bench`: how quickly a model is served."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lepton import bundle, data, serving
from lepton.cli.options import Injected, Seed
from lepton.cli.output import Result
from lepton.core import ErrorCode, Interrupted, UsageError, parse_duration
from lepton.serving import load

__all__ = ["bench"]

_QUESTIONS = 256
_OPEN_CONNECTIONS = 256
_CLOSED_CONNECTIONS = 16


def bench(
    model: Path,
    /,
    *,
    rate: float = 0.0,
    seconds: Annotated[str, Parameter(name="--for")] = "10s",
    connections: int | None = None,
    url: str | None = None,
    name: str | None = None,
    token_file: Path | None = None,
    table: Annotated[str | None, Parameter(name="--data")] = None,
    rows: int = 1,
    form: Literal["rows", "tensors", "binary"] = "rows",
    report: Path | None = None,
    seed: Seed = None,
    context: Injected,
) -> Result:
    """Ask a served model at a rate, and tell how long its answers took.

    With --rate, requests come at random times, whatever the server does, and are timed from when they were due: a stall
    counts for everyone whom it kept waiting. Without it, each connection asks again when it is answered. Answers are
    compared with those of the file. Ctrl-C gives what has been measured by then.

    Args:
        model: a .lepton file; without --url it is served for the time of the measurement.
        rate: requests a second; 0 is as many as are answered.
        seconds: how long, such as 30s.
        connections: that are open; by default 16, and 256 with a rate.
        url: address of a running server of this model, such as http://127.0.0.1:8080.
        name: of the model on the server; by default that of the file.
        token_file: file with the token that the server wants.
        table: a table to ask with; by default rows like those that the model was trained on.
        rows: rows in a request.
        form: of requests: plain JSON rows, tensors in JSON, or numbers as their bytes.
        report: HTML page to write, with pictures.
        seed: of the rows and of the times at which they are due.
        context: given by the command line.
    """
    if not 1 <= rows <= _QUESTIONS:
        raise UsageError(ErrorCode.USAGE, f"got rows={rows}", wanted=f"1 to {_QUESTIONS}")
    shape = load.LoadShape(
        parse_duration(seconds, "for"),
        rate,
        connections or (_OPEN_CONNECTIONS if rate else _CLOSED_CONNECTIONS),
        seed=context.settings.seed if seed is None else seed,
    )
    predictor = bundle.open_model(model)
    columns = predictor.manifest.inputs
    if table is None:
        asked = load.rows_like(predictor.bundle, _QUESTIONS, shape.seed)
    else:
        kinds = {column.name: str(column.kind) for column in columns}
        names = set(data.read(table).schema.names)
        frame = data.read(table, kinds={each: kind for each, kind in kinds.items() if each in names}).frame()
        asked = load.rows_of(frame, columns, _QUESTIONS)
    name = name or model.stem
    token = serving.read_token(token_file) if token_file is not None else None
    questions = load.questions(asked, columns, name, form=form, rows_each=rows, token=token)
    with context.work(seed=shape.seed) as work, contextlib.ExitStack() as stack:
        address = url or stack.enter_context(load.own_server(model, name))
        found = load.run_load(address, name, questions, shape, form=form, predictor=predictor, work=work)
    text = found.text()
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    stopped = "the measurement was ended early; this is what it has"
    error = Interrupted(ErrorCode.INTERRUPTED, stopped) if found.stopped else None
    following = () if report else (f"lepton bench {model} --report report.html",)
    return Result(data=found.to_dict(), text=text, notes=found.notes(), next=following, error=error)
