"""The library's public verbs and the `Model` that they give and take: a few lines each, calling the rooms."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lepton import bundle, data, store
from lepton.bundle.neighbours import Index
from lepton.core import (
    ColumnRecord,
    DataError,
    ErrorCode,
    Kind,
    Resources,
    UsageError,
    Work,
    parse_size,
    printable,
    show_size,
)
from lepton.core.lazy import LazyModule
from lepton.report import Facts, Page, Table, TerminalProgress, Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lepton import evaluation, serving, training
    from lepton.data import quality, suggest as suggestions
    from lepton.data.media import decoded as files
    from lepton.data.versions import diff as differences, folder as folders, forget as forgetting, manifest
    from lepton.training import choosing, importers
    from lepton.training.deep.architectures import asking as architectures
else:
    # Who loads a model to predict does not wait for the rooms that train, judge and serve.
    evaluation, serving, training = map(LazyModule, ("lepton.evaluation", "lepton.serving", "lepton.training"))
    quality, suggestions = LazyModule("lepton.data.quality"), LazyModule("lepton.data.suggest")
    differences, folders = LazyModule("lepton.data.versions.diff"), LazyModule("lepton.data.versions.folder")
    files = LazyModule("lepton.data.media.decoded")
    forgetting, choosing = LazyModule("lepton.data.versions.forget"), LazyModule("lepton.training.choosing")
    importers = LazyModule("lepton.training.importers")
    architectures = LazyModule("lepton.training.deep.architectures.asking")

__all__ = [
    "Model",
    "check",
    "compare",
    "describe",
    "diff",
    "evaluate",
    "find_label_errors",
    "forget",
    "import_model",
    "load",
    "predict",
    "read",
    "rows_for",
    "search",
    "serve",
    "suggest",
    "train",
    "versions",
]

DEFAULT_WITHIN = "60s"
DEFAULT_SEARCH = "10m"
_SHOWN_INPUTS = 50

P = ParamSpec("P")
R = TypeVar("R")
_TO_READ = (str, Path, data.Dataset)

Source = Any
"""A `Dataset`, a path or glob, or a table in memory: whatever `read` takes."""


class Model:
    """A model file and what one does with it. `train` and `load` give one. Threads may share it.

    It answers as it was opened, whatever becomes of the file; a copy that is pickled opens the file again.

    >>> model = Model("houses.lepton")                            # doctest: +SKIP
    >>> model.predict([{"rooms": 3, "town": "Oslo"}])             # doctest: +SKIP
    [412000.0]

    Args:
        path: a `.lepton` file; it is checked whole before anything else uses it.
        resources: what predictions of many rows may use; all cores by default.
    """

    def __init__(self, path: str | Path, *, resources: Resources | None = None) -> None:
        self._resources = resources
        self._predictor = bundle.open_model(path, resources=resources)
        self.path = Path(path)
        self._size = bundle.bundle_size(self.path)
        self._table: data.Dataset | None = None  # that it was trained on, where that was here

    def __copy__(self) -> Model:
        copied = object.__new__(Model)
        vars(copied).update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self.__copy__()  # of what it holds, only the path changes

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path.absolute(), self.model_id, self._resources)

    @property
    def task(self) -> str:
        """`regression`, `binary`, `multiclass`, `clustering`, `anomaly` or `forecast`."""
        return self._predictor.task.name

    @property
    def target(self) -> str | None:
        """Name of the column that the model predicts."""
        target = self._predictor.manifest.target
        return None if target is None else target.name

    @property
    def labels(self) -> tuple[str | int, ...] | None:
        """Classes, in the order of the columns of probabilities; None for numbers."""
        return self._predictor.labels

    @property
    def inputs(self) -> tuple[ColumnRecord, ...]:
        """Columns that a row must have."""
        return self._predictor.manifest.inputs

    @property
    def model_id(self) -> str:
        """Hash of everything but the reports: the identity of the model."""
        return self._predictor.model_id

    @property
    def predictor(self) -> bundle.Predictor:
        """The opened bundle, for what needs tensors."""
        return self._predictor

    @property
    def unseen(self) -> Mapping[str, int]:
        """How many values of each category column were unknown to the model, since it was opened."""
        return self._predictor.unseen

    def predict(self, rows: Any) -> Any:
        """Labels or numbers for `rows`, in the container that came in.

        Args:
            rows: Polars or pandas DataFrame, Arrow table, dict of columns, list of dicts, or a 2-D numpy array whose
                columns stand in the order of `inputs`; a `Dataset`, path or glob, which gives a Polars Series. Of a
                model of pictures, sounds or texts: arrays, the bytes of files, paths of files or of a folder, texts.

        Raises:
            SchemaError: columns are missing, unknown or of another kind; the message names them.
        """
        return self._predictor.predict(self._rows(rows))

    def predict_proba(self, rows: Any) -> Any:
        """Probabilities of the classes for `rows`, in the order of `labels`; classifiers only."""
        return self._predictor.predict_proba(self._rows(rows))

    def predict_all(self, rows: Any) -> Any:
        """Everything that the model answers for `rows`, a table in the container that came in.

        Its columns are `prediction` (or what the task gives), `probability_<label>`, `lower` and `upper`,
        `set_<label>`, `quantile_<share>`, as far as the model has them.
        """
        return self._predictor.predict_all(self._rows(rows))

    def embed(self, rows: Any) -> NDArray[np.float64]:
        """Embeddings of `rows`, float64 [N, D]: rows that mean the same to the model are near each other.

        Args:
            rows: as of `predict`.

        Raises:
            UsageError: the model has no embedding; those of files, and of texts with a network in them, have.
        """
        if not any(output.name == "embedding" for output in self._predictor.manifest.outputs):
            raise UsageError(
                ErrorCode.USAGE,
                "the model has no embedding",
                wanted="a model that lepton.train made of pictures, sounds, or texts with a network in it",
            )
        return self._predictor.outputs(self._rows(rows))["embedding"]

    def index(self, rows: Any = None, *, saved: str | Path | None = None) -> Index:
        """An index of the embeddings of `rows`, whose `nearest(rows, k=5)` finds those that are most alike.

        Args:
            rows: to search among, as of `predict`.
            saved: in their place the file of an index that this model made.

        Raises:
            UsageError: neither or both are given, or the model has no embedding.
            DataError: the file is no index, or one of another model.
        """
        if (rows is None) == (saved is None):
            raise UsageError(ErrorCode.USAGE, "got rows and a saved index" if saved else "got no rows", wanted="either")
        if saved is not None:
            return Index.open(saved, self.embed, self.model_id)
        return Index(self.embed, self.model_id, self.embed(rows))

    def _rows(self, rows: Any) -> Any:
        if not isinstance(rows, _TO_READ):
            return rows
        if isinstance(self._predictor.inputs, bundle.TensorInputs):
            return files.cells_of(self._predictor.inputs, rows)
        return rows_for(self, rows).frame()

    def evaluate(self, source: Source, **options: Any) -> evaluation.Evaluation:
        """Metrics with intervals on rows that have the target; options as of `lepton.evaluate`."""
        return evaluate(self, source, **options)

    def importance(self, source: Source, **options: Any) -> evaluation.Importance:
        """What the model leans on: how much worse it gets when the values of a column are shuffled among the rows.

        Args:
            source: rows with the target that the model was not trained on.
            options: `metric`, `target`, `repeats` (5), `max_rows` (5,000), `seed` and `work`.

        Raises:
            DataError: no target column, or no row to judge by.
        """
        return evaluation.importance(self._predictor, rows_for(self, source), **options)

    def leaderboard(self) -> training.Leaderboard:
        """Every candidate of the training, best first."""
        return training.Leaderboard.from_report(self._predictor.bundle.reports.get("training", {}))

    def pareto(self) -> training.Leaderboard:
        """The candidates that are worth choosing from, in score, size and time of a row."""
        return self.leaderboard().pareto()

    def choose(
        self,
        source: Source | None = None,
        *,
        max_size: str | int | None = None,
        max_latency: str | float | None = None,
        metric: str | Callable[..., float] | None = None,
        workdir: str | Path | None = None,
        output: str | Path | None = None,
        work: Work | None = None,
    ) -> Model:
        """The best model within limits, or by another metric, among those that the search of this one has tried.

        Nothing is searched: what was tried is looked at again, mixed anew and fitted on all rows. Its score is of rows
        that had no say in the choice.

        Args:
            source: the table of the training; a model that was trained by this very process remembers it.
            max_size: as of `lepton.train`.
            max_latency: as of `lepton.train`.
            metric: what to choose by; by default what the search chose by.
            workdir: folder of the search; by default the one that Lepton's cache knows for the model.
            output: where to save; by default a temporary file that lasts as long as the model object.
            work: time, cancel, progress and resources.

        Raises:
            DataError: the folder of the search is gone, which the cache bounds in number and size, or the table is
                another one.
            BudgetError: nothing that was tried keeps the limits; the one that needs least is saved in `output`.
        """
        table = self._table if source is None else read(source)
        if table is None:
            raise UsageError(
                ErrorCode.USAGE,
                "got no table, and this model was not trained by this process",
                wanted="the table of the training: models and folders of searches hold no rows",
            )
        if max_size is None and max_latency is None and metric is None:
            raise UsageError(ErrorCode.USAGE, "got nothing to choose by", wanted="max_size=, max_latency= or metric=")
        limits = training.Limits(max_size, max_latency)
        folder = training.search_of(self.model_id, None if workdir is None else Path(workdir))
        with contextlib.ExitStack() as stack, contextlib.ExitStack() as scratch:
            if work is None:
                work = Work(reporter=stack.enter_context(TerminalProgress(quiet=not sys.stderr.isatty())))
            path = Path(output) if output else scratch.enter_context(store.scratch_folder()) / "model.lepton"
            result = choosing.choose(folder, table, limits=limits, metric=metric, work=work, output=path)
            training.check_verdicts(result.verdicts, output)
            model = Model(path, resources=work.resources)
            model._table = table
            weakref.finalize(model.predictor, scratch.pop_all().close)
        return model

    def how(self) -> training.How:
        """How the model was found: what was tried, what each learner reached, why this one."""
        return training.how_found(self._predictor.bundle.reports)

    def reports(self) -> Mapping[str, Mapping[str, Any]]:
        """The reports that are in the file now, by name.

        Raises:
            DataError: the file is gone, or holds another model than when it was opened.
        """
        found = bundle.read_bundle(self.path)
        self._check_same(found)
        return found.reports

    def report(self, source: Source | None = None) -> Page:
        """One page about the model: what it is, how it was found and, with `source`, how good it is there."""
        page = Page(
            f"Model {self._predictor.manifest.name}", subtitle=self.task + (f" of {self.target}" if self.target else "")
        )
        facts = self.facts()
        model_id = facts.pop("model id")
        page.section(
            "What it is",
            Facts({name: value for name, value in facts.items() if value is not None}),
            Table(
                ("input", "kind"),
                [(c.name, str(c.kind)) for c in self.inputs[:_SHOWN_INPUTS]],
                caption="What a row has",
            ),
            Text(f"Model id {model_id}", tone="note"),
        )
        page.extend(training.history_page(self._predictor.bundle.reports))
        if words := self._predictor.bundle.reports.get("training", {}).get("words"):
            page.section("The model in words", *map(Text, words))
        if source is not None:
            page.extend(self.evaluate(source).page())
        return page

    def facts(self) -> dict[str, Any]:
        """What the file says of the model, ready to show."""
        manifest = self._predictor.manifest
        return {
            "name": manifest.name,
            "task": self.task,
            "target": self.target,
            "inputs": len(self.inputs),
            "classes": None if self.labels is None else len(self.labels),
            "size": show_size(self._size),
            "model id": self.model_id,
        }

    def save(self, path: str | Path) -> Path:
        """Write the model to `path`, whole or not at all, and go on from there.

        Raises:
            DataError: there is no such folder; or the model's own file is gone, or holds another model meanwhile.
            StoreError: the disk refuses.
        """
        with store.replace_file(path) as copied:
            with store.open_read(self.path) as source:
                shutil.copyfileobj(source, copied)
            copied.flush()
            self._check_same(bundle.read_bundle(copied.name))
        self.path = Path(path)
        return self.path

    def _check_same(self, found: bundle.Bundle) -> None:
        if found.model_id != self.model_id:
            raise DataError(
                ErrorCode.CHANGED_WHILE_READ,
                f"'{printable(self.path.name)}' holds another model than when it was opened",
                fix="open it again, and save each model to a file of its own",
            )

    def __repr__(self) -> str:
        learned = self.task if self.target is None else f"{self.task} of {self.target!r}"
        return f"<Model {self._predictor.manifest.name!r}: {learned}, {self.model_id[:12]}>"

    def _repr_html_(self) -> str:
        return self.report().html()


def _reopened(path: Path, model_id: str, resources: Resources | None) -> Model:
    """What unpickling a `Model` gives."""
    model = Model(path, resources=resources)
    if model.model_id != model_id:
        raise DataError(ErrorCode.CHANGED_WHILE_READ, f"'{printable(path.name)}' holds another model than was pickled")
    return model


def _documented_as(wanted: Callable[P, R]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Gives a function that passes its options on the signature and the documentation of `wanted`."""
    return functools.wraps(wanted)


