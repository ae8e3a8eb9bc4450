"""`lepton predict`: a model's answers for the rows of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lepton import verbs
from lepton.cli.options import Injected, Output, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError
from lepton.verbs.bulk import Answering, checked_output

__all__ = ["predict"]

_SHOWN = 20
_NAMED = 10


def predict(
    model: Path,
    *source: str,
    output: Output = None,
    keep: tuple[str, ...] = (),
    only_prediction: bool = False,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """One answer a row, in the rows' order: a column `prediction`, and what the model gives beside it.

    That is `probability_<label>` for classes; `lower` and `upper`, or `set_<label>`, of a model with a coverage;
    `quantile_<share>` of one for quantiles.

    With an output, rows are read, answered and written side by side, and as many as there are: memory does not grow.

    Of a folder of pictures or sounds it also shows the files; those that cannot be read have no answer, and are named.

    A forecaster takes rows of history and gives the next steps of each series, one row a step.

    Args:
        model: a .lepton file.
        source: tables of the same columns, the model's among them, or a folder of files for a model of such.
        output: .parquet, .csv, .tsv, .jsonl or .arrow file to write, whole or not at all; without it the first answers
            are shown.
        keep: column of the table to write beside the answers, or 'all'; may be given several times.
        only_prediction: the prediction alone, without what stands beside it.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    if not source:
        raise UsageError(ErrorCode.USAGE, "got a model and no rows", wanted="lepton predict MODEL TABLE [TABLE ...]")
    if output is not None:
        checked_output(output, source)
    with context.work(workers=workers) as work:
        opened = verbs.load(model, resources=work.resources)
        places: Any = source[0] if len(source) == 1 else list(source)
        table = verbs.rows_for(opened, (reading or ReadOptions()).read(places, work))
        kept = table.schema.names if "all" in keep else keep
        answering = Answering(opened, table, kept, only_prediction, work)
        answers = answering.frame() if output is None else None
        if output is not None:
            answering.write(output)
        seconds = work.elapsed
    unseen = {column: count for column, count in opened.unseen.items() if count}
    summary = {"model_id": opened.model_id, "rows": answering.rows, "unseen": unseen}
    notes = tuple(_notes(answering, unseen))
    if answers is None:
        text = f"{answering.rows} answers in {output}"
        speed = {"output": str(output), "seconds": round(seconds, 3)}
        return Result({**summary, **speed}, text + f", {answering.rows / seconds:,.0f} rows/s", notes)
    shown = answers.head(_SHOWN)
    with pl.Config(tbl_rows=_SHOWN, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        text = str(shown)
    if answers.height > _SHOWN:
        text += f"\n{answers.height - _SHOWN} more rows: write them all with -o answers.parquet"
    everything = answers.to_dicts() if context.console.format == "json" else []
    return Result({**summary, "predictions": everything}, text, notes)


def _notes(answering: Answering, unseen: dict[str, int]) -> list[str]:
    notes = [f"{count} values of {column!r} were unknown to the model" for column, count in unseen.items()]
    notes += [f"no answer for {fault}" for fault in answering.faults[:_NAMED]]
    if len(answering.faults) > _NAMED:
        notes.append(f"and for {len(answering.faults) - _NAMED} files more")
    if unused := answering.unused:
        more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
        names = ", ".join(map(repr, unused[:_NAMED]))
        notes.append(f"columns that the model does not take were left out: {names}{more} (--keep writes them)")
    return notes
