"""Verbs that make models: train, search and import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import Kind, Work
from lepton.core.lazy import LazyModule
from lepton.verbs.making import making
from lepton.verbs.model import Model
from lepton.verbs.tables import Source, read

if TYPE_CHECKING:
    from lepton import training
    from lepton.training import importers
    from lepton.training.deep.architectures import asking as architectures
else:
    training, importers = LazyModule("lepton.training"), LazyModule("lepton.training.importers")
    architectures = LazyModule("lepton.training.deep.architectures.asking")

__all__ = ["DEFAULT_SEARCH", "DEFAULT_WITHIN", "import_model", "search", "train"]

DEFAULT_WITHIN = "60s"
DEFAULT_SEARCH = "10m"


def train(
    source: Source,
    *,
    target: str | Sequence[str] | None = None,
    within: str | float | None = None,
    effort: str | None = None,
    max_size: str | int | None = None,
    max_latency: str | float | None = None,
    task: str | None = None,
    metric: str | Callable[..., float] | None = None,
    weight: str | None = None,
    group: str | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    costs: Mapping[Any, Any] | Sequence[Sequence[float]] | None = None,
    monotone: Mapping[str, int] | None = None,
    learners: Sequence[str] | None = None,
    keep_rows: bool = False,
    coverage: float | None = None,
    quantiles: Sequence[float] | None = None,
    select_features: bool = False,
    time: str | None = None,
    series: str | None = None,
    horizon: int | None = None,
    image: str | None = None,
    audio: str | None = None,
    text: str | None = None,
    backbone: str | None = None,
    tuning: str | None = None,
    workdir: str | Path | None = None,
    resume: bool = False,
    max_trials: int | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Model:
    """The best model of `target` that can be found `within` the time, reading and saving included.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: name of the column to predict; none for `anomaly` and `clustering`; for `multilabel` the names of the
            columns that say in which rows each label holds, or that of one of texts such as `red; round`.
        within: time allowed, `"5m"`; over by at most 10 % or 2 s. By default what a small portfolio takes, at most
            60 s.
        effort: `fast`, the small portfolio; `good`, a search that ends where nothing better comes, the default where
            a time is given; or `best`, a search until the time is used.
        max_size: of the file without what training and reports keep in it, `"200KB"`.
        max_latency: of one row, its encoding included, on one thread, at the 99th percentile, `"1ms"`.
        task: `regression`, `binary` or `multiclass`, by default what the target says; `quantile`; `multilabel`, the
            default for several targets; `ranking` of the rows in each `group`; `forecast`; or, without a target,
            `anomaly` or `clustering`.
        metric: what to choose by; by default the task's own. A function `(y, answer, weight, labels) -> float` is
            given labels or numbers, and greater is better.
        weight: column of sample weights.
        group: column of groups that cross-validation keeps together; for `ranking`, the query of each row.
        class_weight: for classes, `"balanced"`, or how much the rows of each label count in learning.
        costs: for classes, what mistakes cost: `{"false_positive": 1, "false_negative": 5}`, truth → call → cost, or a
            matrix in the order of the labels. The model calls the label whose expected cost is least.
        monotone: number column → 1 where the answer must not fall as it grows, -1 where it must not rise.
        learners: names of the learners to try, beside the baseline, such as `["rules"]`; by default all of use.
        keep_rows: whether the model file may hold rows of the table, as `neighbours` needs them.
        coverage: for numbers and classes, the share of rows whose truth an interval, or a set of labels, beside the
            prediction is to hold, such as 0.9; it is in the graph, `Model.predict_all` gives it, `evaluate` checks it.
        quantiles: for `quantile`, shares of the target that answers are to exceed; by default (0.1, 0.5, 0.9).
        select_features: leave out columns that boosted trees do not need, where the score is no worse without them.
        time: column of time; cross-validation then learns from the past only.
        series: for forecasts, column that tells several series apart.
        horizon: for forecasts, how many steps ahead.
        image: column of pictures to learn from: paths, data URIs or base64. A folder of pictures needs no word.
        audio: the same for sounds.
        text: column of texts that a network is to learn from, and from nothing else.
        backbone: for texts and pictures, a pre-trained network to begin with: `"hf:…"` or `"timm:…"` and a folder with
            its files, or the name of one whose files are on this machine. Nothing is fetched.
        tuning: what of the backbone learns: `full`, everything, the default but for very large ones; `lora`, adapters
            of few numbers; or `frozen`, nothing but what stands behind it.
        workdir: folder in which the search is kept, for going on with it and for `Model.choose`; by default one in
            Lepton's cache, which keeps the latest ones.
        resume: go on with the search in `workdir`, of the same table: what was tried is not tried again.
        max_trials: end the search after so many trials. Without `within` the same seed then gives the same model.
        output: where to save; by default a temporary file that lasts as long as the model object (see `Model.save`).
        seed: reaches everything random.
        work: cancel, progress and resources; replaces `within` and `seed`.

    Raises:
        DataError: the table or the target cannot be learned from; the message says why.
        BudgetError: no model keeps `max_size` or `max_latency`; the one that needs least is saved in `output`.
    """
    search = training.SearchOptions(None if workdir is None else Path(workdir), resume, max_trials)
    is_searched = search != training.SearchOptions() or (work is None and within is not None)
    request = training.Request(
        target=target,
        task=task,
        metric=metric,
        effort=effort or ("good" if is_searched else "fast"),
        max_size=max_size,
        max_latency=max_latency,
        options=training.Options(class_weight, costs, monotone, learners, keep_rows or None, coverage, quantiles),
        search=search,
        select_features=select_features,
        weight=weight,
        group=group,
        time=time,
        series=series,
        horizon=horizon,
        files=image or audio,
        text=text,
        backbone=backbone,
        tuning=tuning,
    )
    kinds = {name: kind for name, kind in ((image, Kind.IMAGE), (audio, Kind.AUDIO)) if name is not None}
    limit = DEFAULT_WITHIN if within is None and max_trials is None else within
    with making(output, work, within=limit, seed=seed) as made:
        table = read(source)
        if kinds:  # a table that is read anew has no recipe behind it
            table = table.with_kinds(kinds)
        table = request.learn(table, output=made.path, is_kept=bool(output), work=made.work)
        model = made.keep(Model(made.path, resources=made.work.resources))
        model._table = table if request.effort != "fast" else None  # what `choose` needs
    return model


def search(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    max_latency: str | float | None = None,
    within: str | float | None = None,
    max_size: str | int | None = None,
    image: str | None = None,
    audio: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    metric: str | Callable[..., float] | None = None,
    weight: str | None = None,
    workdir: str | Path | None = None,
    resume: bool = False,
    max_trials: int | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Model:
    """The best network of LeptonNet's family for pictures, sounds or arrays that answers in time on this machine.

    Designs of many widths, depths, kernels, strides, layers and exits are measured first; those within the limits are
    trained briefly, the better ones longer, and the best learns all rows in full. `Model.pareto` holds the designs
    that no other beats in score, time, size and multiply-adds.

    Args:
        source: pictures or sounds as `lepton.train` takes them; or (x, y) of arrays: pictures [N, H, W, C], series
            [N, T, F], and classes [N] or decimals to predict.
        target: column to predict; by default the folder that a file lies in.
        max_latency: of one row, its decoding included, on one thread, at the 99th percentile, `"2ms"`.
        within: time allowed, `"30m"`; over by at most 10 % or 2 s. By default 10 minutes.
        max_size: of the file without what training and reports keep in it, `"200KB"`.
        image: column of pictures, where the table holds other columns too.
        audio: the same for sounds.
        kind: of arrays, where their axes do not say it: `image`, `series` or `spectrogram`.
        task: `binary`, `multiclass`, `multilabel` or `regression`; by default what the target says.
        metric: what to choose by; by default accuracy of classes, else the task's own.
        weight: column of sample weights.
        workdir: folder in which the search is kept, with a model file of every design that was trained for long.
        resume: go on with the search in `workdir`, of the same rows: what was tried is not tried again.
        max_trials: end the search after so many trainings, those of earlier parts included.
        output: where to save; by default a temporary file that lasts as long as the model object (see `Model.save`).
        seed: decides everything that is drawn; what is measured on the machine has its say too.
        work: cancel, progress and resources; replaces `within` and `seed`.

    Raises:
        DataError: the rows or the target cannot be learned from; the message says why.
        BudgetError: no design keeps `max_size` or `max_latency`; the one that needs least is saved in `output`.
        Interrupted: the time was over before anything was learned.
    """
    request = architectures.ArchitectureRequest(
        target=target,
        image=image,
        audio=audio,
        weight=weight,
        kind=kind,
        task=task,
        metric=metric,
        max_latency=max_latency,
        max_size=max_size,
        workdir=None if workdir is None else Path(workdir),
        resume=resume,
        max_trials=max_trials,
    )
    limit = DEFAULT_SEARCH if within is None and max_trials is None else within
    with making(output, work, within=limit, seed=seed) as made:
        given = source
        if not isinstance(source, tuple):
            kinds = {name: kind for name, kind in ((image, Kind.IMAGE), (audio, Kind.AUDIO)) if name is not None}
            given = read(source).with_kinds(kinds) if kinds else read(source)
        verdicts = request.search(given, output=made.path, work=made.work)
        training.check_verdicts(verdicts, output, "allow more; or search where nothing else is running")
        return made.keep(Model(made.path, resources=made.work.resources))


def import_model(
    model: Any,
    *,
    sample: Any = None,
    labels: Sequence[str] | Sequence[int] | None = None,
    name: str | None = None,
    target: str | None = None,
    framework: str | None = None,
    trust: bool = False,
    tolerance: float | None = None,
    output: str | Path | None = None,
    work: Work | None = None,
) -> Model:
    """A model of another framework as a model file, compared with the original on a sample.

    How far apart their answers are stands in the report `import` of the model file.

    Args:
        model: a live object: a fitted estimator or pipeline of scikit-learn, a model of LightGBM or XGBoost, a PyTorch
            module or exported program, a model of Keras, an ONNX model; or the path of a file of one of them.
        sample: rows of a table (in memory, a `Dataset`, or a path), or arrays, that the model takes; where they can be
            told from the model, they are made.
        labels: names of the classes, in the model's order; by default those that it knows.
        name: of the model; by default that of the file.
        target: name of what it predicts.
        framework: which of them it is, where that should not be told from what came.
        trust: open a file that may hold code, in a sandbox without network.
        tolerance: largest difference that is taken, as a share of the largest answer; by default what the arithmetic
            of the framework explains.
        output: where to save; by default a temporary file that lasts as long as the model object.
        work: cancel, progress and resources.

    Raises:
        DataError: the file cannot be read, or ONNX cannot express what the model does.
        SecurityError: a file that may hold code, without `trust`; a pickle, always.
        BundleError: the answers are further apart than `tolerance`, or the graph is one that a bundle must not hold.
    """
    with making(output, work) as made:
        importers.import_model(
            model,
            output=made.path,
            sample=sample,
            labels=labels,
            name=name,
            target=target,
            framework=framework,
            trust=trust,
            tolerance=tolerance,
            work=made.work,
        )
        return made.keep(Model(made.path, resources=made.work.resources))