@_documented_as(data.read)
def read(source: Source, **options: Any) -> data.Dataset:
    """`lepton.data.read`, which a `Dataset` passes as it is."""
    return source if isinstance(source, data.Dataset) and not options else data.read(source, **options)


def describe(source: Source, target: str | None = None, work: Work | None = None) -> data.Description:
    """Counts, missing values, distributions, the relation to `target`, and what looks suspicious.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: name of the column to predict, if there is one.
        work: cancel, progress and resources; a description that runs out of time speaks of the rows seen.
    """
    return read(source).describe(target, work)


def suggest(source: Source, target: str | None = None, *, work: Work | None = None) -> suggestions.Suggestions:
    """Which steps would clean a table, each with its reason and its count, and what is left to a person.

    Nothing is changed: `.recipe` holds the suggested steps, to be read and edited before they are used.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: column that is to be predicted: it is looked at, and no step changes it.
        work: cancel, progress and resources.
    """
    table = read(source)
    return suggestions.suggest(table if target is None else table.with_roles({target: "target"}), work)


def check(
    source: Source,
    rules: Any = (),
    *,
    against: Source | None = None,
    tables: Mapping[str, Source] | None = None,
    personal: bool = False,
    work: Work | None = None,
) -> quality.Check:
    """Whether a table keeps rules, how far it has moved from a baseline, and whether its files are sound.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        rules: a YAML file of rules, or a list such as `[{"in_range": {"columns": "age", "least": 0}}]`.
        against: rows of the same table from before.
        tables: other tables by the names that `exists_in` uses.
        personal: look for personal data too, in the first 20,000 rows.
        work: cancel, progress and resources.

    Raises:
        DataError: a rule speaks of a column that is not there or of another kind.
        UsageError: a rule that cannot be meant, or neither rules nor a baseline nor a column of files.
    """
    wanted = quality.load_rules(rules) if isinstance(rules, str | Path) else quality.rules_of(rules)
    baseline = None if against is None else read(against)
    others = {name: read(table) for name, table in (tables or {}).items()}
    return quality.check(read(source), wanted, against=baseline, tables=others, personal=personal, work=work)


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
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as scratch:
        if work is None:
            progress = stack.enter_context(TerminalProgress(quiet=not sys.stderr.isatty()))
            limit = DEFAULT_WITHIN if within is None and max_trials is None else within
            work = Work(limit, seed=seed, reporter=progress)
        path = Path(output) if output else scratch.enter_context(store.scratch_folder()) / "model.lepton"
        table = read(source)
        if kinds:  # a table that is read anew has no recipe behind it
            table = table.with_kinds(kinds)
        table = request.learn(table, output=path, is_kept=bool(output), work=work)
        model = Model(path, resources=work.resources)
        model._table = table if request.effort != "fast" else None  # what `choose` needs
        weakref.finalize(model.predictor, scratch.pop_all().close)  # copies of the model share it
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
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as scratch:
        if work is None:
            progress = stack.enter_context(TerminalProgress(quiet=not sys.stderr.isatty()))
            limit = DEFAULT_SEARCH if within is None and max_trials is None else within
            work = Work(limit, seed=seed, reporter=progress)
        path = Path(output) if output else scratch.enter_context(store.scratch_folder()) / "model.lepton"
        given = source
        if not isinstance(source, tuple):
            kinds = {name: kind for name, kind in ((image, Kind.IMAGE), (audio, Kind.AUDIO)) if name is not None}
            given = read(source).with_kinds(kinds) if kinds else read(source)
        verdicts = request.search(given, output=path, work=work)
        training.check_verdicts(verdicts, output, "allow more; or search where nothing else is running")
        model = Model(path, resources=work.resources)
        weakref.finalize(model.predictor, scratch.pop_all().close)
    return model


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
    with contextlib.ExitStack() as scratch:
        path = Path(output) if output else scratch.enter_context(store.scratch_folder()) / "model.lepton"
        importers.import_model(
            model,
            output=path,
            sample=sample,
            labels=labels,
            name=name,
            target=target,
            framework=framework,
            trust=trust,
            tolerance=tolerance,
            work=work,
        )
        imported = Model(path, resources=None if work is None else work.resources)
        weakref.finalize(imported.predictor, scratch.pop_all().close)
    return imported


