"""`train`: from a table to a model file, within a time that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lepton.core import (
    BudgetVerdict,
    DataError,
    ErrorCode,
    Work,
    check_name,
    show_duration,
)
from lepton.data import Dataset
from lepton.evaluation import Metric, metric as metric_named
from lepton.training.automl import (
    Asked,
    Keeper,
    Outside,
    SearchOptions,
    best_in_turn,
    effort_of,
    run_search,
)
from lepton.training.further import FURTHER
from lepton.training.leaderboard import LeaderboardRow
from lepton.training.limits import Limits
from lepton.training.opening import portfolio_of
from lepton.training.options import Options, by_labels
from lepton.training.prepared import DEFAULT_WITHIN, folds_of, prepare_table
from lepton.training.told import board_of, lineage_of, reports_of
from lepton.training.writing import ModelFile, input_statistics, sample_row

__all__ = ["TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """What `train` gives.

    Attributes:
        path: of the model file.
        model_id: its identity.
        leaderboard: every candidate, best first.
        notes: decisions, for people.
        verdicts: whether each limit was kept on the file.
    """

    path: Path
    model_id: str
    leaderboard: tuple[LeaderboardRow, ...]
    notes: tuple[str, ...]
    verdicts: tuple[BudgetVerdict, ...] = ()


def train(
    dataset: Dataset,
    *,
    target: str,
    task: str | None = None,
    metric: str | Metric | Callable[..., float] | None = None,
    name: str | None = None,
    work: Work | None = None,
    effort: str = "fast",
    limits: Limits | None = None,
    options: Options | None = None,
    search: SearchOptions | None = None,
    notes: Sequence[str] = (),
    output: Path,
) -> TrainingResult:
    """Learn `target` from the other columns and write the best model that the effort finds.

    Args:
        dataset: the table; roles say which columns are weights, groups, time or to be ignored.
        target: column to predict.
        task: `regression`, `binary`, `multiclass`, `quantile`, `multilabel` (the columns whose role is target, of
            which `target` is one) or `ranking` (of rows in their group); None for what the target means.
        metric: what to choose by, by name or as a function; None for the task's own.
        name: of the model; None for the name of `output`.
        work: time, threads, seed, stop signal; the time includes what has passed since it began. Stopped, the best so
            far is saved.
        effort: `fast` for a small portfolio; `good` or `best` for a search until the time is used, `good` also until
            nothing better comes.
        limits: on size and latency, which are measured on the file; the best model that keeps them is chosen. Where
            none does, the one that needs least is saved, and the verdicts of the result say so.
        options: weights of classes, costs of mistakes, directions of columns, coverage of intervals.
        search: how the search is kept, goes on and ends.
        notes: what was decided before, for people.
        output: model file to write.

    Raises:
        DataError: a target or a table that cannot be learned, a folder of `output` that is not there, or another table
            than the search to go on with is of; the message says which and why.
        UsageError: no such task, metric or effort; options that do not fit.
        TrainingError: no candidate could be fitted.
        StoreError: the file cannot be written; an earlier one is intact.
    """
    output = Path(output)
    name = check_name(name or output.stem, "name of the model")
    _check_folder(output)
    work = Work.of(work)
    how_far = effort_of(effort)
    wanted = None if task in FURTHER else how_far
    search = search or SearchOptions()
    search.check(wanted is not None)
    earlier = search.earlier
    work, said = _with_time(work, task, search)
    options = options or Options()
    sampled = work if earlier is None else earlier.asked.sampled(work)
    table = options.applied(prepare_table(dataset, target, task, sampled))
    # What the file says of the data is gathered before the search, so that its time is known and not guessed.
    fingerprint, statistics = dataset.fingerprint(), input_statistics(table)
    classes = None if table.problem.task == "multilabel" else table.target.labels
    measured_by = by_labels(metric_named(metric or options.metric, table.problem.task), classes)
    folds, fold_notes = folds_of(table, work)
    keeper = None
    if wanted is not None:
        asked = Asked.of(
            dataset.schema, fingerprint, target, table.problem.task, measured_by.name, effort, options, work
        )
        keeper = Keeper(search, asked, folds)
        folds = keeper.folds
    portfolio = portfolio_of(table, folds, measured_by, limits, work)
    file = ModelFile(
        table, statistics, name, lambda chosen: lineage_of(dataset, fingerprint, table, chosen, measured_by, work)
    )
    file.prepare(portfolio.limits)
    accept = partial(file.keeps, portfolio.limits, work)
    found = None
    if wanted is not None and keeper is not None:
        keeper.restore(portfolio)
        outside = Outside(table.inputs, table.target.labels, table.front, sample_row(table))
        found = run_search(portfolio, outside, wanted, accept, search.max_trials, keeper.keep)
        keeper.finish()
        said += keeper.notes
    chosen = best_in_turn(portfolio, how_far if task in FURTHER else None, accept) if found is None else found.chosen
    conformal = file.conformal(chosen)
    told = () if conformal is None else conformal.notes
    board = board_of(table, portfolio, chosen, fold_notes, (*told, *notes, *said))
    work.report(1, 1, "files", note="saving")
    reports = reports_of(dataset, table, portfolio, chosen, board, found, file.measured)
    model_id = file.write(chosen, output, reports)
    if keeper is not None:
        keeper.known_by(model_id)
    return TrainingResult(output, model_id, board.rows, board.notes, file.verdicts)


def _with_time(work: Work, task: str | None, search: SearchOptions) -> tuple[Work, list[str]]:
    """The work with an end, where nothing else ends it, and what is to be said of that."""
    notes = []
    if work.within is None and search.max_trials is None:
        work = work.part(DEFAULT_WITHIN)
        notes.append(f"no time was given: at most {show_duration(DEFAULT_WITHIN)} were used (within=)")
    if task in FURTHER:
        notes.append(f"{task} is learned by a small portfolio and, in the time given, other settings of its learners")
    return work, notes


def _check_folder(output: Path) -> None:
    if not output.parent.is_dir():
        raise DataError(
            ErrorCode.NOT_FOUND, f"the folder {str(output.parent)!r} of the model file does not exist", fix="make it"
        )
    if output.is_dir():
        raise DataError(ErrorCode.NOT_A_FILE, f"{str(output)!r} is a folder", wanted="the name of a file to write")
