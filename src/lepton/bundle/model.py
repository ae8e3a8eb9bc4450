"""Opening a model file and predicting: rows in any container in, answers in the same container out.

Nothing but onnxruntime computes here, one thread to a call; large batches are cut into chunks that threads share, so
an answer depends neither on the batch nor on the number of threads.
"""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.answer_columns import answer_columns, without_embedding
from lepton.bundle.containers import Rows, given_as
from lepton.bundle.files import Bundle, read_with_graph
from lepton.bundle.inputs import TableInputs
from lepton.bundle.manifest import Manifest
from lepton.bundle.opening import check_runtime, inputs_of, open_session, runtime_error
from lepton.bundle.prepared import BoundRuns, PreparedRun
from lepton.bundle.series import SeriesInputs
from lepton.bundle.settings import RuntimeSettings
from lepton.bundle.tensor_records import NUMPY_TYPES
from lepton.bundle.tensors import TensorInputs, TensorRows, num_bytes
from lepton.core import (
    BundleError,
    ErrorCode,
    Kind,
    Resources,
    SchemaError,
    TaskRecord,
    UsageError,
    task_record,
)

__all__ = ["CHUNK_ROWS", "Predictor", "open_model"]

CHUNK_ROWS = 16_384
"""Rows of one onnxruntime call: large enough that a call's own cost is lost in it, small enough to stay in cache."""
_WIDE_CHUNK_ROWS = 256  # n-grams of texts are some ten thousand columns, steps ahead of series a row each

_VOCABULARY = "assets/vocabulary.json"
_TENSOR_CHUNK = 256  # rows of tensors, and
_TENSOR_BYTES = 2**22  # bytes of them, of one call
Tensors = Mapping[str, NDArray[Any]]


def open_model(
    path: str | os.PathLike[str] | Bundle,
    *,
    resources: Resources | None = None,
    settings: RuntimeSettings | None = None,
) -> Predictor:
    """Open a model file for predicting.

    Args:
        path: a `.lepton` file, or a bundle that `read_bundle` has read.
        resources: `cpus` is how many threads share a large batch; default: the cores of this process.
        settings: how onnxruntime runs the graph; default: what the bundle's reports hold for this type of machine,
            which is put aside, with a line in the log, where it does not work.

    Raises:
        DataError: if there is no such file.
        BundleError: if the bundle is damaged, unsafe, or not for this onnxruntime.
    """
    resources = resources or Resources()
    bundle, graph = (path, path.graph) if isinstance(path, Bundle) else read_with_graph(path)
    check_runtime(bundle.manifest)
    session, chosen = open_session(bundle, graph, settings, resources)
    return Predictor(bundle, session, resources, chosen)


