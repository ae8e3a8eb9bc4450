"""`lepton demo`: the whole path on a real table, in a minute; every number is measured in this run."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from lepton import data, serving, verbs
from lepton.cli.context import Context
from lepton.cli.options import Injected, Seed
from lepton.cli.output import Result
from lepton.client import Client
from lepton.core import ErrorCode, ServingError, show_duration
from lepton.data.samples import sample
from lepton.store import make_folder

__all__ = ["demo"]

_TABLE = "beijing_air"
_TARGET = "pm25"
_WHEN = "when"


def demo(
    *,
    within: str = "20s",
    folder: Path = Path("lepton-demo"),
    once: bool = False,
    port: int | None = None,
    seed: Seed = None,
    context: Injected,
) -> Result:
    """Train, evaluate, serve and call a model on a real table: hourly air quality in Beijing.

    Args:
        within: time allowed for training.
        folder: where the model, the tables and the report are written.
        once: end after the tour instead of serving until Ctrl-C.
        port: port of the server; by default 8080, or a free one if that is taken.
        seed: reaches everything random.
        context: given by the command line.
    """
    tour = _Tour(context)
    make_folder(folder)
    model_path, report_path = folder / "air.lepton", folder / "report.html"

    tour.step("The table", "What was measured at one station, every third hour: weather, wind, and fine dust (pm25).")
    table = verbs.read(sample(_TABLE))
    train, test = table.split(test=0.2, method="time", by=_WHEN)
    tour.say(verbs.describe(table, target=_TARGET).text())
    tour.say(f"Learn from the first {train.num_rows} rows, judge on the last {test.num_rows}: no look at the future.")
    train_path = data.write_frame(train.frame(), folder / "train.csv")
    test_path = data.write_frame(test.frame(), folder / "test.csv")

    tour.step("Training", f"lepton train {train_path} --target {_TARGET} --time {_WHEN} --within {within}")
    with context.work(within, seed=seed) as work:
        model = verbs.train(train.with_roles({_WHEN: "time"}), target=_TARGET, output=model_path, work=work)
        trained = work.elapsed
    tour.say(model.leaderboard().text())
    tour.say(f"Saved {model_path} after {show_duration(trained)} ({model.facts()['size']}).")

    tour.step("Evaluation", f"lepton evaluate {model_path} {test_path}")
    evaluation = verbs.evaluate(model, test)
    tour.say(evaluation.text())
    model.report(test).write(report_path)

    tour.step("Serving", f"lepton serve {model_path}")
    with _server(model_path, port, context) as server:
        row = _first_row(model, test)
        with Client(server.url) as client:
            started = time.perf_counter()
            answer = client.predict("air", [row])
            took = time.perf_counter() - started
        tour.say(f"POST {server.url}/v2/models/air/rows  {json.dumps([row])}")
        tour.say(f"answer {json.dumps(answer)} in {show_duration(took)} over HTTP")
        result = Result(
            data={
                "model": str(model_path),
                "report": str(report_path),
                "url": server.url,
                "train_seconds": trained,
                "evaluation": evaluation.to_dict(),
                "leaderboard": model.leaderboard().to_dict()["rows"],
                "request": row,
                "answer": answer,
                "request_seconds": took,
            },
            text=f"\nThe report: {report_path.absolute().as_uri()}",
            next=(
                f"lepton predict {model_path} {test_path} -o {folder / 'answers.parquet'}",
                f"lepton bundle inspect {model_path}",
                "lepton train YOUR.csv --target COLUMN --within 60s",
            ),
        )
        if once or context.console.format == "json":
            return result
        context.console.show("demo", result)
        tour.say(f"\nServing at {server.url} until Ctrl-C.")
        server.wait()
    return Result(data={})


class _Tour:
    """Prints the stations of the tour as they are reached; silent when a program listens."""

    def __init__(self, context: Context) -> None:
        self._silent = context.console.format == "json" or context.console.quiet
        self._number = 0

    def step(self, title: str, line: str) -> None:
        """Begin a station: its title, and what a user would type or should know."""
        self._number += 1
        self.say(f"\n{self._number}. {title}\n   {line}\n")

    def say(self, text: str) -> None:
        """Print `text`."""
        if not self._silent:
            print(text, flush=True)


def _server(path: Path, port: int | None, context: Context) -> contextlib.AbstractContextManager[serving.Server]:
    """A server on the chosen port; without a choice on the usual one, or a free one if that is taken."""
    models = serving.named([path])
    if port is not None:
        return serving.Server(models, port=port).start()
    try:
        return serving.Server(models, port=context.settings.port).start()
    except ServingError as error:
        if error.code is not ErrorCode.ADDRESS_IN_USE:
            raise
        return serving.Server(models, port=0).start()


def _first_row(model: verbs.Model, table: data.Dataset) -> dict[str, Any]:
    """The first row of `table` as JSON values, inputs of the model only."""
    names = [column.name for column in model.inputs]
    row = table.select(names).head(1).to_dicts()[0]
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
