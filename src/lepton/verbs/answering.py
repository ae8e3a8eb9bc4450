"""Verbs that use models: predict, evaluate, compare and serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import ErrorCode, Resources, UsageError, Work, parse_size
from lepton.core.lazy import LazyModule
from lepton.verbs.bulk import Answering, checked_output
from lepton.verbs.model import Model, opened, rows_for
from lepton.verbs.tables import Source

if TYPE_CHECKING:
    from lepton import evaluation, serving
else:
    evaluation, serving = LazyModule("lepton.evaluation"), LazyModule("lepton.serving")

__all__ = ["compare", "evaluate", "predict", "serve"]


def predict(
    model: Model | str | Path,
    source: Source,
    *,
    output: str | Path | None = None,
    keep: Sequence[str] = (),
    only_prediction: bool = False,
    work: Work | None = None,
) -> Any:
    """`Model.predict` on a file, a glob, a `Dataset` or a table in memory; or the answers as a file.

    With `output`, rows are read, answered and written side by side, in memory that does not grow with their number.
    The file is there whole or not at all, and has a row for each row, in their order, with all that the model answers.

    Args:
        model: a `Model` or the path of one.
        source: rows: a path, a glob, a list of paths, a `Dataset`, or a table in memory.
        output: a `.parquet`, `.csv`, `.tsv`, `.jsonl` or `.arrow` file to write.
        keep: columns of the rows to write beside the answers.
        only_prediction: write the prediction alone, without what stands beside it.
        work: cancel, progress and threads.

    Returns:
        What `Model.predict` gives; with `output`, the path of the file.

    Raises:
        Interrupted: the work was asked to stop; the message says how far it came, and nothing was written.
    """
    model = opened(model)
    if output is None:
        if keep or only_prediction or work is not None:
            came = "got keep=, only_prediction= or work= without output="
            raise UsageError(ErrorCode.USAGE, came, wanted="output=", fix="Model.predict_all gives all in memory")
        return model.predict(source)
    path = checked_output(Path(output), source)
    return Answering(model, rows_for(model, source), keep, only_prediction, Work.of(work)).write(path)


def evaluate(
    model: Model | str | Path,
    source: Source,
    *,
    target: str | None = None,
    segments: Sequence[str] = (),
    costs: Mapping[str, float] | None = None,
    weight: str | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> evaluation.Evaluation:
    """Metrics with 95 % bootstrap intervals on rows that have the target.

    Args:
        model: a `Model` or the path of one.
        source: rows with the target.
        target: column of the truth; by default the one that the model was trained on.
        segments: columns whose values get a table of their own.
        costs: for binary tasks, `{"false_positive": 1, "false_negative": 5}`: finds the cheapest threshold.
        weight: column of sample weights.
        seed: of the bootstrap.
        work: cancel, progress and resources.
    """
    model = opened(model)
    rows = rows_for(model, source)
    return evaluation.evaluate(
        model.predictor, rows, target=target, segments=segments, costs=costs, weight=weight, seed=seed, work=work
    )


def compare(
    first: Model | str | Path,
    second: Model | str | Path,
    source: Source,
    *,
    target: str | None = None,
    metric: str | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> evaluation.Comparison:
    """The difference of two models on the same rows, with a paired 95 % interval.

    Args:
        first: a `Model` or the path of one, such as the one in use.
        second: the one that may replace it.
        source: rows with the target.
        target: column of the truth; by default the one that the first model was trained on.
        metric: what to compare by; by default the task's own.
        seed: of the bootstrap.
        work: cancel, progress and resources.

    Raises:
        UsageError: the models do not predict the same thing.
    """
    first, second = opened(first), opened(second)
    rows = rows_for(first, source)
    return evaluation.compare(
        first.predictor, second.predictor, rows, target=target, metric=metric, seed=seed, work=work
    )


def serve(
    models: Model | str | Path | Sequence[Model | str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    insecure_no_token: bool = False,
    watch: float | None = None,
    resources: Resources | None = None,
    state: str | Path | None = None,
    grpc_port: int | None = None,
    traffic: str | Path | None = None,
    max_memory: str | int | None = None,
) -> serving.Server:
    """Start an inference server for `models` in the background; `with` stops it.

    Args:
        models: one or several; each is called as its file. A folder serves every model in it, and `service.py:Shop`
            is a class of your own, which runs in a process of its own.
        host: address to bind; others than loopback need a token.
        port: port to bind; 0 takes a free one, which the server's `url` tells.
        token: what callers must show.
        insecure_no_token: serve others than this machine without a token.
        watch: seconds between two looks for new and changed files; None takes up nothing by itself.
        resources: what models may use.
        state: folder that outlives the server, for tasks of services; None keeps them in memory.
        grpc_port: port to bind for gRPC; 0 takes a free one, which the server's `grpc_port` tells.
        traffic: file of rules of which model answers to which name; see `docs/how-to/split-traffic.md`.
        max_memory: let go of the models asked least recently beyond this much memory, such as `"2GB"`.

    Raises:
        UsageError: BAD_TRAFFIC, what is wrong with the rules.
        SecurityError: an address that others reach, without a token.
        ServingError: the port is taken.
    """
    several = [models] if isinstance(models, Model | str | Path) else list(models)
    classes = [each for each in several if isinstance(each, str) and serving.is_service(each)]
    sources = serving.Sources(each.path if isinstance(each, Model) else each for each in several if each not in classes)
    server = serving.Server(
        sources,
        host=host,
        port=port,
        token=token,
        insecure_no_token=insecure_no_token,
        watch=watch,
        resources=resources,
        services=classes,
        state=None if state is None else Path(state),
        grpc_port=grpc_port,
        traffic=traffic,
        max_memory=None if max_memory is None else parse_size(max_memory, "max_memory"),
    )
    return server.start()
