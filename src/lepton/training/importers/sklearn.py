"""scikit-learn's estimators and pipelines, as live objects alone: their files are pickles, which run code.

skl2onnx writes them, in double where it can and in single precision where it cannot; what comes nearer is taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import OutputRecord
from lepton.core import DataError, ErrorCode, LeptonError, MissingExtraError, TrainingError, UsageError, printable
from lepton.training.importers.base import Asked, Imported, Importer, Labels, cannot_hold
from lepton.training.importers.checking import differences_of, run_graph
from lepton.training.importers.composing import Composer
from lepton.training.importers.forests import class_labels
from lepton.training.importers.rows import MADE_ROWS, TableSample, number_columns, sample_table, take_table
from lepton.training.importers.sklearn_graph import DOUBLE, FLOAT, INT64, STRING, converted_graph

__all__ = ["SklearnImporter"]

_TOLERANCE = 1e-5
_EQUAL = 1e-9  # nearer than this, single precision is not tried


class SklearnImporter(Importer):
    """Classifiers with probabilities, regressors and clusterers, alone or at the end of a pipeline."""

    name: ClassVar[str] = "sklearn"
    packages = ("sklearn",)

    def read(self, asked: Asked) -> Imported:
        """Read the model."""
        sklearn = _sklearn()
        model = asked.model
        task = _task(sklearn, model)
        sample = _sample(model, asked)
        answers = _asked_of(model, sample, task)
        labels, boolean = (None, False)
        known: Sequence[Any] = ()
        if task in {"binary", "multiclass"}:
            labels, boolean = class_labels(asked.labels, list(model.classes_), len(model.classes_))
            known = (0, 1) if boolean else class_labels(None, list(model.classes_), len(model.classes_))[0] or ()
            names = dict(zip(model.classes_.tolist(), labels or (), strict=True))
            answers["prediction"] = _renamed(answers["prediction"], names)
        graph, outputs = _best(model, task, sample, answers, known, labels)
        return Imported(
            framework=self.name,
            version=sklearn.__version__,
            task=task,
            inputs=sample.inputs.columns,
            outputs=outputs,
            labels=labels,
            graph=graph,
            tensors=sample.tensors,
            answers=answers,
            sample_made=sample.made,
            tolerance=_TOLERANCE,
            boolean=boolean,
        )


def _sklearn() -> Any:
    try:
        import skl2onnx  # noqa: F401 - missing extras are told at once
        import sklearn
        import sklearn.base
        import sklearn.utils.validation
    except ImportError as error:
        missing = "skl2onnx" if "skl2onnx" in str(error) else "scikit-learn"
        raise MissingExtraError(missing, "train", "Importing a model of scikit-learn") from None
    return sklearn


def _task(sklearn: Any, model: Any) -> str:
    shown = type(model).__name__
    if isinstance(model, type) or not hasattr(model, "fit"):
        raise UsageError(ErrorCode.USAGE, f"got {model!r}", wanted="a fitted estimator or pipeline")
    try:
        sklearn.utils.validation.check_is_fitted(model)
    except sklearn.exceptions.NotFittedError:
        raise TrainingError(ErrorCode.NOT_FITTED, f"the {shown} is not fitted", fix="fit it first") from None
    if sklearn.base.is_classifier(model):
        if isinstance(model.classes_, list):
            raise cannot_hold(f"the {shown} has several targets", "import a model for each of them")
        if not hasattr(model, "predict_proba"):
            raise cannot_hold(
                f"the {shown} gives no probabilities, which a classifier of a bundle has",
                "fit it inside sklearn.calibration.CalibratedClassifierCV",
            )
        return "binary" if len(model.classes_) == 2 else "multiclass"
    if sklearn.base.is_regressor(model):
        return "regression"
    if sklearn.base.is_clusterer(model) and hasattr(model, "predict"):
        return "clustering"
    raise cannot_hold(
        f"a {shown} is no classifier, regressor or clusterer that answers row by row", "import what stands at the end"
    )


def _sample(model: Any, asked: Asked) -> TableSample:
    names = getattr(model, "feature_names_in_", None)
    names = None if names is None else [str(name) for name in names]
    width = getattr(model, "n_features_in_", None)
    if asked.sample is not None:
        return sample_table(asked.sample, names, width)
    if width is None or _selects_columns(model):
        raise UsageError(
            ErrorCode.USAGE,
            f"got no sample for a {type(model).__name__} whose columns are of several kinds",
            wanted="rows of the table that it was fitted on",
            fix="sample=table.head(200)",
        )
    rng = np.random.default_rng(asked.work.seed_for("import"))
    matrix = rng.normal(size=(MADE_ROWS, width)) * rng.choice([0.1, 1.0, 10.0], size=(MADE_ROWS, 1))
    columns = number_columns(names or [f"x{place}" for place in range(width)])
    rows = matrix if names is None else pl.DataFrame(dict(zip(names, matrix.T, strict=True)))
    return TableSample.of(rows, columns, made=True)


def _selects_columns(model: Any) -> bool:
    """Whether a ColumnTransformer, which tells columns apart, is in the pipeline."""
    steps = [step for _, step in getattr(model, "steps", ())]
    return hasattr(model, "transformers_") or any(_selects_columns(step) for step in steps)


def _asked_of(model: Any, sample: TableSample, task: str) -> dict[str, NDArray[Any]]:
    """What the model itself says of the sample."""
    rows = sample.rows
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the model's own: names of columns, versions, unseen categories
            if task in {"binary", "multiclass"}:
                return {"prediction": np.asarray(model.predict(rows)), "probabilities": model.predict_proba(rows)}
            found = np.asarray(model.predict(rows))
    except Exception as error:  # whatever an estimator raises
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"the model itself refuses the sample: {printable(' '.join(str(error).split()), 300)}",
            wanted="rows as it takes them",
            fix="" if not sample.made else "sample= gives rows that it takes",
        ) from error
    if task == "clustering":
        return {"cluster": found.astype(np.int64)}
    if found.ndim == 2 and found.shape[1] > 1:
        raise cannot_hold(f"the model gives {found.shape[1]} numbers a row", "import a model for each target")
    return {"prediction": found.reshape(-1).astype(np.float64)}


def _renamed(found: NDArray[Any], names: Mapping[Any, str | int]) -> NDArray[Any]:
    values = [names[value] for value in found.tolist()]
    return np.array(values, dtype=object if isinstance(values[0], str) else np.int64)


def _best(
    model: Any,
    task: str,
    sample: TableSample,
    answers: Mapping[str, NDArray[Any]],
    known: Sequence[Any],
    labels: Labels,
) -> tuple[bytes, tuple[OutputRecord, ...]]:
    """The graph whose answers are nearest to the model's."""
    best: tuple[float, bytes, tuple[OutputRecord, ...]] | None = None
    refused: LeptonError | None = None
    for element_type in (DOUBLE, FLOAT):
        try:
            graph, outputs = _written(model, task, sample, element_type, known, labels)
            found = run_graph(graph, sample.tensors)
        except LeptonError as error:
            refused = error
            continue
        largest = max(each.relative for each in differences_of(answers, found, _TOLERANCE))
        if best is None or largest < best[0]:
            best = (largest, graph, outputs)
        if largest <= _EQUAL:
            break
    if best is None:
        raise refused or cannot_hold("skl2onnx gives nothing")
    return best[1], best[2]


