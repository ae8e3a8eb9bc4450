"""Why a model answers pictures, texts and sounds as it does: what each of their parts adds to the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs, TensorInputs
from lepton.bundle.containers import read_rows
from lepton.core import ErrorCode, Kind, SchemaError, UsageError, Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.base import Question, question_of
from lepton.evaluation.explain.explained_file import ExplainedFile
from lepton.evaluation.explain.pictures import Gradients, Picture, explain_picture
from lepton.evaluation.explain.sounds import Sound, explain_sound
from lepton.evaluation.explain.words import explain_text
from lepton.report import Block, Page

__all__ = ["FileExplanation", "explain_file"]

_MOST_FILES = 100


@dataclass(frozen=True)
class FileExplanation:
    """What the parts of some files add to the answers; made by `explain_file`.

    Attributes:
        model: its name.
        files: one entry for each, in the order in which they came.
    """

    model: str
    files: tuple[ExplainedFile, ...]

    @property
    def values(self) -> tuple[Floats, ...]:
        """What each part adds, an array for each file: of texts [P], of pictures [h, w], of sounds [bands, times]."""
        return tuple(each.values for each in self.files)

    @property
    def errors(self) -> tuple[Floats, ...]:
        """Standard errors of the values, of what was sampled; 0 where nothing was."""
        return tuple(each.errors for each in self.files)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"model": self.model, "files": [each.to_dict() for each in self.files]}

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page().html()

    def text(self) -> str:
        """For people."""
        told = [f"{heading}: {each.text()}" for heading, each in zip(self._headings(), self.files, strict=True)]
        return "\n\n".join(told)

    def plot(self) -> Block | None:
        """The drawing of the first file."""
        return self.files[0].drawing if self.files else None

    def page(self) -> Page:
        """A page with each file drawn."""
        page = Page(f"Why {self.model} answers so", subtitle="what each part of a file adds to the answer")
        for heading, each in zip(self._headings(), self.files, strict=True):
            page.section(heading, *each.blocks())
        return page

    def _headings(self) -> list[str]:
        return [f"{each.kind.capitalize()} {number}" for number, each in enumerate(self.files)]


def explain_file(
    predictor: Predictor,
    cells: Any,
    *,
    label: Any = None,
    method: str = "auto",
    samples: int | None = None,
    gradients: Gradients | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> FileExplanation:
    """What each part of a picture, a text or a sound adds to a model's answer, with the error of the sampling.

    Args:
        predictor: an opened model of pictures, sounds or texts, or of a table whose only column is a text.
        cells: up to 100 of them, as `Model.predict` takes them: arrays, paths, the bytes of files, texts.
        label: whose probability is explained; by default the second of two labels, and of more the one that the model
            answers each file.
        method: `auto`; `shapley` (parts hidden in all orders); `occlusion`, of texts `leave-one-out` (one by one); of
            pictures `rise` (masks at random); `gradients` (integrated) or `attribution` (as it is given), both with
            `gradients=`.
        samples: how often the model may be asked for each file.
        gradients: a callable `(array, label) -> array` of the array's shape: gradients of the answer, from the network
            that the file was written from.
        seed: of what is drawn.
        work: cancel, progress and time; when it is over, what was sampled counts.

    Raises:
        UsageError: a model of something else; an unknown label or method; too few samples; no file, or too many.
        SchemaError: a cell that cannot be read, or of another kind than the model's.
    """
    work = Work.of(work)
    if samples is not None and (not _is_count(samples) or samples < 1):
        raise UsageError(ErrorCode.USAGE, f"got samples={samples!r}", wanted="a whole number of at least 1")
    inputs = predictor.inputs
    kind = inputs.kind if isinstance(inputs, TensorInputs) else _only_text(inputs)
    if kind not in (Kind.IMAGE, Kind.AUDIO, Kind.TEXT):
        raise UsageError(
            ErrorCode.USAGE,
            f"got a model of {'tables' if isinstance(inputs, TableInputs) else kind or 'plain tensors'}",
            wanted="a model of pictures, sounds or texts",
            fix="explain rows of tables with model.explain(rows)",
        )
    if kind is Kind.TEXT:
        if gradients is not None:
            came = "got gradients= for a text, whose letters have none"
            raise UsageError(ErrorCode.USAGE, came, fix="leave it: words are left out")
        texts = _texts(predictor, cells)
        _check_number(len(texts))
        pack = _packing(predictor)
        each = [
            explain_text(text, *_asked(predictor, pack([text]), label), pack, method, samples, seed, work)
            for text in texts
        ]
        return FileExplanation(predictor.manifest.name, tuple(each))
    arrays, name = _arrays(predictor, cells)
    _check_number(len(arrays))
    found = []
    for array in arrays:
        question, own = _asked(predictor, {name: array[None]}, label)
        ask = _asking(question, name)
        if kind is Kind.IMAGE:
            picture = Picture(array, ask, own, question.title)
            found.append(explain_picture(picture, method, samples, gradients, seed, work))
        else:
            sound = Sound(array, predictor.manifest.tensors[0].rate or 1, ask, own, question.title)
            found.append(explain_sound(sound, method, samples, gradients, seed, work))
    return FileExplanation(predictor.manifest.name, tuple(found))


def _asking(question: Question, name: str) -> Callable[[NDArray[Any]], Floats]:
    def ask(arrays: NDArray[Any]) -> Floats:
        return question.ask({name: arrays})[:, 0]

    return ask


def _asked(predictor: Predictor, tensors: Mapping[str, NDArray[Any]], label: Any) -> tuple[Question, Any]:
    """The number to explain of one file, and the label whose probability it is."""
    question = question_of(predictor, label)
    if question.width > 1:
        given = question.ask(tensors)[0]
        label = (predictor.labels or ())[int(np.argmax(np.nan_to_num(given, nan=-1.0)))]
        question = question_of(predictor, label)
    elif predictor.task.classifies and label is None:
        label = (predictor.labels or ())[1]
    return question, label


def _packing(predictor: Predictor) -> Callable[[list[str]], dict[str, NDArray[Any]]]:
    name = predictor.inputs.names[0]

    def pack(texts: list[str]) -> dict[str, NDArray[Any]]:
        return predictor.tensors(texts if isinstance(predictor.inputs, TensorInputs) else {name: texts})

    return pack


def _only_text(inputs: Any) -> Kind | None:
    """`TEXT` where a table model takes nothing but one column of texts."""
    columns = inputs.columns if isinstance(inputs, TableInputs) else ()
    return Kind.TEXT if len(columns) == 1 and columns[0].kind is Kind.TEXT else None


def _texts(predictor: Predictor, cells: Any) -> list[str]:
    name = predictor.inputs.names[0]
    if isinstance(cells, str):
        cells = [cells]
    if not (isinstance(cells, list | tuple) and not any(isinstance(cell, Mapping) for cell in cells)):
        cells = list(read_rows(cells, [name]).columns[name])
    texts = []
    for row, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, str):
            raise SchemaError(
                ErrorCode.WRONG_KIND, f"row {row} (counted from 0) is {type(cell).__name__}", wanted="a text"
            )
        texts.append(cell or "")
    return texts


def _arrays(predictor: Predictor, cells: Any) -> tuple[Sequence[NDArray[Any]], str]:
    """Each file as the array that the graph takes, and the name of its tensor."""
    inputs = predictor.inputs
    if not isinstance(inputs, TensorInputs):
        raise TypeError("a table has no files")
    read = inputs.read(cells, files=True)
    _check_number(read.num_rows)
    tensors = inputs.row_tensors(read)
    name = inputs.records[0].name
    return list(tensors[name]), name


def _check_number(count: int) -> None:
    if not 1 <= count <= _MOST_FILES:
        raise UsageError(ErrorCode.USAGE, f"got {count:,} files", wanted=f"1 to {_MOST_FILES}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