def load(path: str | Path, *, resources: Resources | None = None) -> Model:
    """The model in the file `path`.

    Raises:
        BundleError: the file is damaged, unsafe or of a newer format.
    """
    return Model(path, resources=resources)


def _model(model: Model | str | Path) -> Model:
    return model if isinstance(model, Model) else load(model)


def rows_for(model: Model, source: Source) -> data.Dataset:
    """`source` as a data set whose columns are read as the model's training read them."""
    table = read(source)
    known = {column.name: column for column in model.inputs}
    if model.predictor.manifest.target is not None:
        known[model.predictor.manifest.target.name] = model.predictor.manifest.target
    kinds: dict[str, Kind] = {name: known[name].kind for name in table.schema.names if name in known}
    return table.with_kinds(kinds)


def predict(model: Model | str | Path, source: Source) -> Any:
    """`Model.predict` on a file, a glob, a `Dataset` or a table in memory."""
    return _model(model).predict(source)


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
    if isinstance(segments, str):
        raise UsageError(ErrorCode.USAGE, f"got segments={segments!r}", wanted=f"a list, such as [{segments!r}]")
    model = _model(model)
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
    first, second = _model(first), _model(second)
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


def find_label_errors(
    source: Source, *, target: str, learner: str = "forest", seed: int = 0, work: Work | None = None
) -> quality.LabelErrors:
    """Labels that are probably wrong, the most suspect first, by what a learner says that did not see them.

    Classes by confident learning (Northcutt et al. 2021), numbers by residuals that are out of line.

    Args:
        source: a `Dataset`, a path or glob, or a table in memory.
        target: the column of labels.
        learner: `forest`, `linear` or `lightgbm`.
        seed: of the folds and the learner.
        work: cancel, progress and resources; replaces `seed`.

    Raises:
        DataError: the table or the target cannot be learned from; the message says why.
    """
    found = training.out_of_fold(read(source), target=target, learner=learner, work=work or Work(seed=seed))
    suspects = (
        quality.suspect_numbers(found.truth, found.answers)
        if found.labels is None
        else quality.suspect_labels(found.truth, found.answers, names=found.labels)
    )
    return dataclasses.replace(suspects, rows=tuple(found.rows[list(suspects.rows)].tolist()))


