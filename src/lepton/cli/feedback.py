"""`lepton feedback`: what became true of rows that a server has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton.cli.output import Result
from lepton.core import DataError, ErrorCode, ServingError, printable
from lepton.report import plural
from lepton.serving.watching.feedback import export_rows
from lepton.serving.watching.state import StateStore
from lepton.store import replace_path

__all__ = ["export"]


def export(
    state: Path,
    /,
    *,
    model: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    since: float | None = None,
) -> Result:
    """Write the rows that a server has kept, with what was true of them, as a table to train on.

    A server keeps rows where it runs with --state DIR and --state-rows SHARE; it may run meanwhile.

    Args:
        state: the server's state folder.
        model: name of the model.
        output: Parquet file to write.
        since: days back from now; rows whose truth came before are left out.
    """
    store = StateStore.found(state)
    try:
        targets = store.targets()
        if model not in targets:
            raise ServingError(
                ErrorCode.UNKNOWN_MODEL,
                f"the state holds no model '{printable(model, 128)}'",
                wanted="one of " + ", ".join(targets) if targets else "a model that was served with it",
            )
        judged = store.judged(model, -1)
        if since is not None:
            judged = [each for each in judged if each.judged >= store.clock() - since * 86_400]
    finally:
        store.close()
    table = export_rows(judged, targets[model])
    if not table.height:
        raise DataError(
            ErrorCode.EMPTY_DATA,
            f"the state holds {plural(len(judged), 'truth')} of '{model}', and no row of these",
            wanted="rows that were kept, and what was true of them",
            fix="lepton serve --state DIR --state-rows 1 keeps rows from then on",
        )
    with replace_path(output) as temporary:
        table.write_parquet(temporary)
    return Result(
        data={"output": str(output), "rows": table.height, "columns": table.columns, "target": targets[model]},
        text=f"wrote {plural(table.height, 'row')} to {output}; the column '{targets[model]}' is what was true",
        next=(f"lepton train {output} --target {targets[model]}",),
    )