def _written(
    model: Any, task: str, sample: TableSample, element_type: int, known: Sequence[Any], labels: Labels
) -> tuple[bytes, tuple[OutputRecord, ...]]:
    """The model by skl2onnx, with the inputs and outputs of a bundle."""
    fed = _inputs(model, sample, element_type)
    converted = converted_graph(model, fed, classifies=labels is not None)
    composer = Composer(converted)
    take_table(composer, sample.inputs, fed)
    values = [composer.value(output.name) for output in converted.graph.output]
    outputs: tuple[OutputRecord, ...]
    if labels is not None:
        outputs = composer.classes(values[0], values[1], known, labels)
    elif task == "clustering":
        outputs = (composer.numbers("cluster", values[0], "int64"),)
    else:
        outputs = (composer.numbers("prediction", values[0]),)
    return composer.finish(sample.inputs.metadata()), outputs


def _inputs(model: Any, sample: TableSample, element_type: int) -> dict[str, tuple[int, list[str]]]:
    """Foreign input → its element type and columns: one for each column where the model tells them apart."""
    columns = sample.inputs.columns
    if not _selects_columns(model) and len(sample.inputs.strings) in {0, len(columns)}:
        kind = STRING if sample.inputs.strings else element_type
        return {"rows": (kind, [column.name for column in columns])}
    kinds = {"int64": INT64, "string": STRING}
    return {column.name: (kinds.get(column.dtype, element_type), [column.name]) for column in columns}