def diff(old: Source, new: Source, *, key: str | Sequence[str] = (), work: Work | None = None) -> differences.TableDiff:
    """What differs between two tables: columns, rows and distributions.

    Args:
        old: a `Dataset`, a path or glob (`"claims#1"` is a version), or a table in memory.
        new: the other table.
        key: columns that say which rows are the same, so that their changes are counted by column; without it, rows
            are the same where all values are.
        work: cancel, progress and memory.

    Raises:
        DataError: the tables have no column in common, or a key is there twice.
    """
    return differences.diff(read(old), read(new), key=key, work=work)


def versions(path: str | Path) -> tuple[manifest.TableVersion, ...]:
    """The versions of a table that was saved, in order: number, time, rows, statistics, recipe, parents and records.

    Args:
        path: a Parquet file or a folder that `Dataset.save` wrote.

    Raises:
        DataError: there is no saved table.
    """
    return folders.versions_at(path)


def forget(
    path: str | Path, where: str, *, reference: str = "", among: str | Path | None = None, work: Work | None = None
) -> forgetting.Forgotten:
    """Remove the rows of a saved table for which a condition holds, from all its versions, and prove it.

    What holds none of them is not copied. Earlier versions of a folder go. That rows were forgotten, how many and by
    which columns is noted in the manifest; their values are not. Copies elsewhere are out of reach: backups, and the
    tables and models that were made from this one, which are listed.

    Args:
        path: a Parquet file, or a folder that `Dataset.save` wrote.
        where: an expression that is true for the rows: `"person_id = 17"`.
        reference: what asked for it, for the record: a ticket, never a name.
        among: folder to search for what was made from the table; by default the one in which it lies.
        work: cancel and progress.

    Raises:
        UsageError: the table is not one that can be rewritten as it is.
        DataError: the condition does not fit the columns.
    """
    return forgetting.forget(path, where, reference=reference, among=among, work=work)
