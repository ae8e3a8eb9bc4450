"""The verb that makes models smaller and faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton.core import Work
from lepton.core.lazy import LazyModule
from lepton.verbs.learning import import_model
from lepton.verbs.making import making
from lepton.verbs.model import Model, opened, rows_for
from lepton.verbs.tables import Source

if TYPE_CHECKING:
    from lepton.optimization.lean import asking
    from lepton.optimization.lean.asking import Compression as Compression  # noqa: PLC0414 - `Model` speaks of it
else:
    asking = LazyModule("lepton.optimization.lean.asking")  # who loads a model does not wait for it

__all__ = ["DEFAULT_COMPRESSION", "compress", "compression_of"]

DEFAULT_COMPRESSION = "5m"
_SAMPLE = 64


def compress(
    model: Any,
    data: Source,
    *,
    max_loss: float | None = None,
    max_size: str | int | None = None,
    max_latency: str | float | None = None,
    within: str | float | None = None,
    metric: str | Callable[..., float] | None = None,
    target: str | None = None,
    weight: str | None = None,
    segments: Sequence[str] = (),
    max_loss_any_segment: float | None = None,
    steps: Sequence[str] | None = None,
    proof: Source | None = None,
    workdir: str | Path | None = None,
    resume: bool = False,
    output: str | Path | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Model:
    """A model as small and fast as its budgets allow, proven on rows that neither a step nor the search saw.

    With `max_loss` alone the least size and time are looked for; with `max_size` or `max_latency` the least loss that
    keeps them. How it was found and what it lost is `Model.compression`.

    Args:
        model: a `Model`, the path of a model file, or a PyTorch module, which is imported first.
        data: rows that the model was not trained on (see `proof`), with the target where there is one: a `Dataset`, a
            path, glob or folder, a table in memory; or arrays `(x, y)`, y being None where nothing is known.
        max_loss: most that may be lost: 0.005 is half a point of accuracy or of R²; of metrics without bounds a share
            of the original's value. 0.005 where no budget is given.
        max_size: of the file without what training and reports keep in it, `"200KB"`.
        max_latency: of one row, its encoding included, on one thread, at the 99th percentile, `"1ms"`.
        within: time allowed; over by at most 10 % or 2 s. By default 5 minutes.
        metric: what a loss is told in; by default accuracy of classes, R² of numbers, else the task's own.
        target: column of the truth, where it is another one than in training.
        weight: column of sample weights.
        segments: columns whose values are judged on their own, beside the classes.
        max_loss_any_segment: most that any class, or any value of `segments`, may lose.
        steps: names of the steps that may be used; by default all.
        proof: rows that the model was not trained on, of which a quarter chooses and the rest proves; `data`, which
            may then be the rows of the training, is learned from alone. By default `data` serves all three.
        workdir: folder in which the search is kept, for going on with it.
        resume: go on with the search in `workdir`, of the same model and rows.
        output: where to save; by default a temporary file that lasts as long as the model object.
        seed: reaches everything random.
        work: cancel, progress and resources; replaces `within` and `seed`.

    Raises:
        DataError: rows that cannot be used, or too few to prove the budget: the message says how many it takes.
        BudgetError: a budget cannot be kept; the best that was found is saved in `output`, and the message says by how
            much it misses.
    """
    with making(output, work, within=within or DEFAULT_COMPRESSION, seed=seed) as made:
        original = opened(model) if isinstance(model, Model | str | Path) else _imported(model, data, made.work)
        request = asking.request_of(
            max_loss=max_loss,
            max_size=max_size,
            max_latency=max_latency,
            max_loss_any_segment=max_loss_any_segment,
            metric=metric,
            target=target,
            weight=weight,
            segments=tuple(segments),
            steps=steps,
            workdir=None if workdir is None else Path(workdir),
            resume=resume,
        )
        rows, proven = (None if each is None else _rows(original, each) for each in (data, proof))
        asking.compressed(
            original.predictor, rows, request, output=made.path, is_kept=bool(output), proof=proven, work=made.work
        )
        return made.keep(Model(made.path, resources=made.work.resources))


def compression_of(model: Model) -> Compression | None:
    """How a model was made smaller, and the proof of what it lost; None where it was not."""
    return asking.compression_of(model.predictor.bundle.reports)


def _rows(model: Model, source: Source) -> Any:
    return source if isinstance(source, tuple) else rows_for(model, source)


def _imported(module: Any, data: Source, work: Work) -> Model:
    """A module of PyTorch as a model; whole numbers as y say that it tells classes apart."""
    x, y = data if isinstance(data, tuple) else (data, None)
    labels = None
    if y is not None and np.asarray(y).dtype.kind in "iu" and np.ndim(y) == 1:
        labels = list(range(int(np.max(y)) + 1))
    sample = {name: each[:_SAMPLE] for name, each in x.items()} if isinstance(x, dict) else x[:_SAMPLE]
    return import_model(module, sample=sample, labels=labels, work=Work(resources=work.resources))
