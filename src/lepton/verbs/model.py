"""The `Model` that verbs give and take."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    printable,
    show_size,
)
from lepton.core.lazy import LazyModule
from lepton.report import Facts, Page, Table, Text
from lepton.verbs import making, tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lepton import evaluation, training
    from lepton.data.media import decoded as files
    from lepton.optimization import accelerate as speeding, export as exporting
    from lepton.training import choosing
    from lepton.verbs import compressing, trusting
else:
    # Who loads a model to predict does not wait for the rooms that train and judge.
    evaluation, training = LazyModule("lepton.evaluation"), LazyModule("lepton.training")
    compressing, trusting = LazyModule("lepton.verbs.compressing"), LazyModule("lepton.verbs.trusting")
    files, choosing = LazyModule("lepton.data.media.decoded"), LazyModule("lepton.training.choosing")
    speeding, exporting = LazyModule("lepton.optimization.accelerate"), LazyModule("lepton.optimization.export")

__all__ = ["Model", "load", "opened", "rows_for"]

_SHOWN_INPUTS = 50
_MEASURED_ROWS = 256
_TO_READ = (str, Path, data.Dataset)


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
        self._acceleration: speeding.Acceleration | None = None

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
        `set_<label>`, `quantile_<share>`, as far as the model has them; embeddings are given by `embed`.
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

    def evaluate(self, source: tables.Source, **options: Any) -> evaluation.Evaluation:
        """Metrics with intervals on rows that have the target; options as of `lepton.evaluate`."""
        return evaluation.evaluate(self._predictor, rows_for(self, source), **options)

    def importance(self, source: tables.Source, **options: Any) -> evaluation.Importance:
        """What the model leans on: how much worse it gets when the values of a column are shuffled among the rows.

        Args:
            source: rows with the target that the model was not trained on.
            options: `metric`, `target`, `repeats` (5), `max_rows` (5,000), `seed` and `work`.

        Raises:
            DataError: no target column, or no row to judge by.
        """
        return evaluation.importance(self._predictor, rows_for(self, source), **options)

    def explain(self, rows: Any, **options: Any) -> trusting.Explained:
        """Why the model answers `rows` so: what each column, word or region adds; options as of `lepton.explain`."""
        return trusting.explain(self, rows, **options)

    def overview(self, source: tables.Source | None = None, **options: Any) -> trusting.Overview:
        """What the model has learned: importances, effects, interactions, a tree that stands for it, typical rows.

        Args:
            source: rows that the model was not trained on; by default those of the training, where that was here, or
                such as the file's statistics say.
            options: `target`, `label`, `seed` and `work`.
        """
        return trusting.overview(self, source, **options)

    def effect(self, column: str, source: tables.Source | None = None, **options: Any) -> trusting.Effect:
        """How the answer moves with a column: accumulated local effects, or partial dependence, with intervals.

        Args:
            column: one of the inputs.
            source: as of `overview`.
            options: `kind` (`"ale"` or `"pdp"`), `other`, a second column, `label`, `points`, `max_rows`, `seed` and
                `work`.

        Raises:
            DataError: the model takes no such column.
        """
        return trusting.effect(self, column, source, **options)

    def segments(self, source: tables.Source, **options: Any) -> trusting.WeakPlaces:
        """Where the model is weak: subgroups in which it is significantly worse, calibration, confident mistakes.

        Args:
            source: rows with the target that the model was not trained on.
            options: `target`, `columns`, `metric`, `seed` and `work`.
        """
        return trusting.segments(self, source, **options)

    def fairness(self, source: tables.Source, protected: str | Sequence[str] = (), **options: Any) -> trusting.Fairness:
        """How the model treats groups of people, by the usual measures, with intervals and numbers of rows.

        Args:
            source: rows with the target that the model was not trained on.
            protected: columns that say who belongs to which group, inputs of the model or not; by default those
                whose role is protected.
            options: `favourable` (a label), `target`, `seed` and `work`.
        """
        return trusting.fairness(self, source, protected, **options)

    def robustness(self, source: tables.Source, **options: Any) -> trusting.Robustness:
        """How much worse the model gets as its rows get worse, in five strengths.

        Args:
            source: rows with the target that the model was not trained on.
            options: `tests`, `strengths`, `metric`, `target`, `max_rows`, `gradients`, `seed` and `work`.
        """
        return trusting.robustness(self, source, **options)

    def metamorphic(self, source: tables.Source, rules: Sequence[Any], **options: Any) -> trusting.Metamorphic:
        """Whether answers move as they must when rows change: on these rows, and where counterexamples are searched.

        Args:
            source: rows, with a target or without.
            rules: such as `{"change": {"income": "+10%"}, "answer": "not_decreasing"}`.
            options: `max_rows`, `search`, `seed` and `work`.
        """
        return trusting.metamorphic(self, source, rules, **options)

    def membership(self, trained_on: tables.Source, held_out: tables.Source, **options: Any) -> trusting.Membership:
        """How well an attacker can tell, by the answers alone, which rows the model was trained on.

        Args:
            trained_on: rows of the training.
            held_out: rows like them that were not in it.
            options: `target`, `reference`, `max_rows`, `seed` and `work`.
        """
        return trusting.membership(self, trained_on, held_out, **options)

    def similar(self, rows: Any, source: tables.Source, *, k: int = 5, work: Work | None = None) -> trusting.Cases:
        """The `k` rows of `source` that are most alike to each of `rows`, as the model sees them."""
        return trusting.similar(self, rows, source, k=k, work=work)

    def verify(self, source: tables.Source | None, rules: Any, **options: Any) -> trusting.Verification:
        """Whether the model may go live by these rules; options as of `lepton.verify`."""
        return trusting.verify(self, source, rules, **options)

    def card(self, **options: Any) -> trusting.Card:
        """The model card, from what the file knows; options as of `lepton.card`."""
        return trusting.card(self, **options)

    def leaderboard(self) -> training.Leaderboard:
        """Every candidate of the training, best first."""
        return training.Leaderboard.from_report(self._predictor.bundle.reports.get("training", {}))

    def pareto(self) -> training.Leaderboard:
        """The candidates that are worth choosing from, in score, size and time of a row."""
        return self.leaderboard().pareto()

    def choose(
        self,
        source: tables.Source | None = None,
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
        table = self._table if source is None else tables.read(source)
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
        with making.making(output, work) as made:
            result = choosing.choose(folder, table, limits=limits, metric=metric, work=made.work, output=made.path)
            training.check_verdicts(result.verdicts, output)
            model = made.keep(Model(made.path, resources=made.work.resources))
        model._table = table
        return model

    def accelerate(
        self,
        source: Any = None,
        *,
        within: str | float = "60s",
        batch: int | Sequence[int] = 1,
        python: str | Path | None = None,
        output: str | Path | None = None,
        seed: int = 0,
        work: Work | None = None,
    ) -> Model:
        """The same model as quick as this machine can: what is clearly quicker is kept in the reports of its file.

        Threads, what onnxruntime does to the graph, its memory and the execution providers that are present are
        measured in turns with the defaults, and compared with their answers. The winner is used wherever the file is
        opened on a machine of this type. Where nothing is clearly quicker, nothing is written.

        Args:
            source: rows to measure with, as of `predict`; by default such as the file's statistics and schema say.
            within: time allowed.
            batch: rows of a call; several sizes count alike.
            python: interpreter of another environment, with the onnxruntime of a GPU, say, whose execution providers
                are measured too; what they would give is told, and not kept.
            output: a file to write in place of the model's own, which then stays as it is. Its graph may be another
                one that gives the same answers.
            seed: of rows that are made.
            work: time, cancel, progress and resources; replaces `within` and `seed`.

        Returns:
            The model opened anew, whose `acceleration` says what was found.

        Raises:
            UsageError: a batch that cannot be.
            DataError: there is no such interpreter.
            Interrupted: the work was asked to stop; nothing is written.
        """
        sizes = (batch,) if isinstance(batch, int) else tuple(batch)
        rows = self._first_rows(source, max(sizes, default=1))
        with making.making(output or self.path, work, within=within, seed=seed) as made:
            written = None if output is None else made.path
            found = speeding.accelerate(self.path, rows, batch=sizes, python=python, output=written, work=made.work)
        model = Model(output or self.path, resources=self._resources)
        model._acceleration, model._table = found, self._table
        return model

    @property
    def acceleration(self) -> speeding.Acceleration | None:
        """What `accelerate` found, of the model that it gave."""
        return self._acceleration

    def profile(
        self, source: Any = None, *, batch: int = 1, seed: int = 0, work: Work | None = None
    ) -> speeding.Profile:
        """Where the time of a call goes: encoding, and the graph by operator and node, beside what the machine can do.

        Args:
            source: rows to measure with, as of `predict`; by default such as the file's statistics and schema say.
            batch: rows of a call.
            seed: of rows that are made.
            work: cancel and resources; replaces `seed`.

        Raises:
            UsageError: a batch that cannot be.
        """
        work = Work(seed=seed) if work is None else work
        return speeding.profile(self._predictor, self._first_rows(source, batch), batch=batch, work=work)

    def _first_rows(self, source: Any, count: int) -> Any:
        if isinstance(source, _TO_READ) and not isinstance(self._predictor.inputs, bundle.TensorInputs):
            return rows_for(self, source).head(max(count, _MEASURED_ROWS))
        return self._rows(source)

    def export(
        self,
        to: str,
        output: str | Path,
        source: Any = None,
        *,
        python: str | Path | None = None,
        opset: int | None = None,
        work: Work | None = None,
    ) -> exporting.ExportResult:
        """The model for another runtime, in a new folder, checked by that runtime against the answers of this one.

        Args:
            to: `onnx`, `openvino`, `tflite`, `executorch`, `triton`, `kserve` or `c-header`.
            output: folder to make, whole or not at all.
            source: rows to check with, as of `predict`; by default such as the file's statistics and schema say.
            python: interpreter of the environment in which the tools of the runtime are installed.
            opset: of ONNX, for runtimes that are older than the model; for `onnx` alone.
            work: cancel, progress and seed.

        Raises:
            MissingExtraError: a tool is not installed; the message names the command that installs it.
            BundleError: the runtime has no form for the model, and which operator it is; or it answers otherwise.
            DataError: there is something of the folder's name already.
        """
        options = exporting.Options(python=None if python is None else Path(python), opset=opset)
        rows = None if source is None else self._first_rows(source, _MEASURED_ROWS)
        return exporting.export(self._predictor, to, Path(output), rows=rows, options=options, work=work)

    def compress(self, source: tables.Source, **options: Any) -> Model:
        """The model made smaller and faster within budgets, with proof; options as of `lepton.compress`."""
        return compressing.compress(self, source, **options)

    @property
    def compression(self) -> compressing.Compression | None:
        """How the model was made smaller, and the proof of what it lost; None where it was not."""
        return compressing.compression_of(self)

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

    def report(self, source: tables.Source | None = None) -> Page:
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


def load(path: str | Path, *, resources: Resources | None = None, measure: str | float | None = None) -> Model:
    """The model in the file `path`.

    Args:
        path: a `.lepton` file.
        resources: what predictions of many rows may use; all cores by default.
        measure: time in which to find what makes it quicker, as `Model.accelerate` does, where the file knows nothing
            of this type of machine; `"20s"`. The file stays as it is. By default nothing is measured.

    Raises:
        BundleError: the file is damaged, unsafe or of a newer format.
    """
    model = Model(path, resources=resources)
    if measure is not None:
        model._predictor = speeding.measured(model.predictor, work=Work(measure, resources=resources))
    return model


def opened(model: Model | str | Path) -> Model:
    """A model that came as itself, or as the path of its file."""
    return model if isinstance(model, Model) else load(model)


def rows_for(model: Model, source: tables.Source) -> data.Dataset:
    """`source` as a data set whose columns are read as the model's training read them."""
    table = tables.read(source)
    known = {column.name: column for column in model.inputs}
    if model.predictor.manifest.target is not None:
        known[model.predictor.manifest.target.name] = model.predictor.manifest.target
    kinds: dict[str, Kind] = {name: known[name].kind for name in table.schema.names if name in known}
    return table.with_kinds(kinds)