class Predictor:
    """A model file at work; made by `open_model`, may be called from several threads at once.

    Attributes:
        bundle: the file that was opened.
        inputs: packs rows into the graph's tensors.
        labels: class labels in the order of `probabilities`, booleans for a boolean target; None for regression.
        unseen: category column → values met since opening that training had not seen.
        settings: how onnxruntime runs the graph.
    """

    def __init__(
        self, bundle: Bundle, session: Any, resources: Resources, settings: RuntimeSettings | None = None
    ) -> None:
        self.bundle = bundle
        self.settings = settings or RuntimeSettings()
        self.inputs = inputs_of(bundle, session)
        self.unseen: dict[str, int] = {}
        self._is_wide = self.manifest.task == "forecast" or "characters/1" in self.manifest.codecs.values()
        self._session = session
        self._cpus = resources.cpus if self.settings.threads == 1 else 1  # each part of a batch takes them all
        self._bound = BoundRuns.of(session) if self.settings.bound else None
        self._lock = threading.Lock()
        self._outputs = [output.name for output in self.manifest.outputs]
        target, labels = self.manifest.target, self.manifest.labels
        self._answer = self.task.answer or self._outputs[0]
        self._target_name = self._answer if target is None else target.name
        # Graphs answer 0 and 1 where the target is a boolean.
        self._boolean = target is not None and target.kind is Kind.BOOLEAN and labels == (0, 1)
        self.labels: tuple[str | int, ...] | None = (False, True) if self._boolean else labels
        # Columns of the training table that are no inputs may stay in the rows.
        ignored = self.manifest.lineage.get("ignored")
        learned = (labels or ()) if self.task.several else (self._target_name,)
        self._ignored = {*map(str, learned), *(ignored if isinstance(ignored, list) else ())}
        self._known = self._vocabulary()
        # Rows of a table, wherever they are cut; texts are counted, and pictures are of many sizes.
        self._is_plain = isinstance(self.inputs, TableInputs) and not self._is_wide and not self.inputs.strings
        self._ragged = self.inputs.ragged if isinstance(self.inputs, TensorInputs) else frozenset()

    def description(self) -> Predictor:
        """The same without its graph: it tells all that this one tells, runs nothing, and takes little memory."""
        told = copy.copy(self)
        told._session = told._bound = None
        return told

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def model_id(self) -> str:
        """The model's identity."""
        return self.bundle.model_id

    @property
    def task(self) -> TaskRecord:
        """What the model answers."""
        return task_record(self.manifest.task)

    @property
    def answer(self) -> str:
        """The output that `predict` gives."""
        return self._answer

    @property
    def label_names(self) -> tuple[str, ...]:
        """Labels as text, as the columns of probabilities are called; `("false", "true")` for a boolean target."""
        return tuple(str(label).lower() if self._boolean else str(label) for label in self.labels or ())

    def predict(self, rows: Any) -> Any:
        """Labels, numbers or clusters, one for each row; the next steps of each series, one row a step.

        Args:
            rows: a Polars or pandas DataFrame, an Arrow table, a dict of columns (or of values: one row), a list of
                dicts, or a numpy matrix with the columns in order. The target and the columns that training
                ignored may be among the columns. Of a model of pictures, sounds, texts or arrays: an array
                [N, …], or a list of arrays, of the bytes of files, of paths or of texts.

        Returns:
            A Polars or pandas Series, an Arrow array, a list or a numpy array, as the rows came; of a model of several
            labels a table with a boolean for each.

        Raises:
            SchemaError: naming the columns, or the row and the value, that do not fit.
        """
        if isinstance(self.inputs, SeriesInputs):
            return self._forecast(self.inputs, rows)
        if self.inputs.is_tensor(rows) and len(rows) <= CHUNK_ROWS:
            values = self.run({"numbers": rows}, [self._answer])[self._answer]
            return values.astype(bool) if self._boolean else values
        read, answers = self._ask(rows, [self._answer])
        values = answers[self._answer]
        if self.task.several:
            return read.give_table(self.label_names, values.astype(bool))
        return read.give_column(self._target_name, values.astype(bool) if self._boolean else values)

    def _forecast(self, inputs: SeriesInputs, rows: Any) -> Any:
        packed = inputs.pack_rows(inputs.read(rows))
        answers = self.run({"series": packed.tensor})
        return given_as(rows, inputs.frame(packed, answers))

    def predict_proba(self, rows: Any) -> Any:
        """Probabilities of every label, for each row.

        Args:
            rows: as for `predict`.

        Returns:
            As the rows came: a numpy array [N, C] in the order of `labels`, a DataFrame or Arrow table with one
            column for each label, or a list of dicts label → probability.

        Raises:
            UsageError: if the model does not classify.
            SchemaError: as for `predict`.
        """
        if not self.task.classifies:
            raise UsageError(
                ErrorCode.USAGE,
                f"predict_proba was called on '{self.manifest.name}', a model for {self.task.name}",
                wanted="a model that classifies",
                fix="use predict, which gives its numbers",
            )
        read, answers = self._ask(rows, ["probabilities"])
        return read.give_table(self.label_names, answers["probabilities"])

    def predict_all(self, rows: Any) -> Any:
        """Everything that the model answers, one row for each row: predictions with what stands beside them.

        Args:
            rows: as for `predict`.

        Returns:
            A table in the container that came in (a Polars DataFrame for a dict of columns): `prediction` (or what
            the task gives), `probability_<label>`, `lower` and `upper`, `set_<label>`, `quantile_<share>`, as far as
            the model has them, and no embedding; for forecasts what `predict` gives.

        Raises:
            SchemaError: as for `predict`.
        """
        if isinstance(self.inputs, SeriesInputs):
            return self._forecast(self.inputs, rows)
        return given_as(rows, self.answer_columns(without_embedding(self.outputs(rows))))

    def answer_columns(self, outputs: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
        """What `run` has given, as columns of a table."""
        return answer_columns(self.manifest, outputs, self.label_names, boolean=self._boolean)

    def outputs(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Everything that the graph answers: output name → array, as plain onnxruntime gives it."""
        if isinstance(self.inputs, TensorInputs):
            return self._ask(rows, None)[1]
        return self.run(self.tensors(rows))

    def tensors(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Rows as `run` takes them; no file is opened for them.

        Raises:
            SchemaError: as for `predict`.
        """
        if isinstance(self.inputs, TensorInputs):
            return self.inputs.tensors(rows)
        if isinstance(self.inputs, TableInputs) and (numbers := self.inputs.plain_numbers(rows)) is not None:
            return {"numbers": numbers}
        return self.inputs.row_tensors(self._read(rows))

    def run(
        self, tensors: Tensors, outputs: Sequence[str] | None = None, *, options: Any = None
    ) -> dict[str, NDArray[Any]]:
        """Run the graph on tensors that are packed already.

        Args:
            tensors: the graph's inputs; texts as an object array of str, without None.
            outputs: names of the outputs to compute; default: all.
            options: onnxruntime's `RunOptions`, by which another thread can end the run.

        Returns:
            Output name → array, the first dimension being the row.

        Raises:
            SchemaError: if a tensor is missing, or of another type or shape.
            BundleError: if onnxruntime fails.
        """
        names = self._outputs if outputs is None else outputs
        if self._bound is not None and options is None and (given := self._bound.run(names, tensors)) is not None:
            return given
        if self._is_plain and len(tensors) == 1 and 0 < len(next(iter(tensors.values()))) <= CHUNK_ROWS:  # mostly
            return dict(zip(names, self._call(names, tensors, options), strict=True))
        lengths = {len(tensor) for tensor in tensors.values()}
        if len(lengths) != 1:
            self._check_tensors(tensors)
        num_rows = lengths.pop()
        if num_rows == 0:
            self._check_tensors(tensors)
            return {name: self._empty(name) for name in names}
        if self._ragged and any(tensors[name].dtype == object for name in self._ragged if name in tensors):
            return self._run_shapes(tensors, names, options)
        if self._known and "strings" in tensors:
            self._count_unseen(tensors["strings"])
        chunk_rows = _WIDE_CHUNK_ROWS if self._is_wide else CHUNK_ROWS
        if self.manifest.tensors:
            chunk_rows = _tensor_chunk(tensors, num_rows)
        if num_rows <= chunk_rows:
            return dict(zip(names, self._call(names, tensors, options), strict=True))
        chunks = [
            {name: tensor[start : start + chunk_rows] for name, tensor in tensors.items()}
            for start in range(0, num_rows, chunk_rows)
        ]
        with ThreadPoolExecutor(min(self._cpus, len(chunks)), thread_name_prefix="lepton-predict") as pool:
            parts = list(pool.map(lambda chunk: self._call(names, chunk, options), chunks))
        return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(names)}

    def prepared(self, outputs: Sequence[str]) -> PreparedRun | None:
        """What runs the graph for one row after the other with less ado, for one thread; None where nothing does.

        Args:
            outputs: names of the outputs to compute.
        """
        if not self._is_plain or not isinstance(self._session, onnxruntime.InferenceSession):
            return None

        def run(numbers: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
            return self.run({"numbers": numbers}, outputs)

        return PreparedRun.of(self._session, "numbers", len(self.inputs.numbers), run)

    def _run_shapes(self, tensors: Tensors, names: Sequence[str], options: Any) -> dict[str, NDArray[Any]]:
        """`run` for rows of unequal shape: those of one shape together, so that no row depends on the others."""
        rows: dict[tuple[Any, ...], list[int]] = {}
        ragged = [name for name in self._ragged if name in tensors and tensors[name].dtype == object]
        for row, shapes in enumerate(zip(*([each.shape for each in tensors[name]] for name in ragged), strict=True)):
            rows.setdefault(shapes, []).append(row)
        answers: dict[str, NDArray[Any]] = {}
        num_rows = len(tensors[ragged[0]])
        for chosen in rows.values():
            part = {
                name: np.stack([tensor[row] for row in chosen]) if name in ragged else tensor[chosen]
                for name, tensor in tensors.items()
            }
            for name, given in self.run(part, names, options=options).items():
                shape = (num_rows, *given.shape[1:])
                whole = answers.setdefault(name, np.empty(shape, given.dtype))
                if whole.shape != shape:
                    raise SchemaError(
                        ErrorCode.WRONG_SHAPE,
                        f"rows of unequal shape give '{name}' of unequal shapes",
                        wanted="rows of one shape in a call",
                    )
                whole[chosen] = given
        return answers

    def _ask(self, rows: Any, names: Sequence[str] | None) -> tuple[Rows | TensorRows, dict[str, NDArray[Any]]]:
        """Rows of the owner of this process, and the answers to them."""
        if not isinstance(self.inputs, TensorInputs):
            table = self._read(rows)
            return table, self.run(self.inputs.row_tensors(table), names)
        read = self.inputs.read(rows, files=True)
        parts = [self.run(part, names) for part in self.inputs.parts(read)]
        if len(parts) == 1:
            return read, parts[0]
        if not parts:
            return read, {name: self._empty(name) for name in names or self._outputs}
        return read, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _read(self, rows: Any) -> Rows:
        if isinstance(self.inputs, TensorInputs):
            raise TypeError("tensors have no table")
        return self.inputs.read(rows, ignored=self._ignored)

    def _call(self, names: Sequence[str], tensors: Tensors, options: Any = None) -> list[NDArray[Any]]:
        try:
            # What `InferenceSession.run` calls; its own checks take longer than a small model, and are made below.
            session = getattr(self._session, "_sess", self._session)
            answers: list[NDArray[Any]] = session.run(names, tensors, options)
        except Exception as error:
            self._check_tensors(tensors)
            raise runtime_error("onnxruntime failed", error) from error
        return answers

    def _empty(self, name: str) -> NDArray[Any]:
        output = next(output for output in self.manifest.outputs if output.name == name)
        shape = (0, *(size if isinstance(size, int) else 0 for size in output.shape[1:]))
        return np.empty(shape, dtype=NUMPY_TYPES[output.dtype])

    def _check_tensors(self, tensors: Tensors) -> None:
        """Raise `SchemaError` if the tensors are not what the graph takes."""
        wanted = {
            each.name: (each.type.removeprefix("tensor(").removesuffix(")"), list(each.shape[1:]))
            for each in self._session.get_inputs()
        }
        shown = ", ".join(
            f"{name} {dtype} [{', '.join(map(str, ['N', *(size or '?' for size in sizes)]))}]"
            for name, (dtype, sizes) in wanted.items()
        )
        if tensors.keys() != wanted.keys():
            raise SchemaError(
                ErrorCode.WRONG_SHAPE, "got the tensors " + (", ".join(sorted(tensors)) or "none"), wanted=shown
            )
        lengths = {len(tensor) for tensor in tensors.values()}
        for name, (dtype, sizes) in wanted.items():
            tensor = tensors[name]
            fits = tensor.ndim == len(sizes) + 1 and all(
                not isinstance(size, int) or size == own for size, own in zip(sizes, tensor.shape[1:], strict=True)
            )
            ragged = name in self._ragged and tensor.dtype == object
            if (not ragged and (tensor.dtype != NUMPY_TYPES[dtype] or not fits)) or len(lengths) != 1:
                raise SchemaError(
                    ErrorCode.WRONG_SHAPE,
                    f"got the tensor {name} of type {tensor.dtype} and shape {list(tensor.shape)}",
                    wanted=f"{shown}, with the same N",
                )

    def _vocabulary(self) -> list[tuple[int, str, frozenset[str]]]:
        """Position in `strings`, name and known texts of every column whose vocabulary the bundle holds."""
        if _VOCABULARY not in self.bundle.names or not (isinstance(self.inputs, TableInputs) and self.inputs.strings):
            return []
        try:
            found = json.loads(self.bundle.member(_VOCABULARY))
            known = {name: frozenset(texts) | {""} for name, texts in found.items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED, f"{_VOCABULARY} is not an object of column → list of texts"
            ) from error
        strings = enumerate(column.name for column in self.inputs.strings)
        return [(position, name, known[name]) for position, name in strings if name in known]

    def _count_unseen(self, strings: NDArray[Any]) -> None:
        for position, name, known in self._known:
            unseen = len(strings) - sum(map(known.__contains__, strings[:, position].tolist()))
            if unseen:
                with self._lock:
                    self.unseen[name] = self.unseen.get(name, 0) + unseen


def _tensor_chunk(tensors: Tensors, num_rows: int) -> int:
    a_row = sum(map(num_bytes, tensors.values())) // num_rows
    return min(max(_TENSOR_BYTES // max(a_row, 1), 1), _TENSOR_CHUNK)
