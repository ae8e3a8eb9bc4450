"""`lepton predict`: a model's answers for the rows of a table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lepton import data, verbs
from lepton.cli.options import Injected, Output, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError
from lepton.data.media import decoded as files

__all__ = ["predict"]

_SHOWN = 20


def predict(
    model: Path,
    source: str,
    *,
    output: Output = None,
    keep: tuple[str, ...] = (),
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """One answer a row, in the rows' order: a column `prediction`, and what the model gives beside it.

    That is `probability_<label>` for classes; `lower` and `upper`, or `set_<label>`, of a model with a coverage;
    `quantile_<share>` of one for quantiles.

    Of a folder of pictures or sounds it also shows the files; those that cannot be read have no answer, and are named.

    A forecaster takes rows of history and gives the next steps of each series, one row a step.

    Args:
        model: a .lepton file.
        source: a table with the model's columns, or a folder of files for a model of such.
        output: .parquet, .csv, .jsonl or .arrow file to write; without it the first answers are shown.
        keep: column of the table to write beside the answers, or 'all'; may be given several times.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    if output is not None and output.suffix not in data.WRITERS:
        formats = ", ".join(data.WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {output.name!r}", wanted=f"a name in {formats}")
    with context.work(workers=workers) as work:
        opened = verbs.load(model, resources=work.resources)
        table = verbs.rows_for(opened, (reading or ReadOptions()).read(source, work))
        if keep and opened.task == "forecast":
            raise UsageError(
                ErrorCode.USAGE,
                "--keep was given for forecasts",
                wanted="no --keep: their rows are steps of the future",
            )
        kept = list(table.schema.names) if "all" in keep else list(table.schema.select(keep).names)
        parts: list[pl.DataFrame] = []
        rows = 0
        faults: list[str] = []
        takes_files = files.takes_files(opened.predictor.inputs)
        if takes_files:
            kept = kept or list(opened.predictor.inputs.names)  # whose answer it is, one wants to see
            for answered, bad in files.predicted(opened.predictor, table, kept, work):
                parts.append(answered)
                faults += bad
        # A series needs all of its history at once.
        whole = [table.frame()] if opened.task == "forecast" else table.batches()
        for batch in () if takes_files else whole:
            work.check()
            parts.append(pl.DataFrame([*batch.select(kept), *_answers(opened, batch)]))
            rows += batch.height
            work.report(rows, unit="rows", note="predicting")
    answers = pl.concat(parts) if parts else pl.DataFrame()
    told = tuple(f"no answer for {fault}" for fault in faults[:10])
    unseen = {column: count for column, count in opened.unseen.items() if count}
    notes = tuple(f"{count} values of {column!r} were unknown to the model" for column, count in unseen.items())
    notes = (*notes, *told, *((f"and for {len(faults) - 10} files more",) if len(faults) > 10 else ()))
    summary = {"model_id": opened.model_id, "rows": answers.height, "unseen": unseen}
    if output is not None:
        data.write_frame(answers, output)
        return Result({**summary, "output": str(output)}, f"{answers.height} answers in {output}", notes)
    shown = answers.head(_SHOWN)
    with pl.Config(tbl_rows=_SHOWN, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        text = str(shown)
    if answers.height > _SHOWN:
        text += f"\n{answers.height - _SHOWN} more rows: write them all with -o answers.parquet"
    everything = answers.to_dicts() if context.console.format == "json" else []
    return Result({**summary, "predictions": everything}, text, notes)


def _answers(model: verbs.Model, batch: pl.DataFrame) -> pl.DataFrame:
    if model.task == "forecast":
        forecasts: pl.DataFrame = model.predict(batch)
        return forecasts
    return model.predictor.answer_columns(model.predictor.outputs(batch))
