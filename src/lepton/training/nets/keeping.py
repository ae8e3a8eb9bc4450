"""A LeptonNet as a bundle, and back: the graph for those who ask it, spec and weights for those who go on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lepton.bundle import open_model, read_bundle
from lepton.bundle.documents import dump_document
from lepton.bundle.measure import measure_latency
from lepton.bundle.tensor_records import NUMPY_TYPES, TensorRecord
from lepton.core import BundleError, ColumnRecord, ErrorCode, Kind
from lepton.store import scratch_folder
from lepton.training.nets.graph import write_logits
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec
from lepton.training.nets.writing import write_net

__all__ = ["KeptNet", "input_of", "members_of", "read_net", "write_lepton_net"]

_KIND, _SPEC, _WEIGHTS = "kind", "spec.json", "weights.safetensors"
_LEPTON_NET = b"lepton-net"
_BLOCKS, _CALLS = 3, 300  # to measure how long one row takes


@dataclass(frozen=True, slots=True)
class KeptNet:
    """A net that was read: `labels` is empty for one that predicts a number."""

    module: LeptonNetModule
    name: str
    labels: tuple[Any, ...]


def write_lepton_net(
    path: str | Path,
    module: LeptonNetModule,
    *,
    name: str,
    labels: Sequence[Any],
    lineage: Mapping[str, Any],
) -> str:
    """Write the widest form of the net, with its exits, as a bundle; its `model_id`."""
    spec = module.spec
    tensor, column, codecs = input_of(spec)
    return write_net(
        path,
        name=name,
        net=lambda builder, values: write_logits(builder, module, values[tensor.name]),
        task="regression" if not labels else "binary" if len(labels) == 2 else "multiclass",
        labels=tuple(labels) or None,
        tensors=[tensor],
        column=column,
        codecs=codecs,
        lineage=lineage,
        training=members_of(module),
    )


def latency_of(module: LeptonNetModule, rows: NDArray[Any], labels: Sequence[Any]) -> float:
    """Seconds of one row through the graph, 99th percentile, one thread; see `bundle.measure.measure_latency`."""
    with scratch_folder() as folder:
        path = folder / "net.lepton"
        write_lepton_net(path, module, name="measured", labels=labels, lineage={})
        model = open_model(path)
        given = rows.astype(NUMPY_TYPES[model.manifest.tensors[0].dtype])
        return measure_latency(model, given, blocks=_BLOCKS, calls=_CALLS).p99


def members_of(module: LeptonNetModule) -> dict[str, bytes]:
    """What `training/` holds of a net."""
    tensors = {
        key: np.ascontiguousarray(value.detach().cpu().contiguous().numpy())
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    return {_KIND: _LEPTON_NET, _SPEC: dump_document(module.spec.to_dict(), _SPEC), _WEIGHTS: save(tensors)}


def read_net(path: str | Path) -> KeptNet:
    """The net of a bundle.

    Raises:
        BundleError: it holds another model, or its weights do not fit its spec.
    """
    bundle = read_bundle(path)
    if f"training/{_KIND}" not in bundle.names or bundle.member(f"training/{_KIND}") != _LEPTON_NET:
        raise BundleError(
            ErrorCode.BUNDLE_DAMAGED, "the bundle holds no LeptonNet that can go on learning",
            wanted="a file that LeptonNet.save wrote", fix="lepton.load opens any bundle, to predict",
        )  # fmt: skip
    module = LeptonNetModule(NetSpec.from_dict(json.loads(bundle.member(f"training/{_SPEC}"))))
    try:
        state = {key: torch.from_numpy(value) for key, value in load(bundle.member(f"training/{_WEIGHTS}")).items()}
        lacking = module.load_state_dict(state, strict=False)
        wrong = [*lacking.unexpected_keys, *(k for k in lacking.missing_keys if not k.endswith("num_batches_tracked"))]
    except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"the weights of the net cannot be read: {error}") from None
    if wrong:
        raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"the weights do not fit the spec: {wrong[0]}")
    return KeptNet(module, bundle.manifest.name, tuple(bundle.manifest.labels or ()))


def input_of(spec: NetSpec) -> tuple[TensorRecord, ColumnRecord | None, dict[str, str]]:
    """The tensor that a net takes, the column that it is known by, and the codec of that column."""
    if spec.kind == "image":
        column = ColumnRecord("image", Kind.IMAGE, "string")
        codecs = {"image": "jpeg-png-to-rgb8/1"} if spec.input_shape[2] in (1, 3) else {}
        return TensorRecord("image", "uint8", (None, *spec.input_shape)), column, codecs
    if spec.kind == "series":
        return (
            TensorRecord("series", "double", (None, *spec.input_shape)),
            ColumnRecord("series", Kind.SERIES, "float64"),
            {},
        )
    return TensorRecord("spectrogram", "float", (None, *spec.input_shape)), None, {}
