"""`lepton train`: from a table to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lepton.cli.model_options import ModelOptions
from lepton.cli.options import Injected, Output, ReadOptions, Seed, Workers
from lepton.cli.output import Result
from lepton.cli.search_options import SearchArguments
from lepton.core import BudgetError, ErrorCode, Interrupted, LeptonError, Work, show_duration
from lepton.core.budgets import within_time
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import data, verbs
else:
    # Who asks for help does not wait for what training needs.
    data, verbs = map(LazyModule, ("lepton.data", "lepton.verbs"))

__all__ = ["default_model_file", "time_verdict", "train"]

_NO_TRUTH = frozenset({"forecast", "anomaly", "clustering"})  # tasks whose answers rows cannot be compared with


def train(
    source: str,
    *,
    target: tuple[str, ...] = (),
    within: str | None = None,
    effort: str | None = None,
    max_size: str | None = None,
    max_latency: str | None = None,
    output: Output = None,
    report: Path | None = None,
    task: str | None = None,
    metric: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    series: str | None = None,
    horizon: int | None = None,
    image: str | None = None,
    audio: str | None = None,
    text: str | None = None,
    backbone: str | None = None,
    tuning: Literal["full", "lora", "frozen"] | None = None,
    asked: ModelOptions | None = None,
    search: SearchArguments | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Train a model of one column of a table, within a time that is kept.

    Args:
        source: a table: a file (book.xlsx#Sheet too), a glob in quotes, a URL, or sql: and a database; or a folder of
            pictures or sounds, one folder for each class.
        target: column to predict; none for anomaly and clustering; several times for several labels a row.
        within: time allowed, reading and saving included: 30s, 5m, 1h. By default what a small portfolio takes, at
            most 60s.
        effort: fast (a small portfolio), good (a search that ends where nothing better comes; the default with
            --within) or best (a search until the time is used).
        max_size: largest file, without what training and reports keep in it: 200KB, 1MB.
        max_latency: slowest answer to one row, at the 99th percentile, on one thread: 1ms.
        output: model file to write; by default the table's name with .lepton, in this folder.
        report: HTML page to write: how the model was found, what it leans on, what is doubtful.
        task: regression, binary or multiclass, by default what the target says; quantile; multilabel, the default for
            several targets; ranking of the rows in each --group; forecast; or, without a target, anomaly or
            clustering.
        metric: what to choose by; by default rmse for numbers, log_loss for classes, pinball for quantiles, ndcg_10
            for rankings, mase for forecasts.
        weight: column of sample weights.
        group: column of groups that cross-validation keeps together (patients, shops); for ranking, the query.
        time: column of time; cross-validation then learns from the past only.
        series: for forecasts, column that tells several series apart.
        horizon: for forecasts, how many steps ahead.
        image: column of pictures to learn from: paths, data URIs or base64.
        audio: column of sounds to learn from, as of pictures.
        text: column of texts that a network is to learn from, and from nothing else.
        backbone: for texts and pictures, a pre-trained network to begin with: hf: or timm: and a folder with its files,
            or the name of one whose files are on this machine. Nothing is fetched.
        tuning: what of the backbone learns: full (everything; the default but for very large ones), lora (adapters of
            few numbers) or frozen (nothing but what stands behind it).
        asked: weights of classes, costs of mistakes, directions of columns.
        search: how the search is kept, goes on and ends.
        reading: how to read the table.
        seed: reaches everything random.
        workers: threads to use.
        context: given by the command line.
    """
    search = search or SearchArguments()
    effort = effort or ("fast" if within is None and not search.given else "good")
    limit = verbs.DEFAULT_WITHIN if within is None and search.max_trials is None else within
    with context.work(limit, seed=seed, workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        roles = {name: role for name, role in ((weight, "weight"), (group, "group"), (time, "time")) if name}
        path = output or default_model_file(source)
        replaced = path.exists()
        table = table.with_roles(roles)
        model = verbs.train(
            table,
            target=target[0] if len(target) == 1 else target or None,
            task=task,
            metric=metric,
            effort=effort,
            max_size=max_size,
            max_latency=max_latency,
            series=series,
            horizon=horizon,
            image=image,
            audio=audio,
            text=text,
            backbone=backbone,
            tuning=tuning,
            **(asked or ModelOptions()).arguments(),
            **search.arguments(),
            output=path,
            work=work,
        )
        error = time_verdict(work, path)
        spent = work.elapsed
    told = (f"{path} was there and has been replaced",) if replaced else ()
    return _result(model, path, spent, error, report, told)


def _result(
    model: verbs.Model, path: Path, spent: float, error: LeptonError | None, report: Path | None, told: tuple[str, ...]
) -> Result:
    """What is shown of a model that was trained; its page is written where one is asked for."""
    board = model.leaderboard()
    doubts = model.reports().get("training", {}).get("doubts", [])
    text = f"{board.text()}\n\nSaved {path} ({model.facts()['size']}) after {show_duration(spent)}."
    if report is not None:
        model.report().write(report)
        text += f"\nPage written: {report}"
    return Result(
        data={
            "model": str(path),
            **model.facts(),
            "seconds": spent,
            "metric": board.metric,
            "leaderboard": board.to_dict()["rows"],
            "doubts": doubts,
        },
        text=text,
        notes=(*told, *board.notes, *(f"doubtful: {each['evidence']}; {each['fix']}" for each in doubts)),
        next=(
            *(() if model.task in _NO_TRUTH else (f"lepton evaluate {path} TEST.csv",)),
            *((f"lepton choose {path} TABLE --max-size 100KB",) if "search" in model.reports() else ()),
            f"lepton predict {path} NEW.csv -o out.parquet",
            f"lepton serve {path}",
        ),
        error=error,
    )


def default_model_file(source: str) -> Path:
    """Where a model of the table at `source` is written: `data/houses.csv.gz` gives `houses.lepton`, a glob `model`."""
    stem = Path(data.safe_address(source)).name.split(".", 1)[0]
    return Path(f"{'model' if not stem or set('*?[') & set(stem) else stem}.lepton")


def time_verdict(work: Work, path: Path) -> LeptonError | None:
    """What is to be said of a model that was saved all the same."""
    if work.cancel.is_set():
        return Interrupted(ErrorCode.INTERRUPTED, f"stopped by Ctrl-C; the best so far is saved in {path}")
    if work.within is not None and not within_time(work.elapsed, work.within):
        return BudgetError(
            ErrorCode.BUDGET_MISSED,
            f"within={show_duration(work.within)} was not kept: it took {show_duration(work.elapsed)}",
            wanted="at most 10 % or 2 s more than the time allowed",
            fix=f"the model is saved in {path}; allow more time or give fewer rows",
            details={"budget": "within", "limit": work.within, "measured": work.elapsed, "saved": str(path)},
        )
    return None
