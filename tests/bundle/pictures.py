"""Small models of pictures, sounds and plain tensors, and files for them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, TensorRecord, write_bundle
from lepton.bundle.tensor_records import describe_tensors
from lepton.core import ColumnRecord, Kind, Role

IMAGE = TensorRecord("image", "uint8", (None, None, None, 3))
AUDIO = TensorRecord("audio", "float", (None, None), rate=8_000)
PHOTO = ColumnRecord("photo", Kind.IMAGE, "string")
CLIP = ColumnRecord("clip", Kind.AUDIO, "string")
CODECS = {"photo": "jpeg-png-to-rgb8/1", "clip": "wav-flac-to-f32/1"}
LABELS = ("dark", "light")


def write_tensors(
    path: Path,
    tensors: tuple[TensorRecord, ...],
    columns: tuple[ColumnRecord, ...],
    emit: Callable[[GraphBuilder, list[str]], tuple[OutputRecord, ...]],
    **changes: Any,
) -> str:
    """A model file of a graph that `emit` builds from the names of its inputs."""
    builder = GraphBuilder()
    names = [
        builder.input(t.name, t.dtype, ["N", *(size or f"{t.name}{i}" for i, size in enumerate(t.shape[1:]))])
        for t in tensors
    ]
    outputs = emit(builder, names)
    codecs = {column.name: CODECS[column.name] for column in columns if column.name in CODECS}
    graph = builder.finish({"lepton.inputs": json.dumps(describe_tensors(tensors, columns, codecs))})
    given: dict[str, Any] = {
        "name": "small",
        "task": "tensor",
        "inputs": columns,
        "tensors": tensors,
        "outputs": outputs,
        "codecs": codecs,
    }
    return write_bundle(path, manifest=Manifest(**(given | changes)), graph=graph)


def brightness(builder: GraphBuilder, names: list[str]) -> tuple[OutputRecord, ...]:
    """`light` where the mean pixel is at least 128, and how likely."""
    pixels = builder.node("Cast", names, to=11)
    mean = builder.node("ReduceMean", [pixels, builder.constant(np.array([1, 2, 3]))], keepdims=0)
    light = builder.node("Div", [mean, builder.constant(np.array(255.0))])
    column = builder.node("Unsqueeze", [light, builder.constant(np.array([1]))])
    dark = builder.node("Sub", [builder.constant(np.array(1.0)), column])
    shares = builder.node("Concat", [dark, column], axis=1)
    best = builder.node("ArgMax", [shares], axis=1, keepdims=0)
    labels = builder.node("Gather", [builder.constant(np.array(LABELS, dtype=object)), best], axis=0)
    builder.output("prediction", labels, "string", ["N"])
    builder.output("probabilities", shares, "double", ["N", 2])
    return (OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 2)))


def write_brightness(path: Path, **changes: Any) -> str:
    """A classifier of pictures of any size."""
    target = ColumnRecord("label", Kind.CATEGORY, "string", role=Role.TARGET)
    return write_tensors(path, (IMAGE,), (PHOTO,), brightness, task="binary", labels=LABELS, target=target, **changes)


def loudness(builder: GraphBuilder, names: list[str]) -> tuple[OutputRecord, ...]:
    """The mean square of the samples."""
    square = builder.node("Mul", [names[0], names[0]])
    mean = builder.node("ReduceMean", [square, builder.constant(np.array([1]))], keepdims=0)
    builder.output("prediction", builder.node("Cast", [mean], to=11), "double", ["N"])
    return (OutputRecord("prediction", "double", ("N",)),)


def write_loudness(path: Path) -> str:
    """A regression of sounds of any length."""
    return write_tensors(path, (AUDIO,), (CLIP,), loudness, task="regression")


def write_sums(path: Path) -> str:
    """Plain tensors: the sum of two, and their product."""
    tensors = (TensorRecord("a", "float", (None, 2)), TensorRecord("b", "float", (None, 2)))

    def emit(builder: GraphBuilder, names: list[str]) -> tuple[OutputRecord, ...]:
        builder.output("sum", builder.node("Add", names), "float", ["N", 2])
        builder.output("product", builder.node("Mul", names), "float", ["N", 2])
        return (OutputRecord("sum", "float", ("N", 2)), OutputRecord("product", "float", ("N", 2)))

    return write_tensors(path, tensors, (), emit)


def picture_bytes(pixels: NDArray[np.uint8], form: str = "PNG", **options: Any) -> bytes:
    """A file of these pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def sound_bytes(samples: NDArray[Any], rate: int, form: str = "WAV") -> bytes:
    """A file of these samples, of 16 bits."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype="PCM_16")
    return out.getvalue()
