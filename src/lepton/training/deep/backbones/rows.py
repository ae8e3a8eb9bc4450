"""Texts and pictures in the form in which a pre-trained network takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TensorRecord
from lepton.bundle.codecs import TokenizerJson, padded_length
from lepton.core import BundleError, ColumnRecord, DataError, ErrorCode, Kind, UsageError, Work, printable
from lepton.data import Dataset
from lepton.training.deep import run as media
from lepton.training.deep.backbones.bodies import PictureBody, TextBody
from lepton.training.deep.backbones.checkpoint import Checkpoint
from lepton.training.deep.fronts import Front, PictureFront
from lepton.training.deep.text_task import TextTask
from lepton.training.tasks import Target

__all__ = ["BackboneRows", "picture_rows", "text_rows"]

_ALMOST_ALL = 0.98
_AT_ONCE = 1_024  # texts between two looks at the clock


@dataclass(frozen=True)
class BackboneRows:
    """Rows of texts or pictures, and what is to be learned of them.

    Attributes:
        values: tokens above their mask int32 [N, 2, L], or pictures uint8 [N, H, W, 3].
        same: the first row that is equal to each [N].
        target: what is predicted.
        labels: as the graph gives them.
        truth: as metrics take it.
        targets: as a network takes them.
        scale: factor and offset of numbers.
        weight: of the rows, or None.
        column: of the texts or pictures.
        codec: of the column.
        tensors: what the graph takes.
        front: what stands before the network; None for texts.
        assets: members that the codec needs.
        notes: what was decided, for people.
    """

    values: NDArray[Any]
    same: NDArray[np.int64]
    target: Target
    labels: Any
    truth: NDArray[Any]
    targets: NDArray[Any]
    scale: tuple[float, float]
    weight: NDArray[np.float32] | None
    column: ColumnRecord
    codec: str
    tensors: tuple[TensorRecord, ...]
    front: Front | None
    assets: Mapping[str, bytes]
    notes: tuple[str, ...]


def picture_rows(
    dataset: Dataset,
    column: str,
    target: str | Sequence[str],
    task: str | None,
    weight: str | None,
    checkpoint: Checkpoint,
    body: PictureBody,
    work: Work,
) -> BackboneRows:
    """Pictures in the size that the network takes, and the target, as `media.Asked.of` reads them.

    Raises:
        UsageError: the files are sounds.
    """
    if dataset.schema[column].kind is Kind.AUDIO:
        raise UsageError(
            ErrorCode.USAGE, f"got the backbone {checkpoint.told()!r} for sounds", wanted="texts or pictures"
        )
    front = PictureFront(body.height, body.width, 3)
    asked = media.Asked.of(dataset, column, target, task, weight, work, front)
    return BackboneRows(
        values=asked.media.values,
        same=asked.media.same,
        target=asked.target,
        labels=asked.target.labels,
        truth=asked.truth,
        targets=asked.targets,
        scale=asked.scale,
        weight=asked.weight,
        column=ColumnRecord(column, asked.kind, "string"),
        codec=media.CODECS[asked.kind],
        tensors=(front.tensor,),
        front=front,
        assets={},
        notes=(f"it begins with {checkpoint.told()}", *asked.notes),
    )


def text_rows(
    dataset: Dataset,
    column: str,
    target: str | Sequence[str],
    task: str | None,
    weight: str | None,
    checkpoint: Checkpoint,
    body: TextBody,
    work: Work,
) -> BackboneRows:
    """Texts by the network's own tokenizer, and the target, as `TextTask.of` reads them.

    Raises:
        DataError: the tokenizer does not suit the network.
    """
    asked = TextTask.of(dataset, column, target, task, weight, work)
    document = _tokenizer_of(checkpoint, body.most_tokens)
    encoder = _encoder_of(document, checkpoint, body)
    rows: list[NDArray[np.int64]] = []
    for start in range(0, len(asked.texts), _AT_ONCE):
        work.check()
        rows += encoder.encode(asked.texts[start : start + _AT_ONCE])
    lengths = np.array([len(row) for row in rows])
    longest = padded_length(int(np.quantile(lengths, _ALMOST_ALL)))
    values = np.zeros((len(rows), 2, longest), dtype=np.int32)
    for row, tokens in enumerate(rows):
        values[row, 0, : len(tokens)] = tokens[:longest]
        values[row, 1, : len(tokens)] = 1
    first: dict[str, int] = {}
    truth, targets, scale = media.numbers_of(asked.target, asked.target.values)
    notes = [f"it begins with {checkpoint.told()}", f"texts are cut after {encoder.max_tokens} tokens"]
    if cut := int((lengths > longest).sum()):
        notes.append(f"{cut} of {len(rows)} texts are longer than {longest} tokens: they were learned up to there")
    return BackboneRows(
        values=values,
        same=np.array([first.setdefault(text, row) for row, text in enumerate(asked.texts)], dtype=np.int64),
        target=asked.target,
        labels=asked.labels,
        truth=truth,
        targets=targets,
        scale=scale,
        weight=asked.weight,
        column=asked.column,
        codec="tokenizer-json/1",
        tensors=(TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "int64", (None, None))),
        front=None,
        assets={"tokenizer.json": document},
        notes=(*notes, *asked.notes),
    )


def _tokenizer_of(checkpoint: Checkpoint, most_tokens: int) -> bytes:
    """The tokenizer of a checkpoint, cutting texts to what its network takes."""
    try:
        told = json.loads((checkpoint.folder / "tokenizer.json").read_bytes())
        told["truncation"] = {"direction": "Right", "max_length": most_tokens, "strategy": "LongestFirst", "stride": 0}
        told["padding"] = None
    except (ValueError, TypeError, RecursionError) as error:
        raise _unfit(checkpoint, printable(str(error))[:200]) from None
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _encoder_of(document: bytes, checkpoint: Checkpoint, body: TextBody) -> TokenizerJson:
    try:
        encoder = TokenizerJson(document)
    except BundleError as error:
        raise _unfit(checkpoint, error.came) from None
    if encoder.num_tokens > body.num_tokens:
        raise _unfit(checkpoint, f"it has {encoder.num_tokens:,} tokens, and the network {body.num_tokens:,}")
    return encoder


def _unfit(checkpoint: Checkpoint, why: str) -> DataError:
    return DataError(
        ErrorCode.UNREADABLE,
        f"the tokenizer.json of {printable(repr(checkpoint.called))} does not suit: {why}",
        wanted="the fast tokenizer of this network",
    )
